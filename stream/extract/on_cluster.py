"""The extraction on a cluster: each video is a task, and its features are written by the machine that ran it.

All machines share the folders of the videos, of the bundle and of the features. A process keeps its engine for the
tasks that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from socket import gethostname

from configs.mapping import Lost, Mapper, MapperError
from engine.engine import Engine
from engine.errors import EngineError
from stream.base.errors import UsageError
from stream.extract.extraction import Extraction, ExtractionSettings
from stream.extract.folder import FeatureFolder, Record
from stream.extract.model import Model
from stream.extract.progress import ExtractionProgress
from stream.extract.videos import VideoFile


@dataclass(frozen=True)
class Opened:
    """What a machine of the cluster says of its engine."""

    record: Record
    reason: str


@dataclass(frozen=True)
class _Task:
    video: VideoFile
    out: Path
    record: Record
    model: Model
    batch: int


@dataclass
class _Done:
    """What the extraction of one video reported: its line, and why it failed or is not complete."""

    clips: int = 0
    line: str = ""
    problem: str = ""
    damage: str = ""

    def clip(self, video: VideoFile, expected_frames: float | None) -> None:
        del video, expected_frames
        self.clips += 1

    def video(self, video: VideoFile, line: str) -> None:
        del video
        self.line = line


def opened_by(mapper: Mapper, model: Model) -> Opened:
    """Open the model on one machine, which stands for all. Raises UsageError, and MapperError if that fails."""
    ((_, opened),) = mapper.map(_opened, [model])
    if isinstance(opened, Lost):
        raise MapperError(f"--cluster: the engine could not be opened: {opened.why}")
    return opened


@dataclass
class ClusterExtraction:
    """Converts videos to feature files, the largest first. Used like `Extraction`."""

    mapper: Mapper
    model: Model
    record: Record
    batch: int
    folder: FeatureFolder
    progress: ExtractionProgress
    damaged: list[tuple[VideoFile, str]] = field(default_factory=list)

    def run(self, videos: Sequence[VideoFile]) -> list[tuple[VideoFile, str]]:
        """Extract every video; returns those that could not be, each with the reason.

        Raises UsageError if a machine does not see `--out`, or has another engine.
        """
        problems = []
        ordered = sorted(videos, key=lambda video: -video.bytes)
        tasks = [_Task(video, self.folder.path, self.record, self.model, self.batch) for video in ordered]
        for task, done in self.mapper.map(_extracted, tasks):
            video = task.video
            if isinstance(done, Lost):
                done = _Done(0, f"{video.name}: failed: {done.why}", done.why)
            self.progress.clips += done.clips
            self.progress.video(video, done.line)
            if done.problem:
                problems.append((video, done.problem))
            elif done.damage:
                self.damaged.append((video, done.damage))
        return sorted(problems, key=lambda problem: videos.index(problem[0]))


@cache
def _engine(model: Model) -> tuple[Engine, Record]:
    """The engine of this process. Raises UsageError that names the machine."""
    try:
        engine = model.open()
    except EngineError as error:
        raise UsageError(f"{gethostname()}: {error}") from None
    return engine, model.record(engine)


def _opened(model: Model) -> Opened:
    engine, record = _engine(model)
    return Opened(record, engine.reason)


def _extracted(task: _Task) -> _Done:
    """The task. A video that an earlier try has finished is done again: the result is the same."""
    engine, record = _engine(task.model)
    for key, theirs in record:
        if (wanted := getattr(task.record, key)) != theirs:
            raise UsageError(f"{gethostname()}: has {key} {theirs}, other machines {wanted}; they must be alike")
    folder = FeatureFolder(task.out, record)
    folder.check_seen()
    done = _Done()
    if not task.video.path.is_file():
        done.problem = f"{gethostname()} does not see this file; all machines must share its folder"
        done.line = f"{task.video.name}: failed: {done.problem}"
        return done
    extraction = Extraction(engine, ExtractionSettings(record.geometry, 1, task.batch), folder, done)
    for _, why in extraction.run([task.video]):
        done.problem = why
    for _, why in extraction.damaged:
        done.damage = why
    return done
