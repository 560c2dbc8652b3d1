"""The topics and gauges of a camera other than scores and events: status, settings, discovery."""

from __future__ import annotations

import time

from engine.default_bundle import project_version
from stream.alarm.wall import local_time
from stream.base.ownership import fenced
from stream.settings.settings import ServiceSettings
from stream.sinks.home_assistant import discovery, discovery_topic
from stream.sinks.mqtt import MqttSink
from stream.watch.metrics import Metrics
from stream.watch.watched_camera import WatchedCamera, unlisted


class CameraTopics:
    """Used only by the loop. `page`: the address of the web page if others can reach it. `mqtt` None: nothing is
    published.

    The camera of the self-test has no topics.
    """

    def __init__(self, settings: ServiceSettings, mqtt: MqttSink | None, metrics: Metrics, page: str | None) -> None:
        self._prefix, self._node = settings.topic_prefix, settings.node
        self._discovered = not settings.replay
        self._mqtt = mqtt
        self._metrics = metrics
        self._page = page
        self._told: dict[str, tuple[object, ...]] = {}  # by camera: the state that was reported last

    def introduce(self, camera: WatchedCamera) -> None:
        """All topics of a camera that is new."""
        self.status(camera)
        self.settings(camera)
        if self._mqtt is None or unlisted(camera):
            return
        self._mqtt.camera_anomaly(camera.name, active=False)
        if self._discovered:
            payload = discovery(
                self._prefix, self._node, camera.name, project_version(), self._page, self._mqtt.available_topic
            )
            self._mqtt.announce(discovery_topic(self._node, camera.name), payload, camera.name)

    def status(self, camera: WatchedCamera) -> None:
        """Status, problem and availability."""
        if unlisted(camera):
            return
        now, presence = time.monotonic(), camera.presence
        status, problem, available = camera.status(now), camera.problem(now), presence.available
        threshold = camera.alarm.rule.settings.threshold_on
        state = (status, problem, available, presence.counters.fps, threshold, len(camera.window))
        if self._told.get(camera.name) == state:  # most messages of a decoder change nothing
            return
        self._told[camera.name] = state
        if self._mqtt is not None:
            self._mqtt.camera_status(camera.name, status, available=available, problem=problem)
        self._metrics.camera(camera, problem)

    def settings(self, camera: WatchedCamera) -> None:
        """The settings that can be set over MQTT, and what the camera has learnt."""
        if self._mqtt is not None and not unlisted(camera):
            threshold = camera.alarm.rule.settings.threshold_on
            self._mqtt.camera_settings(camera.name, enabled=camera.presence.enabled, threshold=threshold)
            ends_at = camera.snooze.ends_at
            self._mqtt.camera_snooze(
                camera.name, None if ends_at is None else local_time(ends_at, camera.schedule.zone)
            )
            self._mqtt.camera_calibration(camera.name, fenced(camera.learner.state(), camera.fence))

    def anomaly(self, camera: WatchedCamera) -> None:
        """Whether an alarm is open."""
        if self._mqtt is not None and not unlisted(camera):
            self._mqtt.camera_anomaly(camera.name, active=camera.alarming)

    def forget(self, camera: str) -> None:
        """The camera is gone: its topics are emptied."""
        self._told.pop(camera, None)
        self._metrics.forget(camera)
        if self._mqtt is not None:
            self._mqtt.forget(camera, discovery_topic(self._node, camera))

    def leave(self, camera: str) -> None:
        """Another instance speaks for the camera from now on: its topics stay as they are."""
        self._told.pop(camera, None)
        self._metrics.forget(camera)
        if self._mqtt is not None:
            self._mqtt.leave(camera, discovery_topic(self._node, camera))
