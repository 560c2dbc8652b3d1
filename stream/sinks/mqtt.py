"""Publishes alarms and states to an MQTT broker.

Events wait in the outbox and are published in order, one at a time, each acknowledged before the next. Neither a lost
broker nor a kill of this program loses an event that is in the database. States are retained and published again on
every connection. Scores are published only while connected, because old scores are useless.

The service runs `deliver` in a thread; paho's client has its own network thread.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from stream.alarm.event import EventMessage, stamped
from stream.alarm.outbox import LIMIT, Outbox, Waiting
from stream.archive.clock import Clock
from stream.base.addresses import BrokerAddress
from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.sinks.mqtt_client import KEEPALIVE, TlsFiles, make_client, refusal, why

_ACKNOWLEDGED_WITHIN: Final = 0.01
_SLOW_SCORE_EVERY: Final = 10.0
_ANNOUNCED_WITHIN: Final = 3.0
_SMALL: Final = 8_192  # bytes: larger states are images
_PICTURE_TRIES: Final = 2
_TOO_LARGE_FOR: Final = 3_600.0


class MqttSink:
    """Publishes under `prefix`, and keeps reconnecting.

    All other methods only queue and return at once; `deliver` publishes, in its own thread. No lock is held while paho
    is called, because paho calls back with its own locks held. `settled` is called for each message that was
    acknowledged (with the published payload) or discarded (None). `retained` is called when the broker starts or stops
    retaining a topic for us.
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
        self._clock = clock or Clock(SteadyClock.by_the_wall())
        self.shown = address.shown
        self._address = address
        self._prefix = prefix
        self._settled = settled
        self._retained = retained
        self._changed = threading.Condition()
        self._outbox = Outbox(queue_limit)
        self._in_flight: tuple[mqtt.MQTTMessageInfo, Waiting, EventMessage] | None = None
        self._states: dict[str, str | bytes] = {f"{prefix}/available": "online"}
        self._unsaid: dict[str, None] = {}  # topics in `_states` that have not been published, in order
        self._unsettled: dict[str, mqtt.MQTTMessageInfo] = {}  # states that the broker has not acknowledged, by topic
        self._gone: set[str] = set()
        self._announce_at = float("inf")
        self._slow_scores: dict[str, float] = {}
        self._connected = self._ending = self._patient = False
        self._complaint = ""
        self._pictures: dict[str, int] = {}  # bytes of the image in transit, by topic
        self._broken: dict[str, int] = {}  # how often the connection broke while a topic's image was in transit
        self._too_large = (0, 0.0)  # bytes of the last discarded image; until when such images are not tried
        self._picture_told = False
        self.events_lost = 0
        client = make_client(address, tls or TlsFiles(), node)
        client.will_set(f"{prefix}/available", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        self._client = client

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def waiting(self) -> int:
        """Events that the broker has not acknowledged."""
        with self._changed:
            return len(self._outbox) + (self._in_flight is not None)

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
        """What the camera has learned, and the expected false alarms per day."""
        self._state(f"{self._prefix}/{camera}/calibration/state", json.dumps(state))

    def camera_snapshot(self, camera: str, jpeg: bytes) -> None:
        """The retained image of the last alarm; empty once its file has expired.

        An image as large as one that was discarded is not tried for an hour.
        """
        with self._changed:
            size, until = self._too_large
            if len(jpeg) >= size and time.monotonic() < until:
                return
        self._state(f"{self._prefix}/{camera}/anomaly/snapshot", jpeg)

    def announce(self, topic: str, payload: Mapping[str, Any]) -> None:
        """A retained message outside our prefix: Home Assistant's discovery."""
        self._state(topic, json.dumps(payload))

    def announce_soon(self) -> None:
        """Send every message outside our prefix again, after a random delay, because others do the same now."""
        with self._changed:
            self._announce_at = time.monotonic() + random.uniform(0, _ANNOUNCED_WITHIN)  # noqa: S311 -- no secret
            self._changed.notify()

    def empty(self, topics: Iterable[str]) -> None:
        """Empty what the broker retains of an earlier configuration, unless this one uses the topic, too."""
        for topic in topics:
            if topic not in self._states:
                self._gone.add(topic)
                self._state(topic, b"")

    def forget(self, camera: str, *others: str) -> None:
        """Empty what the broker retains of a removed camera, and the topics `others`."""
        with self._changed:
            theirs = [t for t in self._states if t.startswith(f"{self._prefix}/{camera}/") or t in others]
            self._gone.update(theirs)
        self._slow_scores.pop(camera, None)
        for topic in theirs:
            self._state(topic, b"")

    def score(self, camera: str, score: float, threshold: float, at: float, window: int) -> None:
        """One score, QoS 0; `at` is the end of its clip in epoch seconds. Also publishes a thinned topic for Home
        Assistant.
        """
        if not self._connected:
            return
        payload = json.dumps({"score": round(score, 4), "threshold": threshold, "time": round(at, 3), "window": window})
        self._client.publish(f"{self._prefix}/{camera}/score", payload)
        now = time.monotonic()
        if now - self._slow_scores.get(camera, float("-inf")) >= _SLOW_SCORE_EVERY:
            self._slow_scores[camera] = now
            self._client.publish(f"{self._prefix}/{camera}/score/slow", payload)

    def stats(self, payload: Mapping[str, Any]) -> None:
        """The service's figures, QoS 0."""
        if self._connected:
            self._client.publish(f"{self._prefix}/stats", json.dumps(payload))

    def self_test(self, result: Mapping[str, Any]) -> None:
        """Retained `self_test`: the result of the last one, and the age of the last pass."""
        self._state(f"{self._prefix}/self_test", json.dumps(result))

    def event(self, message: Waiting) -> None:
        """Queue one message of an event. Messages that the outbox discards for it are counted."""
        with self._changed:
            given_up = self._outbox.put(message)
            if given_up is not None:
                self._lose([given_up])
            self._changed.notify()

    def stop(self, *, patient: bool = False) -> None:
        """Publish `offline` everywhere; `deliver` returns once everything is acknowledged.

        Without a broker it returns at once; if `patient`, it waits until everything is acknowledged.
        """
        for topic in self._states.keys() - self._gone:
            if topic.startswith(f"{self._prefix}/") and topic.endswith(("/available", "/status")):
                self._state(topic, "offline")
        with self._changed:
            self._ending, self._patient = True, patient
            self._changed.notify()

    def deliver(self) -> None:
        """Body of the sink's thread: connect and publish until stopped."""
        self._client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        self._client.loop_start()
        while self._deliver_next():
            pass
        if self.waiting:
            # those in the data folder are published after the next start; a replay has none
            log.error("events not delivered before the stop", count=self.waiting, broker=self.shown)
        self._client.disconnect()
        self._client.loop_stop()

    def _deliver_next(self) -> bool:
        with self._changed:
            while not (self._may_send() or self._over()):
                # paho reports an acknowledgement before it counts as one, so poll
                acknowledging = self._connected and (self._in_flight or self._unsettled)
                self._changed.wait(_ACKNOWLEDGED_WITHIN if acknowledging else self._until_announcing())
            if self._over() and not self._may_send():
                return False
            self._lose(self._outbox.expire(self._clock.now()))
            # After a lost connection, paho resends unacknowledged messages, possibly after new ones. So a new message
            # on a topic waits for the previous one.
            event = self._outbox.take() if len(self._outbox) and self._in_flight is None else None
            states = {topic: self._states[topic] for topic in self._sayable()}
            for topic in states:
                del self._unsaid[topic]
        if event is not None:
            corrected = event.payload.corrected(self._clock.mark)
            said = stamped(corrected, self._clock.now() - event.made, time.time())
            # paho answers "no connection", but keeps the message and delivers it later: never pass it twice
            sent = self._client.publish(f"{self._prefix}/events", json.dumps(said.as_json()), qos=1)
            self._in_flight = (sent, event, said)
        for topic, payload in states.items():
            if len(payload) > _SMALL:
                self._pictures[topic] = len(payload)
            self._unsettled[topic] = self._client.publish(topic, payload, qos=1, retain=True)
        return True

    def _may_send(self) -> bool:
        """Whether something can be passed to paho. The lock is held."""
        if self._in_flight is not None and _acknowledged(self._in_flight[0]):
            _, message, said = self._in_flight
            self._in_flight = None
            self._settled(message, said)
        for topic in [topic for topic, sent in self._unsettled.items() if _acknowledged(sent)]:
            del self._unsettled[topic]
            if self._pictures.pop(topic, None) is not None:
                self._broken.pop(topic, None)
            if topic in self._gone and topic not in self._unsaid:  # emptied, and it has not come back
                self._retained(topic, False)
        if time.monotonic() >= self._announce_at:
            self._announce_at = float("inf")
            self._unsaid |= dict.fromkeys(t for t in self._states if not t.startswith(f"{self._prefix}/"))
        return self._connected and (bool(self._sayable()) or (len(self._outbox) > 0 and self._in_flight is None))

    def _sayable(self) -> list[str]:
        """Topics whose state can be published now: all small ones, or else one image while no event waits. Lock
        held.
        """
        topics = [topic for topic in self._unsaid if topic not in self._unsettled]
        small = [topic for topic in topics if not self._is_picture(topic)]
        busy = len(self._outbox) or self._in_flight is not None
        if small or busy or self._pictures:
            return small
        return topics[:1]

    def _is_picture(self, topic: str) -> bool:
        return len(self._states[topic]) > _SMALL

    def _take_back_pictures(self) -> None:
        """After a lost connection events go first, so paho must not resend its image. Lock held.

        An image that was in transit twice when the connection broke is discarded, and larger ones for an hour.
        """
        for topic, size in self._pictures.items():
            sent = self._unsettled.pop(topic, None)
            if sent is None:
                continue
            mid = sent.mid
            self._client._out_messages.pop(mid, None)  # paho has no public method to withdraw a message
            self._broken[topic] = self._broken.get(topic, 0) + 1
            if self._broken[topic] >= _PICTURE_TRIES:
                self._too_large = (size, time.monotonic() + _TOO_LARGE_FOR)
                self._give_up_picture(topic)
        self._pictures.clear()

    def _give_up_picture(self, topic: str) -> None:
        size = self._pictures[topic]
        if self._is_picture(topic):  # else it has been emptied meanwhile
            del self._states[topic]
            self._unsaid.pop(topic, None)
        self._broken.pop(topic, None)
        if not self._picture_told:
            self._picture_told = True
            log.error(
                "image discarded: the broker drops the connection for it; check the broker's maximum packet size",
                broker=self.shown, topic=topic, bytes=size,
            )  # fmt: skip

    def _until_announcing(self) -> float | None:
        left = self._announce_at - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    def _over(self) -> bool:
        """Stopped, and nothing is left that the broker could still acknowledge. The lock is held."""
        settled = not (len(self._outbox) or self._in_flight or self._unsettled or self._unsaid)
        return self._ending and (settled or not (self._connected or self._patient))

    def _lose(self, messages: list[Waiting]) -> None:
        for message in messages:
            self.events_lost += 1
            if self.events_lost == 1:
                log.error("losing events: the broker has been away for too long", broker=self.shown)
            self._settled(message, None)

    def _state(self, topic: str, payload: str | bytes) -> None:
        with self._changed:
            before = self._states.get(topic)
            if payload:
                self._gone.discard(topic)
            if before != payload:
                self._states[topic] = payload
                self._unsaid[topic] = None
                self._changed.notify()
        if payload and not before:
            self._retained(topic, True)

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if code.is_failure:
            self._complain("broker refused the connection", refusal(code))
            return
        with self._changed:
            self._connected, self._complaint = True, ""
            self._unsaid = dict.fromkeys(self._states)
            self._changed.notify()
        log.info("broker connected", broker=self.shown)

    def _on_connect_fail(self, _c: Any, _u: Any) -> None:
        # paho does not pass the error: its callback runs inside `except`, where it is the current exception
        error = sys.exc_info()[1]
        self._complain("broker cannot be reached; trying again", why(error))

    def _complain(self, what: str, reason: str) -> None:
        if self._complaint != what:
            self._complaint = what
            log.error(what, broker=self.shown, reason=reason)

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if self._connected and code.is_failure:
            log.warning("broker connection lost", broker=self.shown, reason=str(code))
        with self._changed:
            self._connected = False
            self._take_back_pictures()
            self._changed.notify()


def _acknowledged(sent: mqtt.MQTTMessageInfo) -> bool:
    """Whether the broker has it. A message passed to paho while the connection broke is kept and delivered later."""
    if sent.rc is MQTTErrorCode.MQTT_ERR_NO_CONN:
        sent.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # otherwise paho raises for it forever, even once it is delivered
    return sent.is_published()
