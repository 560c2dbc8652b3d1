"""Progress of an extraction: a line for each video and, on a terminal, a progress bar below."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from configs.sizes import CLIP_LENGTH
from stream.extract.videos import VideoFile


class Progress(Protocol):
    """What an extraction tells."""

    def clip(self, video: VideoFile, expected_frames: float | None) -> None:
        """A clip of `video` was processed."""
        ...

    def video(self, video: VideoFile, line: str) -> None:
        """`video` has finished or failed; `line` says which."""
        ...


class ExtractionProgress:
    """Counts clips, and estimates the remaining time from the sizes of finished videos. Context manager."""

    def __init__(self, videos: int, total_bytes: int, console: Console) -> None:
        self.clips = self.finished = 0
        self._videos = videos
        self._console = console
        self._began = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"))
        self._bar = Bar(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("", total=max(total_bytes, 1), rate="")
        self._shares: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        self._show(0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def clip(self, video: VideoFile, expected_frames: float | None) -> None:
        """A clip of `video` was processed."""
        self.clips += 1
        share = 0.0
        if expected_frames:
            before = self._shares.get(video.name, 0.0)
            self._shares[video.name] = min(1.0, before + CLIP_LENGTH / expected_frames)
            share = self._shares[video.name] - before
        self._show(share * video.bytes)

    def video(self, video: VideoFile, line: str) -> None:
        """`video` has finished or failed; `line` says which."""
        self.finished += 1
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._show((1.0 - self._shares.pop(video.name, 0.0)) * video.bytes)

    def _show(self, advance: float) -> None:
        rate = self.clips / max(time.monotonic() - self._began, 1e-3)
        self._bar.update(
            self._task,
            advance=advance,
            description=f"video {min(self.finished + 1, self._videos)} of {self._videos}",
            rate=f"{rate:.1f} clips/s, left",
        )
