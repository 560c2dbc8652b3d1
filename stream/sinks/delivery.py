"""Sends the backlog over one connection, and processes the broker's answers.

If an event has to be sent again over another connection, its times say when it was really sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.archive.clock import Clock
from stream.base.log import log
from stream.base.ownership import ALONE, Ownership
from stream.sinks.backlog import Backlog, Work
from stream.sinks.echo import EchoWatch, event_key
from stream.sinks.image_queue import Outgoing, shrunk
from stream.sinks.mqtt_connection import Connection, Sent

# Seconds between looks for an acknowledgement; paho reports it before the message counts as published.
_FIRST_POLL, _LAST_POLL = 0.001, 0.01
_CHECK_EVERY: Final = 1.0
DELAYED_AFTER: Final = 10.0  # seconds

InFlight = list[tuple[Sent, Callable[[str], None]]]  # each with its callback, which gets "" or why it was refused


class Delivery:
    """Used for all connections, by one thread.

    `settled` is called for each event that was acknowledged, with the published payload; `retained` (topic, False) when
    the broker no longer retains anything for a topic.
    """

    def __init__(
        self,
        prefix: str,
        backlog: Backlog,
        echo: EchoWatch,
        clock: Clock,
        settled: Callable[[Waiting, EventMessage | None], None],
        retained: Callable[[str, bool], None],
        ownership: Ownership = ALONE,
    ) -> None:
        self._ownership = ownership
        self._prefix = prefix
        self._backlog = backlog
        self._echo = echo
        self._clock = clock
        self._settled = settled
        self._retained = retained
        self._refused_outside = False

    def run(self, connection: Connection) -> None:
        """Send until the connection ends, or until everything is sent and a stop was requested."""
        in_flight: InFlight = []
        next_check, pause = 0.0, _FIRST_POLL
        self._backlog.connected(connection.packet_limit, time.monotonic())
        while connection.open:
            in_flight = self._acknowledged(connection, in_flight)
            if self._backlog.finished(connected=True):
                return
            now = time.monotonic()
            if now >= next_check:
                next_check = now + _CHECK_EVERY
                self._report(now)
            if (work := self._backlog.next(now, self._clock.now())) is not None:
                self._send(connection, work, in_flight)
                pause = _FIRST_POLL
            else:
                self._backlog.rest(pause if in_flight else _CHECK_EVERY)
                pause = min(_LAST_POLL, 2 * pause)

    def connection_lost(self) -> None:
        """Messages in flight may not have arrived."""
        self._backlog.connection_lost(time.monotonic(), self._clock.now())
        self._echo.restart()

    @staticmethod
    def _acknowledged(connection: Connection, in_flight: InFlight) -> InFlight:
        """Call the callbacks of the messages that were answered; returns the others."""
        left: InFlight = []
        for sent, then in in_flight:
            if sent.acknowledged:
                then(connection.refusal_of(sent))
            else:
                left.append((sent, then))
        return left

    def _send(self, connection: Connection, work: Work, in_flight: InFlight) -> None:
        if work.event is not None:
            in_flight.append(self._send_event(connection, work.event))
        for topic, payload in work.states.items():
            self._echo.expect(topic, payload, time.monotonic(), retained=True)
            sent = connection.publish(topic, payload, retain=True)
            in_flight.append((sent, partial(self._state_answered, connection, topic)))
        if work.image is not None:
            in_flight += self._send_image(connection, work.image)

    def _send_event(self, connection: Connection, message: Waiting) -> tuple[Sent, Callable[[str], None]]:
        corrected = message.payload.corrected(self._clock.mark)
        said = stamped(corrected, self._clock.now() - message.made, time.time())
        if not self._ownership.speaks(said.camera, said.fence):  # it was decided while the lease was in force
            said = replace(said, delayed=True)
        topic = f"{self._prefix}/events"
        self._backlog.event_sent(message, said)
        self._echo.expect(topic, event_key(said.id, said.seq), time.monotonic())
        sent = connection.publish(topic, json.dumps(said.as_json()))
        return sent, partial(self._event_answered, connection, topic, too_large=sent.info is None)

    def _event_answered(self, connection: Connection, topic: str, refusal: str, *, too_large: bool) -> None:
        self._note(connection, topic, refusal)
        if too_large:
            self._backlog.event_too_large(refusal)
        elif refusal:
            self._backlog.event_refused(self._clock.now())
        else:
            self._settled(*self._backlog.event_acknowledged())

    def _state_answered(self, connection: Connection, topic: str, refusal: str) -> None:
        self._note(connection, topic, refusal)
        if self._backlog.state_acknowledged(topic) and not refusal:
            self._retained(topic, False)

    def _send_image(self, connection: Connection, outgoing: Outgoing) -> InFlight:
        jpeg = shrunk(outgoing.jpeg, outgoing.most)
        self._backlog.image_sent(outgoing, None if jpeg is None else len(jpeg), time.monotonic())
        if jpeg is None:
            return []
        sent = connection.publish(outgoing.topic, jpeg, retain=True)
        return [(sent, partial(self._image_answered, connection, outgoing.topic))]

    def _image_answered(self, connection: Connection, topic: str, refusal: str) -> None:
        self._note(connection, topic, refusal)
        self._backlog.image_acknowledged(time.monotonic())

    def _note(self, connection: Connection, topic: str, refusal: str) -> None:
        """Remember whether the broker accepted a message. With MQTT 3.1.1 it cannot refuse one."""
        if not refusal:
            if connection.reports_refusals:
                self._echo.accepted(topic)
        elif topic.startswith(f"{self._prefix}/"):
            self._echo.refused(topic, refusal)
        elif not self._refused_outside:  # Home Assistant's topics; not everybody uses them
            self._refused_outside = True
            log.warning("broker refuses discovery messages", topic=topic, reason=refusal)

    def _report(self, now: float) -> None:
        for topic, reason in self._echo.changes(now):
            if reason:
                log.error("messages do not reach subscribers", topic=topic, reason=reason)
            else:
                log.info("messages reach subscribers again", topic=topic)


def stamped(message: EventMessage, waited: float, now: float) -> EventMessage:
    """The message as published at epoch time `now`, having `waited` so many seconds since it was decided."""
    return replace(message, published_time=round(now, 3), delayed=waited > DELAYED_AFTER)
