"""Alarms and states to an MQTT broker, by the topics of the contract.

Events wait in the outbox and leave one at a time, in order, each acknowledged before the next. States are retained and
said again on every connection. Scores are sent only while connected: an old one is of no use.
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
from stream.base.addresses import BrokerAddress
from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.sinks.backlog import Backlog
from stream.sinks.delivery import Delivery
from stream.sinks.echo import EchoWatch
from stream.sinks.mqtt_client import Dialect, TlsFiles
from stream.sinks.mqtt_link import MqttLink

DROPPED: Final = "the broker drops the connection for it"
_SLOW_SCORE_EVERY: Final = 10.0
_ANNOUNCED_WITHIN: Final = 3.0


class MqttSink:
    """Publishes under `prefix`. It connects when it can, and goes on trying for ever.

    Verbs only note what is to be said and return at once; `deliver`, in a thread of its own, says it. `settled` hears
    of each event that was acknowledged (with its payload as it left) or given up (None), `retained` of topics that the
    broker keeps for us. `echo` watches whether what is said comes back.
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
    ) -> None:
        self.shown = address.shown
        self.echo = EchoWatch(prefix)
        self._prefix = prefix
        self._settled = settled
        self._retained = retained
        self._slow_scores: dict[str, float] = {}
        clock = clock or Clock(SteadyClock.by_the_wall())
        self._backlog = Backlog(prefix, self._lost, self._complain_of_picture, self._dropped, queue_limit)
        delivery = Delivery(prefix, self._backlog, self.echo, clock, settled, retained)
        self._link = MqttLink(address, prefix, node, tls or TlsFiles(), self._backlog, delivery, self.echo)
        self._backlog.state(f"{prefix}/available", "online")

    def when_open(self, then: Callable[[Dialect], None]) -> None:
        """`then` is told of each connection, by the sink's thread; before it runs."""
        self._link.opened = then

    @property
    def connected(self) -> bool:
        return self._link.connected

    @property
    def waiting(self) -> int:
        """Events that the broker has not acknowledged."""
        return len(self._backlog)

    @property
    def events_lost(self) -> int:
        """Events that were given up."""
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

    def camera_calibration(self, camera: str, state: Mapping[str, Any]) -> None:
        """What the camera has learnt, and the false alarms a day that are expected."""
        self._state(f"{self._prefix}/{camera}/calibration/state", json.dumps(state))

    def camera_snapshot(self, camera: str, jpeg: bytes) -> None:
        """The retained picture of the last alarm, as large as the line allows; empty once its file has expired."""
        topic = f"{self._prefix}/{camera}/anomaly/snapshot"
        if jpeg:
            self._backlog.picture(topic, jpeg)
            self._retained(topic, True)
        else:
            self._backlog.remove([topic])

    def announce(self, topic: str, payload: Mapping[str, Any]) -> None:
        """A retained message outside our prefix: Home Assistant's discovery."""
        self._state(topic, json.dumps(payload))

    def announce_soon(self) -> None:
        """Send every message outside our prefix again, in a moment of chance: others do the same just now."""
        self._backlog.say_outside_again(random.uniform(0, _ANNOUNCED_WITHIN))  # noqa: S311 -- no secret

    def empty(self, topics: Iterable[str]) -> None:
        """Empty what the broker keeps of an earlier configuration, unless this one says it too."""
        ours = set(self._backlog.topics())
        self._backlog.remove(topic for topic in topics if topic not in ours)

    def forget(self, camera: str, *others: str) -> None:
        """Empty what the broker keeps of a camera that is gone, and the topics `others`."""
        self._slow_scores.pop(camera, None)
        self._backlog.remove([*self._backlog.topics(f"{self._prefix}/{camera}/"), *others])

    def score(self, camera: str, score: float, threshold: float, at: float, window: int) -> None:
        """One score, QoS 0; `at` is the end of its clip in epoch seconds. Thinned for Home Assistant beside it."""
        if not self.connected:
            return
        payload = json.dumps({"score": round(score, 4), "threshold": threshold, "time": round(at, 3), "window": window})
        self._link.fleeting(f"{self._prefix}/{camera}/score", payload)
        now = time.monotonic()
        if now - self._slow_scores.get(camera, float("-inf")) >= _SLOW_SCORE_EVERY:
            self._slow_scores[camera] = now
            self._link.fleeting(f"{self._prefix}/{camera}/score/slow", payload)

    def stats(self, payload: Mapping[str, Any]) -> None:
        """The service's figures, QoS 0."""
        self._link.fleeting(f"{self._prefix}/stats", json.dumps(payload))

    def self_test(self, result: Mapping[str, Any]) -> None:
        """Retained `self_test`: what came of the last one, and the age of the last pass."""
        self._state(f"{self._prefix}/self_test", json.dumps(result))

    def event(self, message: Waiting) -> None:
        """Queue one message of an event. What the outbox gives up for it is counted."""
        self._backlog.event(message)

    def stop(self, *, patient: bool = False) -> None:
        """Say `offline` everywhere; `deliver` returns once all is acknowledged.

        Without a broker it returns at once; if it is `patient`, not before all is acknowledged even then.
        """
        for topic in self._backlog.topics(f"{self._prefix}/"):
            if topic.endswith(("/available", "/status")):
                self._state(topic, "offline")
        self._backlog.stop(patient=patient)

    def deliver(self) -> None:
        """Connect and publish until stopped: body of the sink's thread."""
        self._link.run()

    def _state(self, topic: str, payload: str) -> None:
        if self._backlog.state(topic, payload):
            self._retained(topic, True)

    def _lost(self, message: Waiting) -> None:
        if self._backlog.lost == 1:
            log.error("events are being lost: the broker has been away for too long", broker=self.shown)
        self._settled(message, None)

    def _dropped(self, topic: str) -> None:
        if topic.startswith(f"{self._prefix}/"):
            self.echo.refused(topic, DROPPED)
        log.error("the broker drops the connection for a message: left out for now", broker=self.shown, topic=topic)

    def _complain_of_picture(self, topic: str, size: int) -> None:
        log.error(
            "the broker drops the connection for a picture: it is sent smaller; look at its maximum packet size",
            broker=self.shown, topic=topic, bytes=size,
        )  # fmt: skip
