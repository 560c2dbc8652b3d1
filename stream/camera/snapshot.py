"""The image of an event: what the camera saw, with a line of text and the part that the network looked at."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter

from engine.arrays import UInt8Array
from stream.camera.blackout import Blackout

FocusRegion = tuple[float, float, float, float]

_JPEG_QUALITY: Final = 85
_YELLOW: Final = (0, 215, 255)  # BGR
_WHITE: Final = (255, 255, 255)


def snapshot(frame: VideoFrame, text: str, focus: FocusRegion | None = None, blackout: Blackout | None = None) -> bytes:
    """The frame as a JPEG: what `blackout` hides in black, `focus` (x, y, width, height in 0..1) outlined unless it is
    all of it, `text` in a dark band along the lower edge (if there is any).
    """
    converted = VideoReformatter().reformat(frame, format="bgr24")  # the frame's own is in use by another thread
    picture: UInt8Array = np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)
    if blackout is not None:
        blackout.picture(picture)
    if focus is not None and focus[2:] != (1.0, 1.0):
        _outline(picture, focus)
    if text:
        _write(picture, text)
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise OSError("the image cannot be encoded")
    return encoded.tobytes()


def _outline(picture: UInt8Array, focus: FocusRegion) -> None:
    height, width = picture.shape[:2]
    x, y, w, h = focus
    first = (round(x * (width - 1)), round(y * (height - 1)))
    last = (round((x + w) * (width - 1)), round((y + h) * (height - 1)))
    cv2.rectangle(picture, first, last, _YELLOW, max(1, height // 240))


def _write(picture: UInt8Array, text: str) -> None:
    height, width = picture.shape[:2]
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.35, height / 900)
    (text_width, text_height), base = cv2.getTextSize(text, font, scale, 1)
    if text_width > width - 8:
        scale *= (width - 8) / text_width
        (text_width, text_height), base = cv2.getTextSize(text, font, scale, 1)
    top = max(0, height - text_height - base - 8)
    picture[top:] = picture[top:] // 3
    cv2.putText(picture, text, (4, height - base - 3), font, scale, _WHITE, 1, cv2.LINE_AA)
