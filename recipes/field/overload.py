"""Which incidents are still found under overload: the scheduler of `mgfn-stream`, and the oldest clip first.

    python -m recipes.field.overload

The judged recordings are divided among 24 cameras, which show them one after the other, each as a camera of its own
that has learned from its calm part, with the prior that ships. An engine scores one clip at a time, and takes so long
that it needs once, twice or four times the available time. Simulated time, so the result is always the same. Features
are those of `recipes.field_head` (float32), heads those of `make field`. Prints a table.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import platformdirs
import torch

from engine.arrays import FloatArray
from mgfn.extended import Extended
from recipes.field.__main__ import ALARM, fold_heads_of
from recipes.field.bench import Held, at_budget
from recipes.field.features import Footage
from recipes.field.judge import Alarm, Verdict, judge
from recipes.field.parts import all_together
from recipes.field.recordings import Recording, benchmark_recordings
from recipes.field.still import ROOT
from recipes.field.watch import history, new_camera, score
from recipes.field_head import train
from recipes.field_head.data import Recording as LabelledRecording
from recipes.field_head.data import all_recordings
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import EventMessage
from stream.camera.messages import ClipReady
from stream.watch.scheduling import LONGEST_WAIT, Scheduler, Standing
from stream.watch.watched_camera import WatchedCamera

CHANNELS: Final = 2688
CAMERAS: Final = 24
OVERLOADS: Final = (1.0, 2.0, 4.0)
BUDGETS: Final = (240.0,)  # false alarms a day
PAUSE: Final = 2.0  # seconds between two recordings of a camera


@dataclass(eq=False)
class Line:
    """A camera that shows recordings one after the other."""

    shown: Show | None = None
    pending_clips: deque[ClipReady] = field(default_factory=deque)

    @property
    def standing(self) -> Standing:
        return Standing(False, self.shown.camera.alarm.nearness if self.shown else 0.0)


@dataclass
class Show:
    """A recording as a camera shows it: scored clips alone enter the window."""

    recording: Recording
    footage: Footage
    head: Extended
    camera: WatchedCamera
    begin: float
    window: list[FloatArray] = field(default_factory=list)
    messages: list[tuple[EventMessage | None, float]] = field(default_factory=list)

    def take(self, clip: ClipReady) -> None:
        feature = self.footage.features[clip.clip]
        self.window = [*self.window[-31:], feature]
        with torch.inference_mode():
            scores = self.head(torch.from_numpy(np.stack(self.window))[None]).scores[0].numpy()
        self.camera.push(clip, feature)
        scored = self.camera.scored(clip, scores, lambda window: np.zeros(len(window), np.float32))
        self.messages.append((scored.event, clip.end))

    def verdict(self) -> Verdict:
        messages = [*self.messages, *((m, 0.0) for m in self.camera.close("end_of_stream", 0.0))]
        alarms, rang = [], 0.0
        for message, at in messages:
            if message is None or message.suppressed is not None or message.severity != "alarm":
                continue
            if message.type == "new":
                rang = at
            elif message.type == "end" and message.end_time is not None:
                alarms.append(Alarm(message.start_time, rang, message.end_time, message.id))
        return judge(alarms, self.recording.incident, 0.0, self.footage.length)


class Policy(Protocol):
    def next_batch(self, lines: Sequence[Line], size: int, now: float) -> list[Line]: ...
    def overdue(self, lines: Sequence[Line], now: float) -> list[Line]: ...


class OldestFirst:
    """What `mgfn-stream` did before: the clip that waited longest is next, and all cameras drop the same share."""

    def __init__(self) -> None:
        self._gave: list[Line] = []
        self._left = 0

    def next_batch(self, lines: Sequence[Line], size: int, now: float) -> list[Line]:
        del now
        return sorted((line for line in lines if line.pending_clips), key=_oldest)[:size]

    def overdue(self, lines: Sequence[Line], now: float) -> list[Line]:
        if not any(now - clip.arrival > LONGEST_WAIT for line in lines for clip in line.pending_clips):
            return []
        waiting = sorted((line for line in lines if line.pending_clips), key=_oldest)
        candidates = [line for line in waiting if line not in self._gave]
        if not candidates:
            last, self._gave = self._gave[-1], []
            candidates = [line for line in waiting if line is not last] or waiting
        self._gave.append(candidates[0])
        return candidates[:1]


def _oldest(line: Line) -> float:
    return line.pending_clips[0].arrival


def simulate(shows: Sequence[Show], policy: Policy, overload: float) -> int:
    """Show all recordings; returns how many clips were dropped."""
    lines, free_at = [Line() for _ in range(CAMERAS)], np.zeros(CAMERAS)
    arrivals: list[tuple[float, int, Show, int]] = []
    for show in shows:
        number = int(free_at.argmin())
        show.begin = float(free_at[number]) + PAUSE * (number + 1) / CAMERAS
        arrivals += [(show.begin + float(end), number, show, clip) for clip, end in enumerate(show.footage.end)]
        free_at[number] = show.begin + show.footage.length + PAUSE
    arrivals.sort(key=lambda row: row[:2])
    cost = 0.95 * overload * float(np.median(free_at)) / len(arrivals)
    now, dropped, left = 0.0, 0, deque(arrivals)
    while left or any(line.pending_clips for line in lines):
        while left and left[0][0] <= now:
            at, number, show, clip = left.popleft()
            line = lines[number]
            if line.shown is not show:
                line.pending_clips.clear()
                line.shown = show
            start, end = float(show.footage.start[clip]), float(show.footage.end[clip])
            line.pending_clips.append(ClipReady(0, clip, start, end, at, 0))
        while overdue := policy.overdue(lines, now):
            for line in overdue:
                line.pending_clips.popleft()
            dropped += len(overdue)
        if batch := policy.next_batch(lines, 1, now):
            assert batch[0].shown is not None
            batch[0].shown.take(batch[0].pending_clips.popleft())
            now += cost
        elif left:
            now = left[0][0]
    return dropped


def footage_of(recording: LabelledRecording, cache: Path) -> Footage:
    with np.load(cache / "focus" / f"{recording.name.replace('/', '__')}.npz") as file:
        return Footage(file["start"], file["end"], file["features"][:, None, :CHANNELS])


def main() -> None:
    torch.set_num_threads(1)
    cache = Path(platformdirs.user_cache_dir("mgfn-stream"))
    labelled = all_recordings(ROOT.parent / "shared" / "data")
    recordings = benchmark_recordings(labelled.values())
    of_path = {recording.path: labelled[name] for name, recording in labelled.items()}
    folder = cache / "field-head"
    seen = {r.name: footage_of(of_path[r.path], folder) for r in recordings}
    heads = fold_heads_of(cache, labelled)
    prior = CalibrationSettings.from_mapping(train.CALIBRATION)
    held = [
        Held(prior, {r.name: score(r, seen[r.name], h).scores(all_together) for r in recordings
                     if r.source in sources and r.judged})
        for sources, h in heads
    ]  # fmt: skip
    head_of = {source: head for sources, head in heads for source in sources}
    judged = {r.name: r for r in recordings if r.judged}
    print("| false alarms a day | overload | policy | clips dropped | incidents found | violent ones | false alarms |")
    print("|---|---|---|---|---|---|---|")
    policies: dict[str, Callable[[], Policy]] = {"oldest first": OldestFirst, "nearest to an alarm first": Scheduler}
    for budget, overload, (name, policy) in product(BUDGETS, OVERLOADS, policies.items()):
        shows = _shows(held, judged, seen, head_of, budget)
        dropped = simulate(shows, policy(), overload)
        share = dropped / sum(len(show.footage.end) for show in shows)
        print(f"| {budget:g} | {overload:g} x | {name} | {share:.0%} | {_row(shows)} |", flush=True)


def _shows(
    held: Sequence[Held],
    judged: Mapping[str, Recording],
    seen: Mapping[str, Footage],
    head_of: Mapping[str, Extended],
    budget: float,
) -> list[Show]:
    """Every judged recording before a new camera that has learned from its calm part, in an order drawn once."""
    alarm = at_budget(ALARM, budget)
    shows = []
    for group in held:
        for name, scores in group.scores.items():
            if not len(seen[name].end):
                continue
            camera = new_camera(group.settings, alarm)
            if (learnt := history(seen[name], scores.calm, group.settings, alarm)) is not None:
                camera.learner.recall(json.loads(learnt))
            shows.append(Show(judged[name], seen[name], head_of[judged[name].source], camera, 0.0))
    shows.sort(key=lambda show: show.recording.name)
    order = np.random.default_rng(0).permutation(len(shows))
    return [shows[index] for index in order]


def _row(shows: Sequence[Show]) -> str:
    verdicts = [(show.recording.incident, show.verdict()) for show in shows]
    incidents = [(i, v) for i, v in verdicts if i is not None]
    violent = [v for i, v in incidents if i.violent]
    found, of_violent = sum(v.found for _, v in incidents), sum(v.found for v in violent)
    return f"{found} of {len(incidents)} | {of_violent} of {len(violent)} | {sum(v.false for _, v in verdicts)}"


if __name__ == "__main__":
    main()
