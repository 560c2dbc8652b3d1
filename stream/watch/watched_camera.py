"""One camera in the scoring loop, composed of its parts. Pure: time and features are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray, UInt8Array
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import UNKNOWN, Event, EventMessage, ModelName
from stream.alarm.rule import AlarmSettings, Change
from stream.alarm.schedule import Schedule
from stream.alarm.snooze import Snooze
from stream.archive.explanation import Explanation
from stream.camera.messages import CameraState, ClipReady, Counters, StateChanged
from stream.camera.view import Part
from stream.settings.settings import CameraConfig
from stream.watch.camera_alarm import CameraAlarm, NewestClip, begun_event
from stream.watch.camera_notice import NOTHING_NOTICED, CameraNotice, Noticed
from stream.watch.clip_window import NO_PICTURE, ClipWindow
from stream.watch.learnt_score import ScoreLearner
from stream.watch.presence import Presence
from stream.watch.scene import SceneWatch
from stream.watch.unscored_events import CameraLoss, RequestedTest

_LINE: Final = 150.0  # seconds: the page draws two minutes


@dataclass(frozen=True)
class Scored:
    """The outcome of one clip: the values of its score line, and the messages that it caused, if any: `event` of an
    alarm, `noticed` of a notice.

    `score` is final, `raw` is the head's own.
    """

    clip: ClipReady
    score: float
    raw: float
    window: int
    event: EventMessage | None
    change: Change | None
    explanation: Explanation | None = None  # of the alarm that this clip began
    connects: bool = False  # it follows nothing: the first clip of a connection, or since the camera was enabled
    noticed: Noticed = NOTHING_NOTICED
    ended: EventMessage | None = None  # of a snoozed alarm, before `event`


class WatchedCamera:
    """State of one camera.

    Times in seconds: those of its clips for alarms. `now` is monotonic. `steady` is the clips' time (steady time live),
    for events that begin or end without a clip. `wall` converts it to wall-clock time.
    """

    def __init__(
        self,
        config: CameraConfig,
        model: ModelName,
        now: float = 0.0,
        calibration: CalibrationSettings | None = None,
        wall: Callable[[float], float] = lambda at: at,
    ) -> None:
        self.name = config.name
        self.is_self_test = config.is_self_test
        self.fence: int | None = None  # number of our lease, if cameras are shared
        self.silent = False  # watched, but another instance speaks for it: nothing of it is scored or published
        self.model = model  # named by events that begin from now on
        self.learner = ScoreLearner(calibration, config.alarm)
        self.window = ClipWindow(CLIP_LENGTH // config.stride)
        self.snooze = Snooze(wall)
        self.alarm = CameraAlarm(config, lambda: self.model, self.learner.in_force(), wall, self.snooze)
        self.notice = CameraNotice(config, lambda: self.model, self.learner.in_force(), wall, self.snooze)
        self.presence = Presence(config.enabled, now)
        self.scene = SceneWatch()
        self.drift = ""  # why the threshold no longer fits the history
        self.line: tuple[tuple[float, float], ...] = ()  # end and score of each of the newest clips
        self._test = RequestedTest()
        self._loss = CameraLoss()
        self._config = config
        self._wall = wall

    # clips

    def begin_connection(self, connection: int) -> None:
        """Clips of a new connection do not follow the old ones: the window starts empty."""
        if self.window.begin_connection(connection):
            self.interrupt()

    def interrupt(self) -> None:
        """The next clip does not follow the last one."""
        self.window.empty()
        self.scene.reset()
        self.learner.interrupt()

    def push(self, clip: ClipReady, feature: FloatArray, picture: UInt8Array = NO_PICTURE) -> FloatArray:
        """Add a clip's feature, (crops, C), and its last frame; returns the window to be scored, (T, crops, C)."""
        self.begin_connection(clip.connection)
        window = self.window.push(clip, feature, picture)
        if picture is not NO_PICTURE:
            self.scene.see(picture, window, clip.end, tour=self.learner.on_tour(clip.end))
        return window

    def scored(
        self,
        clip: ClipReady,
        scores: FloatArray,
        contributions: Callable[[FloatArray], FloatArray],
        kind: Callable[[FloatArray], str] = lambda _window: UNKNOWN,
    ) -> Scored:
        """Take the scores, (T,), of the window that the clip completed.

        `contributions` computes what each clip of a window, (T, crops, C), adds to its score, (T,), and `kind` which
        kind of incident its newest clip looks like; they are called for events alone.
        """
        raw, feature = float(scores[-1]), self.window.newest
        learnt = self.learner.score(clip.start, clip.end, raw, feature, learn=not self.alarm.rule.active)
        self.alarm.rule.settings = self.learner.in_force()
        # never changed in place: other threads read it
        kept = (point for point in self.line if abs(clip.end - point[0]) < _LINE)
        self.line = (*kept, (clip.end, learnt.score))
        newest = NewestClip(
            clip,
            learnt.score,
            raw,
            len(self.window),
            lambda: self.window.explanation(raw, contributions, self.model.folder, self._config.view, learnt.level),
            lambda event: self.learner.alarm_began(event, feature, clip.start),
            lambda: kind(self.window.features),
        )
        judged = self.alarm.advance(newest)
        notices = None if self.is_self_test else self.learner.notice_in_force()
        noticed = self.notice.advance(newest, notices, alarm=self.alarm.event is not None)
        return Scored(
            clip, learnt.score, raw, len(self.window), judged.event, judged.change, judged.explanation,
            self.window.connects, noticed, judged.ended,
        )  # fmt: skip

    # events that are not caused by scores

    def begin_test(self, steady: float) -> EventMessage | None:
        """The `new` of a test event; None while one is open."""
        return self._test.begin(steady, self._test_event, self.alarm.last.score, len(self.window))

    def _test_event(self, start: float) -> Event:
        return begun_event(self._config, self.alarm.rule.settings, self.model, start, self._wall, test=True)

    def begin_loss(self, now: float, steady: float) -> EventMessage | None:
        """The `new` of a `camera_lost` event once the camera has been away for too long."""
        return self._loss.begin(now, steady, self.presence, self._config.lost_after, self._loss_event)

    def _loss_event(self, start: float) -> Event:
        return begun_event(self._config, self.alarm.rule.settings, self.model, start, self._wall, "camera_lost")

    def due_ends(self, steady: float) -> Iterator[EventMessage | None]:
        """The `end` of a test or a `camera_lost` event that is over."""
        yield self._loss.end(steady, self.presence)
        yield self._test.end(steady)

    def close(self, reason: str, steady: float) -> Iterator[EventMessage | None]:
        """The `end` of everything that is open."""
        yield from self.close_scored(reason)
        yield self._test.end(steady, stopping=reason)
        yield self._loss.end(steady, self.presence, stopping=reason)

    def close_scored(self, reason: str) -> Iterator[EventMessage | None]:
        """The `end` of an open alarm and of an open notice."""
        yield self.alarm.close(reason)
        yield self.notice.close(reason)

    @property
    def open_events(self) -> list[Event]:
        found = (self.alarm.event, self.notice.event, self._test.event, self._loss.event)
        return [event for event in found if event is not None]

    @property
    def alarming(self) -> bool:
        """Whether `anomaly` is ON."""
        return self.alarm.active or self._test.open

    # settings and state

    def configure(self, config: CameraConfig) -> None:
        """New settings for the same source, from the next clip on. Overrides must be applied again."""
        self._config = config
        self.alarm.configure(config)
        self.notice.configure(config)
        self._set_alarm(config.alarm)

    def _set_alarm(self, alarm: AlarmSettings) -> None:
        self.learner.configure(alarm, self.alarm.last.start)
        self.alarm.rule.settings = self.learner.in_force()

    def set_enabled(self, enabled: bool, now: float) -> None:
        """While disabled, its clips are not scored; when enabled again, the window starts empty."""
        if self.presence.set_enabled(enabled, now):
            self.interrupt()

    def set_threshold(self, threshold: float | None) -> None:
        """A fixed alarm-on threshold, from the next clip on; None: the configured one."""
        alarm = self._config.alarm
        self._set_alarm(alarm if threshold is None else alarm.with_threshold(threshold))

    def learn_threshold(self) -> None:
        """A learned threshold, from the next clip on, whatever is configured."""
        self._set_alarm(replace(self._config.alarm, learnt=True))

    def changed(self, message: StateChanged, now: float = 0.0) -> None:
        """The decoder reports another state."""
        self.presence.changed(message, now)
        if message.state is CameraState.ONLINE:
            self.begin_connection(message.connection)

    def restarted(self) -> None:
        """The decoder process is a new one, and counts connections and everything else from 0 again."""
        self.window.forget_connection()
        self.presence.restarted()

    def counted(self, counters: Counters, now: float) -> None:
        """The decoder's heartbeat."""
        self.presence.counted(counters, now)

    def seen(self, focus: Part | None) -> Part | None:
        """A part of the whole image as a part of what people are shown of it."""
        return self._config.view.shown(focus)

    @property
    def schedule(self) -> Schedule:
        return self._config.schedule

    def status(self, now: float) -> str:
        """`disabled`, `offline`, `degraded` (see `problem`), `warming` (window not full) or `online`."""
        return self.presence.status(now, self.scene.problem, window_full=self.window.full)

    def problem(self, now: float) -> str:
        """Why it is offline or degraded, "" if it is not."""
        return self.presence.problem(now, self.scene.problem)

    def health(self, now: float) -> Iterator[tuple[str, object]]:
        """What `/healthz` and `stats` say of this camera."""
        yield "status", self.status(now)
        yield "problem", self.problem(now)
        yield "misfit", self.drift
        yield from self.presence.health(now)
        yield "window", len(self.window)
        yield from self.alarm.health()


def unlisted(camera: WatchedCamera) -> bool:
    """Whether it has no topics."""
    return camera.is_self_test or camera.silent
