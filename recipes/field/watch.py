"""A camera that shows a recording: the live path from a clip's feature to the alarms, without images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.sizes import WINDOW
from engine.arrays import FloatArray
from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended
from recipes.field.features import Footage
from recipes.field.judge import Alarm
from recipes.field.parts import logit, probe_logits, without_probes
from recipes.field.recordings import Recording
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.alarm.tail import AlarmCounts, grid
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig
from stream.watch.watched_camera import WatchedCamera

HISTORY: Final = 300.0  # seconds
_MODEL: Final = ModelName("field", "0" * 64, "torch", "")

Part = tuple[slice, FloatArray]


@dataclass(frozen=True)
class Scores:
    """Scores of the clips of one recording: `whole` (n,); `calm`, the part that makes a history (None without one);
    `judged`, the part after it; `halves` of its ordinary part. The slices select the clips.
    """

    whole: FloatArray
    calm: Part | None
    judged: Part
    halves: tuple[Part, Part]


@dataclass(frozen=True)
class Watched:
    """The result. `begin`, `end`: the judged part in seconds of media time; `z`: score of each clip, in spreads."""

    alarms: tuple[Alarm, ...]
    begin: float
    end: float
    times: FloatArray
    z: FloatArray
    threshold: float
    had_history: bool


PartedClips = tuple[slice, NDArray[np.float64], NDArray[np.float64]]
Combine = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Parted:
    """Like `Scores`, but with separate logits of the network (n,) and the probes (n, K)."""

    whole: PartedClips
    calm: PartedClips | None
    judged: PartedClips
    halves: tuple[PartedClips, PartedClips]

    def scores(self, combine: Combine) -> Scores:
        """The scores of a head whose logit is `combine(network's logits, probes' logits)`."""

        def together(clips: PartedClips) -> Part:
            return clips[0], (1 / (1 + np.exp(-combine(clips[1], clips[2])))).astype(np.float32)

        calm = together(self.calm) if self.calm and len(self.calm[1]) else None
        first, second = self.halves
        return Scores(together(self.whole)[1], calm, together(self.judged), (together(first), together(second)))


def score(recording: Recording, footage: Footage, head: Extended, window: int = WINDOW) -> Parted:
    """Pass the recording through the head as one connection, and each of its parts as a connection of its own.

    The network sees at most `window` clips.
    """
    network = without_probes(head)
    return divided(
        recording,
        footage,
        lambda features: logit(newest_scores(network, features, window)),
        probe_logits(head, footage.features),
    )


def divided(
    recording: Recording,
    footage: Footage,
    network: Callable[[FloatArray], NDArray[np.float64]],
    probes: NDArray[np.float64],
) -> Parted:
    """Like `score`, with any function from features (n, crops, C) of a connection to logits (n,), and any probes."""

    def part(begin: float, end: float) -> PartedClips:
        within = np.flatnonzero((footage.start >= begin) & (footage.end <= end + 1e-6))
        clips = slice(int(within[0]), int(within[-1]) + 1) if len(within) else slice(0, 0)
        features = footage.features[clips]
        return clips, network(features) if len(features) else np.empty(0), probes[clips]

    length = footage.length
    whole = part(0.0, length)
    calm = recording.calm(length)
    begin, end = (0.0, length) if recording.incident is None else calm or (0.0, 0.0)
    halves = part(begin, (begin + end) / 2), part((begin + end) / 2, end)
    if recording.incident is None:
        return Parted(whole, halves[0], halves[1], halves)
    return Parted(whole, part(*calm) if calm else None, whole, halves)


def history(footage: Footage, calm: Part | None, settings: CalibrationSettings, alarm: AlarmSettings) -> str | None:
    """What a camera learns from its calm part, repeated for five minutes; None without a calm part."""
    if calm is None or not len(calm[1]):
        return None
    part, raw = calm
    camera, shift, connection = new_camera(settings, alarm), 0.0, 0
    start, end = footage.start[part], footage.end[part]
    while shift < HISTORY:
        show(camera, footage, part, raw, connection, shift - start[0])
        shift += end[-1] - start[0]
        connection += 1
    return json.dumps(camera.learner.to_json())


def watch(
    footage: Footage,
    part: slice,
    raw: FloatArray,
    settings: CalibrationSettings,
    alarm: AlarmSettings,
    learnt: str | None = None,
) -> Watched:
    """Show the clips of `part` to a camera that starts with what it has `learnt`."""
    camera = new_camera(settings, alarm)
    if learnt is not None:
        camera.learner.recall(json.loads(learnt))
    threshold = camera.learner.in_force().threshold_on
    alarms, scores = show(camera, footage, part, raw, 0, 0.0)
    times = footage.start[part]
    begin, end = (float(times[0]), float(footage.end[part][-1])) if len(times) else (0.0, 0.0)
    z = np.array([settings.z_of(value) for value in scores])
    return Watched(tuple(alarms), begin, end, times, z, settings.z_of(threshold), learnt is not None)


def count(
    footage: Footage, scores: Scores, settings: CalibrationSettings, alarm: AlarmSettings
) -> tuple[NDArray[np.float64], float]:
    """Alarms at each threshold of the learner's grid (64,), and the seconds in which they were counted.

    Each half of the ordinary part is counted after the camera has learned from the other half.
    """
    total, seconds = np.zeros(len(grid(settings))), 0.0
    for learnt_from, counted in (scores.halves, scores.halves[::-1]):
        learnt = history(footage, learnt_from, settings, alarm)
        if learnt is None:
            continue
        counts, part = AlarmCounts(settings, alarm), counted[0]
        camera = new_camera(settings, alarm)
        camera.learner.recall(json.loads(learnt))
        _, values = show(camera, footage, *counted, 0, 0.0)
        for start, end, value in zip(footage.start[part], footage.end[part], values, strict=True):
            counts.advance(float(start), float(end), settings.z_of(value))
        alarms, watched = counts.remembered(1e6)
        total, seconds = total + alarms, seconds + watched
    return total, seconds


def new_camera(settings: CalibrationSettings, alarm: AlarmSettings) -> WatchedCamera:
    """A camera that has seen nothing."""
    config = CameraConfig(Source("recording", "recording", live=False), alarm)
    return WatchedCamera(config, _MODEL, calibration=settings)


def _nothing_explained(window: FloatArray) -> FloatArray:
    return np.zeros(len(window), np.float32)


def show(
    camera: WatchedCamera, footage: Footage, part: slice, raw: FloatArray, connection: int, shift: float
) -> tuple[list[Alarm], list[float]]:
    """Show clips to a camera, as a connection of their own. Returns the alarms and the score of each clip."""
    scores: list[float] = []
    messages: list[tuple[EventMessage | None, float]] = []
    clips = zip(footage.start[part], footage.end[part], footage.features[part], raw, strict=True)
    for index, (start, end, feature, value) in enumerate(clips):
        clip = ClipReady(connection, index, float(start) + shift, float(end) + shift, 0.0, 0)
        camera.push(clip, feature)
        scored = camera.scored(clip, np.array([value], np.float32), _nothing_explained)
        scores.append(scored.score)
        messages.append((scored.event, clip.end))
    messages += [(message, 0.0) for message in camera.close("end_of_stream", 0.0)]
    return list(_alarms(messages)), scores


def _alarms(messages: Iterable[tuple[EventMessage | None, float]]) -> Iterator[Alarm]:
    """The alarms that count, from each message and the end of the clip that caused it."""
    rang = 0.0
    for message, at in messages:
        if message is None or message.suppressed is not None or message.severity != "alarm":
            continue
        if message.type == "new":
            rang = at
        elif message.type == "end" and message.end_time is not None:
            yield Alarm(message.start_time, rang, message.end_time, message.id)
