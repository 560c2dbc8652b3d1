"""The extraction: startup, main loop, shutdown. It creates its decoder processes.

Several processes decode one video each into shared rings. The main loop passes clips that are ready through the single
engine, several crops at a time, and appends the features to their files. Decoders that are ahead wait for a free slot
in their ring: no clip is dropped.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.engine import Engine
from engine.geometry import crops_of
from stream.base.processes import without_thread_pools
from stream.camera.clip_ring import ClipRing
from stream.camera.wire import WireError, bound_waiting
from stream.extract.decoder import WIRE, Decoded, Ended, Message, Opened, run_decoder
from stream.extract.folder import FeatureFile, FeatureFolder
from stream.extract.progress import Progress
from stream.extract.videos import VideoFile

_TURN: Final = 0.2
_WHOLE: Final = 0.9  # headers state only approximate numbers

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class ExtractionSettings:
    """How to read, and how much at once: `batch` crops of 16 frames pass the backbone together."""

    geometry: str
    workers: int
    batch: int


class _Decoder:
    """A decoder process, its ring, and the video that it reads."""

    def __init__(self, geometry: str, slots: int) -> None:
        self._geometry = geometry
        self.ring = ClipRing.create(slots, crops_of(geometry))
        self.start()

    def start(self) -> None:
        self.pending: deque[int] = deque()
        self.lost = False
        self.video: VideoFile | None = None
        self.ended: Ended | None = None
        self.expected: float | None = None
        self.file: FeatureFile | None = None
        without_thread_pools()
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(
            target=run_decoder, args=(self._geometry, self.ring, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        bound_waiting(self.pipe)

    def read(self, video: VideoFile) -> None:
        """Send it its next video."""
        self.video, self.ended, self.expected, self.file = video, None, None, None
        self.send(str(video.path))

    def send(self, what: int | str) -> None:
        with suppress(OSError):  # the process may have died, which is detected on receiving
            self.pipe.send(what)

    def end(self) -> None:
        """End the process: it has nothing that could be lost."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Extraction:
    """Converts videos to feature files. `run` does everything."""

    def __init__(self, engine: Engine, settings: ExtractionSettings, folder: FeatureFolder, progress: Progress) -> None:
        self._engine = engine
        self._settings = settings
        self._folder = folder
        self._progress = progress
        self._clips_a_turn = max(1, settings.batch // crops_of(settings.geometry))
        self._decoders: list[_Decoder] = []
        self._problems: list[tuple[VideoFile, str]] = []
        self.damaged: list[tuple[VideoFile, str]] = []  # extracted, but not completely readable

    def run(self, videos: Sequence[VideoFile]) -> list[tuple[VideoFile, str]]:
        """Extract every video; returns those that could not be, each with the reason.

        Raises StreamError if a feature file cannot be written. No partial file remains in any case.
        """
        waiting = deque(videos)
        try:
            workers = min(self._settings.workers, len(waiting))
            for _ in range(workers):
                slots = ceil(self._clips_a_turn / workers) + 1
                self._decoders.append(_Decoder(self._settings.geometry, slots))
            while True:
                for decoder in self._decoders:
                    if decoder.video is None and waiting:
                        decoder.read(waiting.popleft())
                if all(decoder.video is None for decoder in self._decoders):
                    return self._problems
                self._receive()
                self._pass_clips()
                for decoder in self._decoders:
                    if decoder.ended is not None and not decoder.pending:
                        self._finish(decoder, decoder.ended)
        finally:
            for decoder in self._decoders:
                decoder.end()
                decoder.ring.close()
                if decoder.file is not None:
                    decoder.file.abandon()

    def _receive(self) -> None:
        """Receive all available messages; wait for one only if no clip is ready."""
        ready = any(decoder.pending for decoder in self._decoders)
        by_pipe = {decoder.pipe: decoder for decoder in self._decoders if decoder.video is not None}
        for pipe in wait(list(by_pipe), 0 if ready else _TURN):
            assert isinstance(pipe, Connection)  # noqa: S101 -- only pipes were waited for
            decoder = by_pipe[pipe]
            try:
                while pipe.poll():
                    self._take(decoder, WIRE.received(pipe))
            except (EOFError, OSError, WireError):
                decoder.lost = True
                decoder.ended = Ended(0, 0, "its decoder process was lost")
                decoder.pending.clear()

    def _take(self, decoder: _Decoder, message: Message) -> None:
        match message:
            case Opened(frames):
                decoder.expected = frames
            case Decoded(slot):
                if not 0 <= slot < decoder.ring.slots:
                    raise WireError(f"slot {slot}")
                decoder.pending.append(slot)
            case Ended():
                decoder.ended = message

    def _pass_clips(self) -> None:
        """Pass at most one batch of clips through the backbone, in order within each video."""
        taken: list[_Decoder] = []
        crops = []
        for decoder in self._decoders:
            while decoder.pending and len(taken) < self._clips_a_turn:
                slot = decoder.pending.popleft()
                crops.append(decoder.ring.clips[slot].copy())
                decoder.send(slot)  # the decoder refills it while the engine works
                taken.append(decoder)
        if not taken:
            return
        flat, batch = np.concatenate(crops), self._settings.batch
        passed = [self._engine.backbone_features(flat[at : at + batch]) for at in range(0, len(flat), batch)]
        published = np.concatenate(passed)[:, -self._engine.published_channels :]
        features = published.reshape(len(taken), len(flat) // len(taken), -1)
        for decoder, clip in zip(taken, features, strict=True):
            assert decoder.video is not None  # noqa: S101 -- its clips belong to a video
            if decoder.file is None:
                decoder.file = self._folder.begin(decoder.video.name)
            decoder.file.append(clip)
            self._progress.clip(decoder.video, decoder.expected)

    def _finish(self, decoder: _Decoder, ended: Ended) -> None:
        """The video has ended and all its clips were processed: rename its file, or delete it."""
        video, file = decoder.video, decoder.file
        assert video is not None  # noqa: S101 -- the video that ended was being read
        problem = ended.problem
        if problem is None and file is None:
            problem = _too_few(ended)
        if problem is not None:
            self._problems.append((video, problem))
            if file is not None:
                file.abandon()
            self._progress.video(video, f"{video.name}: failed: {problem}")
        elif file is not None:
            file.finish()
            if why := _damage(ended, decoder.expected):
                self.damaged.append((video, why))
            self._progress.video(video, f"{video.name}: {_summary(file.clips, ended)}")
        decoder.video = decoder.ended = decoder.file = None
        if decoder.lost:
            decoder.end()
            decoder.start()


def _too_few(ended: Ended) -> str:
    """Why a video that was read to its end produced no clip."""
    said = f"{ended.frames} frames; a clip needs at least {CLIP_LENGTH}"
    if ended.frames >= CLIP_LENGTH:
        said = f"{ended.frames} frames, but never {CLIP_LENGTH} without a gap"
    return f"damaged: {said}; {ended.corrupt} corrupt ones left out" if ended.corrupt else said


def _damage(ended: Ended, expected: float | None) -> str:
    """What is missing from an extracted video; nothing if only its headers are slightly wrong."""
    found = [f"{ended.corrupt} corrupt frames left out"] if ended.corrupt else []
    if expected is not None and ended.frames + ended.corrupt < _WHOLE * expected:
        found.append(f"{ended.frames} of the {expected:.0f} frames that its headers state")
    return ", ".join(found)


def _summary(clips: int, ended: Ended) -> str:
    left_out = ended.frames - clips * CLIP_LENGTH
    said = f"{clips} clips"
    if left_out:
        said += f", {left_out} of {ended.frames} frames in no clip"
    return f"{said}, {ended.corrupt} corrupt ones left out" if ended.corrupt else said
