"""One camera as the scoring loop sees it: its window, its alarm, its status. Pure: time and features come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.geometry import SIDE
from engine.window import WINDOW, FeatureWindow
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import Event, EventMessage, FocusRegion, ModelName, Moment
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.schedule import Schedule
from stream.archive.explanation import Explanation, shares, thumbnail
from stream.base.errors import Reason
from stream.camera.clips import CLIP_LENGTH
from stream.camera.messages import CameraState, ClipReady, Counters, StateChanged
from stream.settings.settings import CameraConfig
from stream.watch.learnt_score import LearntScore, ScoreLearner
from stream.watch.scene import SceneWatch

DEGRADED_FOR: Final = 30.0
UPDATE_EVERY: Final = 2.0
UPDATE_STEP: Final = 0.01
TEST_LASTS: Final = 2.0
_NO_PICTURE: Final = np.zeros((SIDE, SIDE, 3), np.uint8)
_HOUR: Final = 3600.0
_LINE: Final = 1_000  # two minutes of clips that overlap by three quarters


@dataclass(frozen=True)
class Scored:
    """The outcome of one clip: its score line's values and the event message that it brought about, if any.

    `score` is final, `raw` the head's own.
    """

    clip: ClipReady
    score: float
    raw: float
    window: int
    event: EventMessage | None
    change: Change | None
    explanation: Explanation | None = None  # of the alarm that this clip began
    connects: bool = False  # it follows nothing: the first clip of a connection, or since the camera was enabled


class WatchedCamera:
    """State of one camera. Times in seconds: those of its clips for alarms; `now` is a monotonic clock's, `epoch` wall
    time where an event begins or ends without a clip."""

    def __init__(
        self,
        config: CameraConfig,
        model: ModelName,
        now: float = 0.0,
        calibration: CalibrationSettings | None = None,
    ) -> None:
        self.name = config.name
        self.is_self_test = config.is_self_test
        self.state = CameraState.CONNECTING
        self.counters = Counters(0.0, 0, 0, 0, 0)
        self._every = CLIP_LENGTH // config.stride
        self.window = FeatureWindow(every=self._every)
        self.learner = ScoreLearner(calibration, config.alarm)
        self.rule = AlarmRule(self.learner.in_force())
        self.enabled = config.enabled
        self.scheduled = True  # as of its last clip
        self.event: Event | None = None  # an alarm
        self.test: Event | None = None
        self.loss: Event | None = None
        self.shed_clips = 0
        self.scene = SceneWatch()
        self.drift = ""  # why the threshold no longer fits the history
        self._config = config
        self.model = model
        self._connection = -1
        # of the clips whose features are kept for the window: times and thumbnails
        self._clips: deque[tuple[float, float, UInt8Array]] = deque(maxlen=(WINDOW - 1) * self._every + 1)
        self._newest: tuple[int, FloatArray] | None = None
        self.picture: UInt8Array | None = None  # the newest clip's last, (224, 224, 3) RGB
        self.line: deque[tuple[float, float]] = deque(maxlen=_LINE)  # end of each of the newest clips, and its score
        self._degraded_until = float("-inf")
        self._last = Moment(0.0, 0.0, 0, 0.0)
        self._last_end = 0.0
        self._said_score, self._said_at = 0.0, 0.0
        self._lost_at: float | None = now  # since then without a picture
        self._away_for = ""
        self._losses: deque[tuple[float, Reason | None]] = deque(maxlen=1_000)

    def begin_connection(self, connection: int) -> None:
        """Clips of a new connection do not follow the old ones: the window starts empty."""
        if connection != self._connection:
            self._connection = connection
            self._empty_window()

    def _empty_window(self) -> None:
        self.window.reset()
        self._clips.clear()
        self._newest = None
        self.scene.reset()
        self.learner.interrupt()

    def push(self, clip: ClipReady, feature: FloatArray, picture: UInt8Array = _NO_PICTURE) -> FloatArray:
        """Take a clip's feature, (crops, C), and last picture; returns the window to be scored, (T, crops, C)."""
        self.begin_connection(clip.connection)
        self._newest = (clip.clip if clip.like is None else clip.like, feature)
        self.window.push(feature)
        self._clips.append((clip.start, clip.end, thumbnail(picture)))
        self.picture = picture
        window = self.window.array()
        if picture is not _NO_PICTURE:
            self.scene.see(picture, window, clip.end)
        return window

    def known_feature(self, clip: ClipReady) -> FloatArray | None:
        """The newest feature, if it stands for this clip too: nothing has moved since. None: the backbone must run."""
        if self._newest is None or clip.connection != self._connection or clip.like != self._newest[0]:
            return None
        return self._newest[1]

    def scored(self, clip: ClipReady, scores: FloatArray, contributions: Callable[[FloatArray], FloatArray]) -> Scored:
        """Take the scores, (T,), of the window that the clip completed.

        `contributions` says what each clip of a window, (T, crops, C), adds to its score, (T,); asked once an alarm.
        """
        raw, window, connects = float(scores[-1]), len(self.window), len(self._clips) == 1
        feature = self.window.newest
        learnt = self.learner.score(clip.start, clip.end, raw, feature, learn=not self.rule.active)
        score = learnt.score
        self.rule.settings = self.learner.in_force()
        self.line.append((clip.end, score))
        self.scheduled = self._config.schedule.covers(clip.start)
        if not self.scheduled:
            ended = self._off_schedule(clip, score, raw, window)
            return Scored(clip, score, raw, window, ended, None, connects=connects)
        change = self.rule.advance(ScoredClip(clip.start, clip.end, score))
        self._last = Moment(score, self.rule.top_score, window, clip.start, raw=raw)
        self._last_end = clip.end
        payload: EventMessage | None = None
        explanation: Explanation | None = None
        if change is Change.STARTED:
            start = clip.start if self.rule.start_time is None else self.rule.start_time
            self.event = self._begin(start, clip.focus)
            resembles = self.learner.alarm_began(self.event.id, feature, clip.start)
            if resembles is not None:
                self.event.suppress("lookalike", resembles)
            explanation = self._explain(raw, learnt, contributions)
            payload = self.event.new(replace(self._last, top_clips=explanation.top_clips()))
            self._said_score, self._said_at = self.rule.top_score, clip.end
        elif change is Change.ENDED:
            payload = self._end(self.rule.end_time, "score")
        elif self._worth_an_update(clip.end) and self.event is not None:
            payload = self.event.update(self._last)
            self._said_score, self._said_at = self.rule.top_score, clip.end
        return Scored(clip, score, raw, window, payload, change, explanation, connects)

    def _off_schedule(self, clip: ClipReady, score: float, raw: float, window: int) -> EventMessage | None:
        """The `end` of an alarm that is still open."""
        payload = self.close_alarm("schedule")
        self._last, self._last_end = Moment(score, 0.0, window, clip.start, raw=raw), clip.end
        return payload

    def _worth_an_update(self, at: float) -> bool:
        waited = abs(at - self._said_at)  # the clock may have been set back
        return self.rule.top_score >= self._said_score + UPDATE_STEP and waited >= UPDATE_EVERY

    def _explain(
        self, raw: float, learnt: LearntScore, contributions: Callable[[FloatArray], FloatArray]
    ) -> Explanation:
        features = self.window.array()
        clips = list(self._clips)[:: -self._every][::-1]
        return Explanation(
            np.array([clip[:2] for clip in clips]),
            features,
            shares(contributions(features)),
            raw,
            self.model.folder,
            np.stack([clip[2] for clip in clips]),
            self._config.view,
            learnt.level,
        )

    def _begin(self, start: float, focus: FocusRegion | None = None, *, test: bool = False) -> Event:
        settings = self.rule.settings
        thresholds = (settings.threshold_on, settings.threshold_off)
        test = test or self._config.is_self_test
        zone = self._config.schedule.zone
        return Event.begun(self.name, start, thresholds, self.model, test=test, zone=zone, focus=focus)

    def close_alarm(self, reason: str) -> EventMessage | None:
        """The camera is lost, disabled or the service stops: the `end` of an open alarm, if one is open."""
        self.rule.end(self._last_end)
        return self._end(self.rule.end_time, reason)

    def _end(self, at: float, reason: str) -> EventMessage | None:
        event, self.event = self.event, None
        return None if event is None else event.end(self._last, at, reason)

    # events that no score brings about

    def begin_test(self, epoch: float) -> EventMessage | None:
        """The `new` of a test event; None while one is open."""
        if self.test is not None:
            return None
        self.test = self._begin(epoch, test=True)
        return self.test.new(Moment(self._last.score, self._last.score, len(self.window), epoch))

    def end_test(self, epoch: float, *, stopping: str = "") -> EventMessage | None:
        """The `end` of the test event once it is over, or for the reason `stopping`."""
        test = self.test
        if test is None or (epoch - test.start_time < TEST_LASTS and not stopping):
            return None
        self.test = None
        return test.end(None, epoch, stopping or "test")

    def begin_loss(self, now: float, epoch: float) -> EventMessage | None:
        """The `new` of a `camera_lost` event once the camera has been away for too long."""
        if self.loss is not None or self._lost_at is None or not self.enabled:
            return None
        if now - self._lost_at < self._config.lost_after:
            return None
        start = epoch - (now - self._lost_at)
        settings = self.rule.settings
        thresholds = (settings.threshold_on, settings.threshold_off)
        zone = self._config.schedule.zone
        self.loss = Event.begun(self.name, start, thresholds, self.model, "camera_lost", zone=zone)
        return self.loss.new(Moment(0.0, 0.0, 0, start))

    def end_loss(self, epoch: float, *, stopping: str = "") -> EventMessage | None:
        """The `end` of a `camera_lost` event once the camera is back or disabled, or for the reason `stopping`."""
        loss = self.loss
        if loss is None or (self._lost_at is not None and self.enabled and not stopping):
            return None
        self.loss = None
        return loss.end(None, epoch, stopping or ("returned" if self.enabled else "disabled"))

    @property
    def alarming(self) -> bool:
        """Whether `anomaly` is ON."""
        return (self.event is not None and not self.event.suppressed) or self.test is not None

    # settings and state

    def configure(self, config: CameraConfig) -> None:
        """Other settings of the same source, from the next clip on; what is set over MQTT is to be set again."""
        self._config = config
        self._set_alarm(config.alarm)

    def _set_alarm(self, alarm: AlarmSettings) -> None:
        self.learner.configure(alarm, self._last.start)
        self.rule.settings = self.learner.in_force()

    def set_enabled(self, enabled: bool, now: float) -> None:
        """Switched off, its clips are not scored; switched on again, the window starts empty."""
        if enabled and not self.enabled:
            self._empty_window()
            self._lost_at = None if self.state is CameraState.ONLINE else now
        self.enabled = enabled

    def set_threshold(self, threshold: float | None) -> None:
        """A fixed alarm-on threshold, from the next clip on; None: what is configured."""
        alarm = self._config.alarm
        self._set_alarm(alarm if threshold is None else alarm.with_threshold(threshold))

    def learn_threshold(self) -> None:
        """The threshold is learnt, from the next clip on, whatever is configured."""
        self._set_alarm(replace(self._config.alarm, learnt=True))

    def changed(self, message: StateChanged, now: float = 0.0) -> None:
        """The decoder reports another state."""
        was, self.state = self.state, message.state
        self._away_for = message.reason or ""
        if message.state is CameraState.ONLINE:
            self._lost_at = None
            self.begin_connection(message.connection)
        elif was is CameraState.ONLINE:
            self._lost_at = now
            self._losses.append((now, message.reason))

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
        """`disabled`, `offline`, `degraded` (see `problem`), `warming` (window not full) or `online`."""
        if not self.enabled:
            return "disabled"
        if self.state is not CameraState.ONLINE:
            return "offline"
        if now < self._degraded_until or self.scene.problem or self.counters.problem:
            return "degraded"
        return "warming" if len(self.window) < WINDOW else "online"

    def problem(self, now: float) -> str:
        """Why it is offline or degraded, "" if it is not."""
        if self.enabled and self.state is CameraState.OFFLINE:
            return str(self._away_for)
        if problem := self.scene.problem or self.counters.problem:
            return problem
        return "clips were dropped: the machine does not keep up" if now < self._degraded_until else ""

    @property
    def schedule(self) -> Schedule:
        return self._config.schedule

    @property
    def available(self) -> bool:
        return self.state is CameraState.ONLINE

    def health(self, now: float) -> Iterator[tuple[str, object]]:
        """What `/healthz` and `stats` say of this camera."""
        lately = [reason for at, reason in self._losses if now - at <= _HOUR]
        yield "status", self.status(now)
        yield "problem", self.problem(now)
        yield "misfit", self.drift
        yield "fps", round(self.counters.fps, 1)
        yield "frames", self.counters.frames
        yield "corrupt_frames", self.counters.corrupt_frames
        yield "dropped_clips", self.counters.dropped_clips + self.shed_clips
        yield "reconnects", self.counters.reconnects
        yield "reconnects_last_hour", len(lately)
        yield "stalls_last_hour", lately.count(Reason.STALLED)
        yield "window", len(self.window)
        yield "score", round(self._last.score, 4)
        yield "threshold", self.rule.settings.threshold_on
        yield "alarm", self.event is not None
        yield "scheduled", self.scheduled
