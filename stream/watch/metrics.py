"""Prometheus metrics of the service. The loop and the sinks' threads write, the web server's thread reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from engine.window import WINDOW
from stream.alarm.event import ModelName
from stream.base.errors import Reason
from stream.camera.messages import Counters
from stream.watch.watched_camera import WatchedCamera

_STAGE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ALARM_SECONDS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0)
# What queues gave up, by its key in /healthz.
_LOST: Final = {
    "events_lost": "Event messages that the outbox discarded",
    "score_chunks_lost": "Minutes of scores that were not stored because the disk was too slow",
    "lines_lost": "Lines of --scores and --events that could not be written",
    "log_lines_lost": "Log lines that could not be written because nobody reads them",
    "commands_dropped": "Verdicts that were dropped because too many were waiting",
    "processes_stuck": "Processes that were killed but still exist",
}


class Metrics:
    """All metrics, in a separate registry."""

    def __init__(self, model: ModelName) -> None:
        self.registry = registry = CollectorRegistry()
        self._up = Gauge("mgfn_camera_up", "1 while the camera delivers images", ["camera"], registry=registry)
        self._fps = Gauge("mgfn_camera_fps", "Frames per second, over the last second", ["camera"], registry=registry)
        self._score = Gauge("mgfn_score", "Score of the newest clip, 0 to 1", ["camera"], registry=registry)
        self._problem = Gauge(
            "mgfn_camera_problem",
            "1 with the problem of a camera that is offline or degraded; absent if it has none",
            ["camera", "problem"],
            registry=registry,
        )
        self._problems: dict[str, str] = {}  # by camera
        self._threshold = Gauge("mgfn_threshold", "Alarm-on threshold in force", ["camera"], registry=registry)
        self._fill = Gauge(
            "mgfn_window_fill_ratio", "Number of clips in the window, divided by 32", ["camera"], registry=registry
        )
        self._frames = Counter(
            "mgfn_frames",
            "Frames by result: decoded, corrupt, late (not after the previous one)",
            ["camera", "result"],
            registry=registry,
        )
        self._skipped = Counter("mgfn_packets_skipped", "Packets not decoded (eco)", ["camera"], registry=registry)
        self._dropped = Counter("mgfn_clips_dropped", "Clips dropped under overload", ["camera"], registry=registry)
        self._clips = Counter(
            "mgfn_clips",
            "Clips by origin of the feature: computed, or reused (nothing has moved)",
            ["camera", "feature"],
            registry=registry,
        )
        self._unscorable = Counter(
            "mgfn_clips_unscorable",
            "Clips for which the engine returned NaN or infinity",
            ["camera"],
            registry=registry,
        )
        self._broken = Counter(
            "mgfn_clips_broken",
            "Clips discarded because of a gap in the camera's timestamps",
            ["camera"],
            registry=registry,
        )
        self._reconnects = Counter(
            "mgfn_reconnects", "Connections lost or refused, by reason", ["camera", "reason"], registry=registry
        )
        self._alarms = Counter("mgfn_alarms", "Alarms, without tests", ["camera"], registry=registry)
        self._stage = Histogram(
            "mgfn_stage_seconds",
            "Time by stage: wait (of a finished clip for the engine), backbone and head (per batch)",
            ["stage"],
            registry=registry,
            buckets=_STAGE_SECONDS,
        )
        self._alarm_latency = Histogram(
            "mgfn_alarm_latency_seconds",
            "From the start of an alarm to its publication (latency_ms of `new`)",
            registry=registry,
            buckets=_ALARM_SECONDS,
        )
        self._notifications = Counter(
            "mgfn_notifications",
            "Messages to Frigate and notification targets: delivered, failed, dropped (queue full)",
            ["to", "result"],
            registry=registry,
        )
        self._outbox = Gauge(
            "mgfn_mqtt_outbox_messages", "Event messages that the broker has not acknowledged", registry=registry
        )
        self._proven = Gauge(
            "mgfn_mqtt_delivery_proven", "1 while every published message came back from the broker", registry=registry
        )
        self._topics_failed = Gauge(
            "mgfn_mqtt_topics_failed", "Topics whose messages do not get through the broker", registry=registry
        )
        self._lost = {
            name: Gauge(f"mgfn_{name}", f"{text}, since the start", registry=registry) for name, text in _LOST.items()
        }
        self._heat_maps = Counter(
            "mgfn_heat_maps", "Heat maps of alarms by result: computed, failed, dropped", ["result"], registry=registry
        )
        self._canary = Counter(
            "mgfn_canary_clips", "Clips offered to the canary by result: scored, skipped", ["result"], registry=registry
        )
        self._clock_steps = Counter(
            "mgfn_clock_steps", "How often the wall clock was set by half a second or more", registry=registry
        )
        self._self_test = Gauge(
            "mgfn_self_test_age_seconds",
            "Seconds since the last self-test that passed; +Inf before the first",
            registry=registry,
        )
        self._self_test.set(float("inf"))
        self._model = Info("mgfn_model", "The bundle in use, and the engine that runs it", registry=registry)
        self.scored_by(model)

    def scored_by(self, model: ModelName) -> None:
        """The bundle in use, and the engine that runs it."""
        self._model.info({"bundle": model.bundle, "sha256": model.sha256, "backend": model.backend})

    def camera(self, camera: WatchedCamera, problem: str) -> None:
        """State of a camera, as often as it says something. Of its problem, the part before the colon is shown."""
        self._show_problem(camera.name, problem.partition(":")[0])
        self._up.labels(camera.name).set(camera.presence.available)
        self._fps.labels(camera.name).set(camera.presence.counters.fps if camera.presence.available else 0.0)
        self._threshold.labels(camera.name).set(camera.alarm.rule.settings.threshold_on)
        self._fill.labels(camera.name).set(len(camera.window) / WINDOW)

    def _show_problem(self, camera: str, problem: str) -> None:
        before = self._problems.get(camera, "")
        if problem == before:
            return
        if before:
            self._problem.remove(camera, before)
        if problem:
            self._problem.labels(camera, problem).set(1)
        self._problems[camera] = problem

    def forget(self, camera: str) -> None:
        """The camera was removed: its state is no longer shown, its totals stay."""
        self._show_problem(camera, "")
        for gauge in (self._up, self._fps, self._score, self._threshold, self._fill):
            with suppress(KeyError):  # it may not have been told of
                gauge.remove(camera)

    def counted(self, camera: str, before: Counters, after: Counters) -> None:
        """A decoder's totals went from `before` to `after`; those of a new process begin at 0."""
        corrupt = max(0, after.corrupt_frames - before.corrupt_frames)
        self._frames.labels(camera, "decoded").inc(max(0, after.frames - before.frames))
        self._frames.labels(camera, "corrupt").inc(corrupt)
        self._frames.labels(camera, "late").inc(max(0, after.late_frames - before.late_frames))
        self._skipped.labels(camera).inc(max(0, after.skipped_packets - before.skipped_packets))
        self._broken.labels(camera).inc(max(0, after.broken_clips - before.broken_clips))
        self._dropped.labels(camera).inc(max(0, after.dropped_clips - before.dropped_clips))

    def shed(self, camera: str) -> None:
        self._dropped.labels(camera).inc()

    def clip(self, camera: str, *, reused: bool) -> None:
        """A clip has a feature, that of an earlier clip if `reused`."""
        self._clips.labels(camera, "reused" if reused else "computed").inc()

    def unscorable(self, camera: str) -> None:
        self._unscorable.labels(camera).inc()

    def disconnected(self, camera: str, reason: Reason | None) -> None:
        self._reconnects.labels(camera, "unknown" if reason is None else reason.name.lower()).inc()

    def scored(self, camera: str, score: float) -> None:
        self._score.labels(camera).set(score)

    def alarm(self, camera: str) -> None:
        self._alarms.labels(camera).inc()

    def stage(self, stage: str, seconds: float) -> None:
        self._stage.labels(stage).observe(seconds)

    def clock_set(self) -> None:
        """The wall clock was set while the service ran."""
        self._clock_steps.inc()

    def delivery(self, *, proven: bool, failed: int) -> None:
        """Whether messages come back from the broker, and how many topics do not get through."""
        self._proven.set(proven)
        self._topics_failed.set(failed)

    def published(self, latency_ms: int) -> None:
        """An alarm's `new` was acknowledged."""
        self._alarm_latency.observe(latency_ms / 1000)

    def recipient(self, to: str) -> None:
        """A recipient of a courier: its series begin at 0, so that the first message is visible as an increase."""
        for result in ("delivered", "failed", "dropped"):
            self._notifications.labels(to, result)

    def notified(self, to: str, result: str) -> None:
        """The outcome of a message to one of the couriers' recipients."""
        self._notifications.labels(to, result).inc()

    def heat_map(self, result: str) -> None:
        """What became of the heat map of an alarm: `computed`, `failed` or `dropped`."""
        self._heat_maps.labels(result).inc()

    def canary(self, result: str) -> None:
        """What became of a clip that was offered to the canary: `scored` or `skipped`."""
        self._canary.labels(result).inc()

    def self_tested(self, age: float | None) -> None:
        """Seconds since the last self-test that passed."""
        self._self_test.set(float("inf") if age is None else age)

    def exposition(self, outbox: int, lost: Mapping[str, int]) -> bytes:
        """The text that Prometheus reads; `lost` by the names of `_LOST`."""
        self._outbox.set(outbox)
        for name, gauge in self._lost.items():
            gauge.set(lost[name])
        return generate_latest(self.registry)
