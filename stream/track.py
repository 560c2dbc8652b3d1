"""One camera as the scoring loop sees it: its window, its alarm, its status. Pure: time and features come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.arrays import FloatArray
from engine.window import WINDOW, FeatureWindow
from stream.alarms import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.events import Event, ModelName, Moment, Payload
from stream.messages import CameraState, ClipReady, Counters, StateChanged

DEGRADED_FOR: Final = 30.0


@dataclass(frozen=True)
class Scored:
    """The outcome of one clip: its score line's values and the event message that it brought about, if any."""

    clip: ClipReady
    score: float
    window: int
    event: Payload | None


class CameraTrack:
    """State of one camera. Times in seconds: those of its clips for alarms, monotonic ones for its status."""

    def __init__(self, name: str, alarm: AlarmSettings, model: ModelName) -> None:
        self.name = name
        self.state = CameraState.CONNECTING
        self.counters = Counters(0.0, 0, 0, 0, 0)
        self.window = FeatureWindow()
        self.rule = AlarmRule(alarm)
        self.event: Event | None = None
        self.shed_clips = 0
        self._model = model
        self._connection = -1
        self._degraded_until = float("-inf")
        self._last = Moment(0.0, 0.0, 0, 0.0)
        self._last_end = 0.0

    def begin_connection(self, connection: int) -> None:
        """Clips of a new connection do not follow the old ones: the window starts empty."""
        if connection != self._connection:
            self._connection = connection
            self.window.reset()

    def push(self, clip: ClipReady, feature: FloatArray) -> FloatArray:
        """Take a clip's feature, (crops, C); returns the window to be scored, (T, crops, C)."""
        self.begin_connection(clip.connection)
        self.window.push(feature)
        return self.window.array()

    def scored(self, clip: ClipReady, score: float) -> Scored:
        """Take the score of the clip that was pushed last."""
        window = len(self.window)
        change = self.rule.advance(ScoredClip(clip.start, clip.end, score))
        self._last = Moment(score, self.rule.top_score, window, clip.start)
        self._last_end = clip.end
        payload: Payload | None = None
        if change is Change.STARTED:
            settings = self.rule.settings
            start = clip.start if self.rule.start_time is None else self.rule.start_time
            self.event = Event(self.name, start, settings.threshold_on, settings.threshold_off, self._model)
            payload = self.event.new(self._last)
        elif change is Change.ROSE and self.event is not None:
            payload = self.event.update(self._last)
        elif change is Change.ENDED:
            payload = self._end(clip.start, "score")
        return Scored(clip, score, window, payload)

    def close_alarm(self, reason: str) -> Payload | None:
        """The camera is lost or the service stops: the `end` of an open alarm, if one is open."""
        self.rule.end(self._last_end)
        return self._end(self._last_end, reason)

    def _end(self, at: float, reason: str) -> Payload | None:
        event, self.event = self.event, None
        return None if event is None else event.end(self._last, at, reason)

    def changed(self, message: StateChanged) -> None:
        """The decoder reports another state."""
        self.state = message.state
        if message.state is CameraState.ONLINE:
            self.begin_connection(message.connection)

    def restarted(self) -> None:
        """The decoder process is a new one: it counts connections, and all else, from 0 again."""
        self._connection = -1
        self.counters = Counters(0.0, 0, 0, 0, 0)

    def counted(self, counters: Counters, now: float) -> None:
        """The decoder's sign of life."""
        if counters.dropped_clips > self.counters.dropped_clips:
            self._degraded_until = now + DEGRADED_FOR
        self.counters = counters

    def shed(self, now: float) -> None:
        """A clip of this camera was given up because scoring did not keep up."""
        self.shed_clips += 1
        self._degraded_until = now + DEGRADED_FOR

    def status(self, now: float) -> str:
        """`offline`, `degraded` (clips were dropped lately), `warming` (window not full) or `online`."""
        if self.state is not CameraState.ONLINE:
            return "offline"
        if now < self._degraded_until:
            return "degraded"
        return "warming" if len(self.window) < WINDOW else "online"

    def health(self, now: float) -> Iterator[tuple[str, object]]:
        """What `/healthz` says of this camera."""
        yield "status", self.status(now)
        yield "fps", round(self.counters.fps, 1)
        yield "frames", self.counters.frames
        yield "corrupt_frames", self.counters.corrupt_frames
        yield "dropped_clips", self.counters.dropped_clips + self.shed_clips
        yield "reconnects", self.counters.reconnects
        yield "window", len(self.window)
        yield "alarm", self.event is not None
