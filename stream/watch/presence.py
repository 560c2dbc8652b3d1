"""Whether a camera delivers frames, and how well. Pure: times are passed in, in seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream.base.errors import Reason
from stream.camera.messages import CameraState, Counters, StateChanged

DEGRADED_FOR: Final = 30.0
OVERLOADED: Final = "clips were dropped: the machine cannot keep up"
UNSCORABLE: Final = "clips were dropped: the engine returned NaN or infinity"
DAMAGED: Final = "clips were not scored: the video arrives damaged; check the network, or the camera's transport"
ENGINE_CHANGED: Final = "the engine failed, and another one took over"
CORRUPT: Final = "many frames cannot be decoded: check the network, or the camera's transport"
_CORRUPT_SHARE: Final = 0.2
_CORRUPT_BEATS: Final = 10
_HOUR: Final = 3600.0
_LOSSES: Final = 1_000


class Presence:
    """`away_since` is when the last frame came; None while the camera delivers."""

    def __init__(self, enabled: bool, now: float) -> None:
        self.state = CameraState.CONNECTING
        self.counters = Counters(0.0, 0, 0, 0, 0)
        self.enabled = enabled
        self.shed_clips = 0
        self.unscorable_clips = 0
        self.away_since: float | None = now
        self._away_for = ""
        self._degraded_until, self._degraded_by = float("-inf"), ""
        self._corrupt_beats = 0  # heartbeats in a row with many frames that cannot be decoded
        self._losses: tuple[tuple[float, Reason | None], ...] = ()

    @property
    def available(self) -> bool:
        return self.state is CameraState.ONLINE

    def changed(self, message: StateChanged, now: float) -> None:
        """The decoder reports another state."""
        was, self.state = self.state, message.state
        self._away_for = message.reason or ""
        if message.state is CameraState.ONLINE:
            self.away_since = None
        elif was is CameraState.ONLINE:
            self.away_since = now
            # never changed in place: other threads read it
            self._losses = (*self._losses[1 - _LOSSES :], (now, message.reason))

    def restarted(self) -> None:
        """The decoder process is a new one, and counts from 0 again."""
        self.counters = Counters(0.0, 0, 0, 0, 0)

    def counted(self, counters: Counters, now: float) -> None:
        """The decoder's heartbeat."""
        if counters.dropped_clips > self.counters.dropped_clips:
            self._degrade(OVERLOADED, now)
        if counters.damaged_clips > self.counters.damaged_clips:
            self._degrade(DAMAGED, now)
        corrupt = counters.corrupt_frames - self.counters.corrupt_frames
        many = corrupt > _CORRUPT_SHARE * (corrupt + counters.frames - self.counters.frames)
        self._corrupt_beats = self._corrupt_beats + 1 if corrupt > 0 and many else 0
        if self._corrupt_beats >= _CORRUPT_BEATS:
            self._degrade(CORRUPT, now)
        self.counters = counters

    def shed(self, now: float) -> None:
        """A clip was dropped because scoring could not keep up."""
        self.shed_clips += 1
        self._degrade(OVERLOADED, now)

    def unscorable(self, now: float) -> None:
        """A clip was dropped because the engine returned no finite numbers for it."""
        self.unscorable_clips += 1
        self._degrade(UNSCORABLE, now)

    def engine_changed(self, at: float) -> None:
        """Another backend scores since monotonic time `at`."""
        self._degrade(ENGINE_CHANGED, at)

    def _degrade(self, reason: str, now: float) -> None:
        self._degraded_until, self._degraded_by = now + DEGRADED_FOR, reason

    def set_enabled(self, enabled: bool, now: float) -> bool:
        """Returns whether this switched it on."""
        switched_on = enabled and not self.enabled
        if switched_on:
            self.away_since = None if self.available else now
        self.enabled = enabled
        return switched_on

    def status(self, now: float, scene_problem: str, *, window_full: bool) -> str:
        """`disabled`, `offline`, `degraded` (see `problem`), `warming` (window not full) or `online`."""
        if not self.enabled:
            return "disabled"
        if not self.available:
            return "offline"
        if now < self._degraded_until or scene_problem or self.counters.problem:
            return "degraded"
        return "online" if window_full else "warming"

    def problem(self, now: float, scene_problem: str) -> str:
        """Why it is offline or degraded, "" if it is not."""
        if not self.enabled:
            return ""
        if self.state is CameraState.OFFLINE:
            return str(self._away_for)
        if problem := scene_problem or self.counters.problem:
            return problem
        return self._degraded_by if now < self._degraded_until else ""

    def health(self, now: float) -> Iterator[tuple[str, object]]:
        """Its part of what `/healthz` and `stats` say of the camera."""
        lately = [reason for at, reason in self._losses if now - at <= _HOUR]
        yield "fps", round(self.counters.fps, 1)
        yield "frames", self.counters.frames
        yield "corrupt_frames", self.counters.corrupt_frames
        yield "dropped_clips", self.counters.dropped_clips + self.shed_clips
        yield "unscorable_clips", self.unscorable_clips
        yield "broken_clips", self.counters.broken_clips
        yield "damaged_clips", self.counters.damaged_clips
        yield "late_frames", self.counters.late_frames
        yield "reconnects", self.counters.reconnects
        yield "reconnects_last_hour", len(lately)
        yield "stalls_last_hour", lately.count(Reason.STALLED)
