"""The self-test: a known incident passes through a test camera, to the broker and back.

On a schedule, a recording of an incident is played to a separate decoder, scored by the same engine beside the cameras,
and must become an alarm that comes back from the broker. Its messages are marked as tests, and nothing else of the test
camera is published or stored. Pure, except for the cache of the recording: time is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from configs.pinned import PinnedFile, cache_folder
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule
from stream.base.addresses import SELF_TEST_CAMERA, Source
from stream.base.foreign_json import foreign_json
from stream.base.processes import end_with_parent
from stream.service.staged_footage import INCIDENT, LENGTH, recording_began, staged_footage
from stream.settings.settings import CameraConfig

FIRST_AFTER: Final = 600.0
_RENDERED_WITHIN: Final = 300.0
_HEARD_WITHIN: Final = LENGTH + 30.0
_NEAR: Final = 3.0


class Stage(StrEnum):
    """How far the incident has got; each value is the reason for a failure if nothing follows."""

    NO_FOOTAGE = "the sample footage is not in the cache; run make demo"
    RENDERING = "the recording could not be created"
    STARTED = "no clip was scored"
    SCORED = "the incident raised no alarm"
    RAISED = "the alarm did not come back from the broker"
    PASSED = "passed"


@dataclass(frozen=True)
class Result:
    """The last run: whether it passed (None: none yet), when that became known (steady time), and how far it came."""

    passed: bool | None
    at: float | None
    said: str


def cached_sample() -> Path | None:
    """The footage, if it is in the cache: a self-test downloads nothing."""
    path = cache_folder("samples") / Path(PinnedFile.named("samples.json", "bikes").member).name
    return path if path.is_file() else None


def render(pipe: Any) -> None:
    """Body of the process that renders the recording, once."""
    end_with_parent()
    sample = cached_sample()
    if sample is not None:
        pipe.send(str(staged_footage(sample, cache_folder("samples"))))


class SelfTest:
    """When to run and what came of it. `every` in seconds; `now` is a monotonic clock's, `steady` steady time."""

    def __init__(self, every: float, now: float, sample: Callable[[], Path | None] = cached_sample) -> None:
        self._every = every
        self._sample = sample
        self._due = now + min(every, FIRST_AFTER)
        self._until: float | None = None  # when a run that has not finished fails
        self._began = 0.0
        self._stage = Stage.NO_FOOTAGE
        self._event: str | None = None
        self.result = Result(None, None, "not run yet")
        self.last_pass: float | None = None  # steady time

    def due(self, now: float, steady: float) -> bool:
        """Whether to begin; if so, the recording must be rendered next."""
        if self._until is not None or now < self._due:
            return False
        self._due = now + self._every
        if self._sample() is None:
            self.result = Result(None, steady, Stage.NO_FOOTAGE)
            return False
        self._stage, self._event, self._until = Stage.RENDERING, None, now + _RENDERED_WITHIN
        return True

    def camera(self, recording: str, alarm: AlarmSettings, now: float, zone: tzinfo | None = None) -> CameraConfig:
        """The test camera that plays the recording from now on; `zone` is for the `local_time` of its events."""
        self._stage, self._until = Stage.STARTED, now + _HEARD_WITHIN
        source = Source(SELF_TEST_CAMERA, recording, live=False)
        return CameraConfig(source, alarm, schedule=Schedule(zone=zone), is_self_test=True)

    def scored(self, start: float, clip: int) -> None:
        """A clip of the test camera was scored."""
        self._began = recording_began(start, clip)
        if self._stage is Stage.STARTED:
            self._stage = Stage.SCORED

    def raised(self, event_id: str, start: float) -> None:
        """An alarm began. It counts if it is at the incident."""
        if INCIDENT[0] - _NEAR <= start - self._began <= INCIDENT[1] + _NEAR and self._stage is Stage.SCORED:
            self._stage, self._event = Stage.RAISED, event_id

    def heard(self, payload: bytes, steady: float) -> bool:
        """An event message came back from the broker. Returns whether it is the expected one."""
        if self._event is None or self._event.encode() not in payload:
            return False
        try:
            told = foreign_json(payload)
        except ValueError:
            return False
        if not isinstance(told, dict) or told.get("id") != self._event or told.get("test") is not True:
            return False
        self._finish(True, steady, Stage.PASSED)
        return True

    def overdue(self, now: float, steady: float) -> bool:
        """Whether a run has just timed out."""
        if self._until is None or now < self._until:
            return False
        self._finish(False, steady, self._stage)
        return True

    def due_in(self, now: float) -> float:
        """Seconds until the next run."""
        return max(0.0, self._due - now)

    @property
    def running(self) -> bool:
        return self._until is not None

    def _finish(self, passed: bool, steady: float, said: str) -> None:
        self._until = self._event = None
        if passed:
            self.last_pass = steady
        self.result = Result(passed, steady, said)

    def memory(self) -> str:
        """The last result, to be stored over a restart; `recall` reads it."""
        return json.dumps({"result": astuple(self.result), "last_pass": self.last_pass})

    def recall(self, memory: str) -> None:
        kept = json.loads(memory)
        self.result, self.last_pass = Result(*kept["result"]), kept["last_pass"]

    def as_json(self, steady: float, shift: float) -> dict[str, Any]:
        """What the topic and the page show: `last_pass` is an epoch time, `age` the seconds since, None without one.

        The wall clock is `shift` ahead of steady time.
        """
        age = None if self.last_pass is None else round(max(0.0, steady - self.last_pass))
        at, last = (None if time is None else time + shift for time in (self.result.at, self.last_pass))
        return {"passed": self.result.passed, "said": self.result.said, "time": at, "last_pass": last, "age": age}
