"""The saved clip of an alarm: its frames as the camera's decoder passed them on, and when they were taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import av
import av.error
import numpy as np
from av import VideoFrame

from configs.sizes import CLIP_LENGTH
from stream.base.addresses import Source
from stream.base.errors import StreamError
from stream.camera.capture import Capture
from stream.camera.clip_file import ENCODED_AGAIN, FIRST_PICTURE


@dataclass(frozen=True)
class SavedClip:
    """n frames, upright, without those that the decoder skipped as corrupt.

    epochs: their times, float64 (n,), in seconds.
    encoded_again: whether the frames only resemble those that the camera sent; None: an earlier version wrote the clip.
    """

    epochs: np.ndarray
    frames: list[VideoFrame]
    encoded_again: bool | None

    @classmethod
    def read(cls, path: Path, until: float) -> Self:
        """The frames up to a second after epoch `until`. Raises StreamError if there are none."""
        try:
            with av.open(str(path)) as container:
                metadata = dict(container.metadata)
        except (av.error.FFmpegError, OSError) as error:
            raise StreamError(f"{path.name}: not readable as video: {getattr(error, 'strerror', error)}") from None
        comment, description = metadata.get("comment", ""), metadata.get("description")
        if not comment.startswith(FIRST_PICTURE):
            raise StreamError(f"{path.name}: has no start time (an earlier version wrote it)")
        begin = float(comment.removeprefix(FIRST_PICTURE))
        epochs: list[float] = []
        frames: list[VideoFrame] = []
        with Capture(Source(path.name, str(path), live=False)) as capture:
            for picture in capture.pictures():
                epochs.append(begin + (picture.frame.time or 0.0) - (capture.origin or 0.0))
                frames.append(picture.frame)
                if epochs[-1] > until + 1:
                    break
        if not frames:
            raise StreamError(f"{path.name}: contains no complete frame")
        return cls(np.array(epochs), frames, None if description is None else description == ENCODED_AGAIN)

    def starts_near(self, time: float, shift: float, reach: float) -> list[int]:
        """The frames at most `reach` seconds from `time`, the ones nearest to `time + shift` first."""
        near = np.flatnonzero(np.abs(self.epochs - time) <= reach).tolist()
        return sorted(near, key=lambda index: abs(float(self.epochs[index]) - time - shift))

    def clip(self, first: int, seconds: float) -> list[VideoFrame] | None:
        """The 16 frames of a clip of that length that begins with frame `first`; None if there are not enough.

        Every k-th frame is used, as for a fast camera: k is the one with which `ClipAssembler` finds the same length.
        """
        most = (len(self.frames) - 1 - first) // (CLIP_LENGTH - 1)
        if most < 1:
            return None
        steps = np.arange(1, most + 1)
        lasts = first + (CLIP_LENGTH - 1) * steps
        ends = self.epochs[lasts] + steps * (self.epochs[lasts] - self.epochs[lasts - 1])
        step = int(steps[np.argmin(np.abs(ends - self.epochs[first] - seconds))])
        return self.frames[first : first + CLIP_LENGTH * step : step]
