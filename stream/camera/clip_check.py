"""Checks that a saved clip is complete, by decoding it in small steps so that the camera does not wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import av.error

_WHOLE: Final = 0.9  # networks lose some packets; a clip that cannot be decoded loses nearly all
_WORTH_KEEPING: Final = 0.5
_AT_MOST: Final = 30.0


@dataclass(frozen=True)
class WrittenClip:
    """A closed file that has not been renamed yet, with a description of what was written into it."""

    event: str
    partial: Path
    path: Path
    packets: int
    seconds: float


class ClipCheck:
    """Decodes one clip. Once `advance` has returned True, `problem` is "" if the clip is complete."""

    def __init__(self, clip: WrittenClip) -> None:
        self.clip = clip
        self.problem = ""
        self.worth_keeping = True
        self._until = time.monotonic() + _AT_MOST
        self._work = self._decode()

    def advance(self, seconds: float) -> bool:
        """Work for so many seconds; returns whether the check has finished. After 30 s it uses what was decoded
        so far.
        """
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if now > self._until:
                return True
            if next(self._work, None) is None:
                return True
        return False

    def _decode(self) -> Iterator[bool]:
        pictures, first, last = 0, 0.0, 0.0
        try:
            with av.open(str(self.clip.partial)) as container:
                stream = container.streams.video[0]
                stream.thread_count = 1
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.error.InvalidDataError:
                        frames = []
                    for frame in frames:
                        last = frame.time or 0.0
                        first = last if not pictures else first
                        pictures += 1
                    yield True
        except (av.error.FFmpegError, OSError, ValueError, IndexError):
            pictures = 0
        expected = self.clip.packets
        if pictures < _WHOLE * expected:
            self.problem = f"{pictures} of {expected} frames of the clip can be decoded"
            self.worth_keeping = pictures >= _WORTH_KEEPING * expected
        elif last - first < _WHOLE * self.clip.seconds:
            self.problem = f"the clip lasts {last - first:.1f} s instead of {self.clip.seconds:.1f} s"
