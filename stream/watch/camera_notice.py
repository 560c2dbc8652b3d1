"""Notices of one camera: events for scores that pass a lower threshold, but raise no alarm. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import Event, EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.alarm.snooze import Snooze
from stream.archive.explanation import Explanation
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig
from stream.watch.camera_alarm import CameraAlarm, Judged, NewestClip

# Most alarms begin with scores that would make a notice. The decoder keeps images for longer than this.
_HELD_FOR: Final = 1.5


@dataclass(frozen=True)
class Noticed:
    """Messages of a notice; of the one that is `new` among them, its explanation and the clip that caused it."""

    messages: tuple[EventMessage, ...] = ()
    explanation: Explanation | None = None
    clip: ClipReady | None = None


NOTHING_NOTICED: Final = Noticed()


class CameraNotice:
    """A notice is held back for a moment, and given up if an alarm begins meanwhile."""

    def __init__(
        self,
        config: CameraConfig,
        model: Callable[[], ModelName],
        settings: AlarmSettings,
        wall: Callable[[float], float],
        snooze: Snooze,
    ) -> None:
        self._notice = CameraAlarm(config, model, settings, wall, snooze, "notice")
        self._held: tuple[Judged, ClipReady] | None = None  # what began, with which clip

    @property
    def event(self) -> Event | None:
        """The notice that is open, also while it is held back."""
        return self._notice.event

    def configure(self, config: CameraConfig) -> None:
        self._notice.configure(config)

    def advance(self, newest: NewestClip, settings: AlarmSettings | None, *, alarm: bool) -> Noticed:
        """Take the next clip. `settings` hold for notices (None: there are none); `alarm`: an alarm is open."""
        rule = self._notice.rule
        if alarm or settings is None:
            ended = self.close("alarm" if alarm else "reconfigured")
            rule.quiet_until = newest.ready.end + rule.settings.cool_down
            return Noticed(() if ended is None else (ended,))
        rule.settings = settings
        judged = self._notice.advance(newest)
        if judged.explanation is not None:
            self._held = judged, newest.ready
            return NOTHING_NOTICED
        if self._held is None:
            return Noticed(() if judged.event is None else (judged.event,))
        began, clip = self._held
        if judged.event is None and newest.ready.end < clip.end + _HELD_FOR:
            return NOTHING_NOTICED
        self._held = None
        return Noticed(tuple(m for m in (began.event, judged.event) if m is not None), began.explanation, clip)

    def close(self, reason: str) -> EventMessage | None:
        """The `end` of an open notice; one that is held back is given up."""
        ended = self._notice.close(reason)
        if self._held is None:
            return ended
        self._held = None
        self._notice.rule.discount()
        return None
