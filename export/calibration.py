"""Clips of footage with the geometry of the bundle, for the calibration and verification of INT8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import dropwhile, islice
from pathlib import Path
from typing import Final

import av
import av.error
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from configs.pinned import PinnedFile, cache_folder, fetch
from configs.sizes import CLIP_LENGTH
from configs.videos import SUFFIXES
from engine.arrays import UInt8Array
from engine.focus import focus_clip
from engine.geometry import SIDE, crops_of, is_per_clip, write_crops
from export.bundle import ExportError

CALIBRATION_CLIPS: Final = 40
HELD_OUT_CLIPS: Final = 8
_SEEK_SECONDS: Final = 10.0


def read_footage(videos: Sequence[Path], geometry: str) -> tuple[UInt8Array, UInt8Array]:
    """Calibration clips and held-out clips, each uint8 (K, crops, 16, 224, 224, 3) RGB.

    At most CALIBRATION_CLIPS and HELD_OUT_CLIPS, spread evenly over the videos. The held-out clips are the last ones,
    at most a third, so that none overlaps the others. Raises ExportError for a file that is not a video, and for too
    little footage.
    """
    wanted = CALIBRATION_CLIPS + HELD_OUT_CLIPS
    if len(videos) > wanted:
        videos = [videos[k * len(videos) // wanted] for k in range(wanted)]
    clips: list[UInt8Array] = []
    for index, video in enumerate(videos):
        left = videos[index:]
        clips += _clips(video, geometry, -(-(wanted - len(clips)) // len(left)))
    if len(clips) < 3:
        raise ExportError(
            f"--calibration: {len(clips)} clips of {CLIP_LENGTH} frames in {len(videos)} video(s); at least 3 needed"
        )
    held_out = min(HELD_OUT_CLIPS, max(1, len(clips) // 3))
    return np.stack(clips[:-held_out]), np.stack(clips[-held_out:])


def find_videos(given: Sequence[Path]) -> list[Path]:
    """The videos among `given` files and folders, in order of their names; by default the sample footage.

    Raises ExportError for a missing path and a folder without videos, and FetchError if offline.
    """
    if not given:
        return [fetch(PinnedFile.named("samples.json", "bikes"), cache_folder("samples"))]
    videos: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise ExportError(
                    f"--calibration {path}: contains no video; searched for *{', *'.join(sorted(SUFFIXES))}"
                )
            videos += inside
        elif path.is_file():
            videos.append(path)
        else:
            raise ExportError(f"--calibration {path}: no such file or folder")
    return videos


def _clips(video: Path, geometry: str, wanted: int) -> list[UInt8Array]:
    """At most `wanted` clips, evenly spaced over the video, without overlap."""
    clips: list[UInt8Array] = []
    try:
        with av.open(f"file:{video.absolute()}", options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise ExportError(f"--calibration {video}: contains no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            tick = float(stream.time_base or 0)
            first = (stream.start_time or 0) * tick
            step = (stream.duration or 0) * tick / wanted
            at = first
            frames = _frames(container, stream)
            for index in range(wanted):
                start = first + index * step
                if start > at + _SEEK_SECONDS:
                    container.seek(round(start / tick), stream=stream)
                    frames = _frames(container, stream)
                late = dropwhile(lambda f: f.time is not None and f.time < start, frames)  # noqa: B023 -- used up before the next iteration
                pictures = list(islice(late, CLIP_LENGTH))
                at = next((frame.time for frame in reversed(pictures) if frame.time is not None), at)
                if not index and not pictures:
                    raise ExportError(f"--calibration {video}: contains no frame")
                if len(pictures) < CLIP_LENGTH:
                    break
                clips.append(_cut(pictures, geometry))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ExportError(f"--calibration {video}: cannot be read as a video: {reason}") from None
    return clips


def _cut(pictures: Sequence[VideoFrame], geometry: str) -> UInt8Array:
    """The 16 frames of a clip as uint8 (crops, 16, 224, 224, 3)."""
    clip = np.empty((crops_of(geometry), CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    if is_per_clip(geometry):
        focus_clip(pictures, clip)
    else:
        for index, picture in enumerate(pictures):
            write_crops(picture, geometry, clip[:, index])
    return clip


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Frames from the current position; damaged packets are skipped, as in `mgfn-extract`."""
    for packet in container.demux(stream):
        with suppress(av.error.InvalidDataError):
            yield from packet.decode()
