"""Publishes alarms and states to an MQTT broker, on the topics of the contract.

Events wait in the outbox and are published in order, one at a time, each acknowledged before the next. States are
retained and published again on every connection. Scores are published only while connected, because old scores are
useless.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import LIMIT, Waiting
from stream.archive.clock import Clock
from stream.base.addresses import SELF_TEST_CAMERA, BrokerAddress
from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.base.ownership import ALONE, SITE, Ownership, fenced
from stream.sinks.backlog import Backlog
from stream.sinks.delivery import Delivery
from stream.sinks.echo import DROPPED, EchoWatch
from stream.sinks.mqtt_client import Dialect, TlsFiles
from stream.sinks.mqtt_link import MqttLink
from stream.sinks.topics import Allowed

_SLOW_SCORE_EVERY: Final = 10.0
_ANNOUNCED_WITHIN: Final = 3.0


class MqttSink:
    """Publishes under `prefix`, and keeps reconnecting.

    All other methods only queue and return at once; `deliver` publishes, in its own thread. `settled` is called for
    each event that was acknowledged (with the published payload) or discarded (None). `retained` is called when the
    broker starts or stops retaining a topic for us. `echo` checks whether published messages come back.
    """

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        node: str,
        tls: TlsFiles | None = None,
        *,
        settled: Callable[[Waiting, EventMessage | None], None] = lambda _message, _payload: None,
        retained: Callable[[str, bool], None] = lambda _topic, _kept: None,
        queue_limit: int = LIMIT,
        clock: Clock | None = None,
        ownership: Ownership = ALONE,
    ) -> None:
        self._ownership = ownership
        self._allowed = Allowed(prefix, ownership)
        self.available_topic = self._allowed.available
        self.shown = address.shown
        self.echo = EchoWatch(prefix)
        self._prefix = prefix
        self._settled = settled
        self._retained = retained
        self._slow_scores: dict[str, float] = {}
        self._reasons_told: set[str] = set()
        clock = clock or Clock(SteadyClock.by_the_wall())
        self._backlog = Backlog(prefix, self._lost, self._image_too_large, self._dropped, queue_limit, self._allowed)
        delivery = Delivery(prefix, self._backlog, self.echo, clock, settled, retained, ownership)
        self._link = MqttLink(
            address, self.available_topic, node, tls or TlsFiles(), self._backlog, delivery, self.echo, ownership
        )
        for topic in {f"{prefix}/available", self.available_topic}:
            self._backlog.state(topic, "online")

    def when_open(self, then: Callable[[Dialect], None]) -> None:
        """Let the sink's thread call `then` on each connection. Call this before `deliver`."""
        self._link.opened = then

    @property
    def connected(self) -> bool:
        return self._link.connected

    @property
    def waiting(self) -> int:
        """Number of events that the broker has not acknowledged."""
        return len(self._backlog)

    @property
    def events_lost(self) -> int:
        """Number of events that were discarded."""
        return self._backlog.lost

    def camera_status(self, camera: str, status: str, *, available: bool, problem: str = "") -> None:
        """Retained `status`, why it is `degraded`, and `available` with it."""
        self._state(f"{self._prefix}/{camera}/status", status)
        self._state(f"{self._prefix}/{camera}/problem", problem or "none")
        self._state(f"{self._prefix}/{camera}/available", "online" if available else "offline")

    def camera_anomaly(self, camera: str, active: bool) -> None:
        """Retained `anomaly`: ON while an alarm is open."""
        self._state(f"{self._prefix}/{camera}/anomaly", "ON" if active else "OFF")

    def camera_settings(self, camera: str, *, enabled: bool, threshold: float) -> None:
        """Retained states of the settings that can be set over MQTT."""
        self._state(f"{self._prefix}/{camera}/enabled/state", "ON" if enabled else "OFF")
        self._state(f"{self._prefix}/{camera}/threshold/state", f"{threshold:g}")

    def camera_snooze(self, camera: str, until: str | None) -> None:
        """Retained `snooze/state`: an ISO time, or `off`."""
        self._state(f"{self._prefix}/{camera}/snooze/state", until or "off")

    def camera_calibration(self, camera: str, state: Mapping[str, Any]) -> None:
        """What the camera has learned, and the expected false alarms per day."""
        self._state(f"{self._prefix}/{camera}/calibration/state", json.dumps(state))

    def camera_snapshot(self, camera: str, jpeg: bytes) -> None:
        """The retained image of the last alarm, reduced if the connection is slow; empty once its file has expired."""
        topic = f"{self._prefix}/{camera}/anomaly/snapshot"
        if jpeg:
            self._backlog.image(topic, jpeg)
            self._retained(topic, True)
        else:
            self._backlog.remove([topic])

    def mode(self, name: str) -> None:
        """Retained `mode/state`: the mode in force."""
        self._state(f"{self._prefix}/mode/state", name)

    def node(self, told: Mapping[str, Any]) -> None:
        """Retained `node`: what others need to know of this instance, or of all that share its cameras."""
        self._state(f"{self._prefix}/node", json.dumps(told))

    def worker(self, told: Mapping[str, Any]) -> None:
        """Retained `worker/<worker>/node`: what others need to know of this one."""
        self._state(f"{self._prefix}/worker/{self._ownership.worker}/node", json.dumps(told))

    def announce(self, topic: str, payload: Mapping[str, Any], camera: str = SITE) -> None:
        """A retained message outside our prefix: Home Assistant's discovery of a camera, or of the site."""
        self._allowed.outside[topic] = camera
        self._state(topic, json.dumps(payload))

    def announce_soon(self) -> None:
        """Send every message outside our prefix again, after a random delay, because others do the same now."""
        self._backlog.publish_outside_again(random.uniform(0, _ANNOUNCED_WITHIN))  # noqa: S311 -- no secret

    def withdraw(self, topics: Iterable[str]) -> None:
        """Empty topics that are not used any more."""
        self._backlog.remove(topics)

    def empty(self, topics: Iterable[str]) -> None:
        """Empty what the broker retains of an earlier configuration, unless this one uses the topic, too."""
        ours = set(self._backlog.topics())
        self._backlog.remove(topic for topic in topics if topic not in ours)

    def forget(self, camera: str, *others: str) -> None:
        """Empty what the broker retains of a removed camera, and the topics `others`."""
        self._slow_scores.pop(camera, None)
        self._backlog.remove([*self._backlog.topics(f"{self._prefix}/{camera}/"), *others])

    def leave(self, camera: str, *others: str) -> None:
        """Stop publishing for a camera, and leave its topics and `others` as they are: they are another's now."""
        self._slow_scores.pop(camera, None)
        self._backlog.leave(topics := [*self._backlog.topics(f"{self._prefix}/{camera}/"), *others])
        for topic in topics:
            self._retained(topic, False)

    def publish_again(self) -> None:
        """Publish all states again, because others may have changed them."""
        self._backlog.publish_again()

    def score(
        self, camera: str, score: float, threshold: float, at: float, window: int, fence: int | None = None
    ) -> None:
        """One score, QoS 0; `at` is the end of its clip in epoch seconds. Thinned for Home Assistant beside it."""
        if not self.connected or not self._ownership.speaks(camera, fence):
            return
        told = {"score": round(score, 4), "threshold": threshold, "time": round(at, 3), "window": window}
        self._link.fleeting(f"{self._prefix}/{camera}/score", payload := json.dumps(fenced(told, fence)))
        now = time.monotonic()
        if now - self._slow_scores.get(camera, float("-inf")) >= _SLOW_SCORE_EVERY:
            self._slow_scores[camera] = now
            self._link.fleeting(f"{self._prefix}/{camera}/score/slow", payload)

    def stats(self, payload: Mapping[str, Any]) -> None:
        """The service's figures, QoS 0."""
        if (worker := self._ownership.worker) is not None:
            self._backlog.refresh(self.available_topic)  # the last will of another run may have come late
            payload = fenced({**payload, "worker": worker}, self._ownership.fence(f"@{worker}"))
        self._link.fleeting(f"{self._prefix}/stats", json.dumps(payload))

    def self_test(self, result: Mapping[str, Any]) -> None:
        """Retained `self_test`: the result of the last one, and the age of the last pass."""
        fence = self._ownership.fence(SELF_TEST_CAMERA)
        self._state(f"{self._prefix}/self_test", json.dumps(fenced(result, fence)))

    def event(self, message: Waiting) -> None:
        """Queue one message of an event. Messages that the outbox discards for it are counted."""
        self._backlog.event(message)

    def stop(self, *, patient: bool = False) -> None:
        """Publish `offline` for the cameras that this instance owns; `deliver` returns once it is acknowledged.

        Without a broker it returns at once; if `patient`, it waits until everything is acknowledged.
        """
        for topic in self._backlog.topics(f"{self._prefix}/"):
            if topic.endswith(("/available", "/status")):
                self._state(topic, "offline")
        self._backlog.stop(patient=patient)

    def deliver(self) -> None:
        """Body of the sink's thread: connect and publish until stopped."""
        self._link.run()

    def _state(self, topic: str, payload: str) -> None:
        if self._backlog.state(topic, payload):
            self._retained(topic, True)

    def _lost(self, message: Waiting, reason: str) -> None:
        if reason not in self._reasons_told:
            self._reasons_told.add(reason)
            log.error("events discarded", broker=self.shown, reason=reason, id=message.payload.id)
        self._settled(message, None)

    def _dropped(self, topic: str) -> None:
        if topic.startswith(f"{self._prefix}/"):
            self.echo.refused(topic, DROPPED)
        log.error("message skipped: the broker drops the connection because of it", broker=self.shown, topic=topic)

    def _image_too_large(self, topic: str, size: int, limit: int | None) -> None:
        shown = {"broker": self.shown, "topic": topic, "bytes": size, "limit": limit}
        if limit is None:
            log.error("sending smaller images: the broker drops the connection; check its maximum packet size", **shown)
        else:
            log.warning("sending smaller images: larger than the broker's maximum packet size", **shown)
