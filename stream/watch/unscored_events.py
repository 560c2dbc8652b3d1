"""Events that are not caused by scores: requested tests, and lost cameras. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream.alarm.event import Event, EventMessage, Moment
from stream.watch.presence import Presence

TEST_LASTS: Final = 2.0

BeginEvent = Callable[[float], Event]  # an event that starts at that steady time


class RequestedTest:
    """One test event at a time; times are steady."""

    def __init__(self) -> None:
        self.event: Event | None = None

    @property
    def open(self) -> bool:
        return self.event is not None

    def begin(self, steady: float, event: BeginEvent, score: float, window: int) -> EventMessage | None:
        """The `new` of a test event; None while one is open."""
        if self.event is not None:
            return None
        self.event = event(steady)
        return self.event.new(Moment(score, score, window, steady))

    def end(self, steady: float, *, stopping: str = "") -> EventMessage | None:
        """The `end` of the test event once it is over, or for the reason `stopping`."""
        event = self.event
        if event is None or (steady - event.start_time < TEST_LASTS and not stopping):
            return None
        self.event = None
        return event.end(None, steady, stopping or "test")


class CameraLoss:
    """The `camera_lost` event; `now` is a monotonic clock's, `steady` steady time."""

    def __init__(self) -> None:
        self.event: Event | None = None

    def begin(
        self, now: float, steady: float, presence: Presence, lost_after: float, event: BeginEvent
    ) -> EventMessage | None:
        """The `new` once the camera has been away for too long."""
        if self.event is not None or presence.away_since is None or not presence.enabled:
            return None
        away = now - presence.away_since
        if away < lost_after:
            return None
        start = steady - away
        self.event = event(start)
        return self.event.new(Moment(0.0, 0.0, 0, start))

    def end(self, steady: float, presence: Presence, *, stopping: str = "") -> EventMessage | None:
        """The `end` once the camera is back or disabled, or for the reason `stopping`."""
        event = self.event
        if event is None or (presence.away_since is not None and presence.enabled and not stopping):
            return None
        self.event = None
        return event.end(None, steady, stopping or ("returned" if presence.enabled else "disabled"))
