"""What is done over one connection: the backlog is handed over, and what the broker says of it is told.

An event that is sent again over another connection says when it really left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from stream.alarm.event import EventMessage, stamped
from stream.alarm.outbox import Waiting
from stream.archive.clock import Clock
from stream.base.log import log
from stream.sinks.backlog import Backlog, Work
from stream.sinks.echo import EchoWatch, event_key
from stream.sinks.mqtt_connection import Connection, Sent
from stream.sinks.picture_line import Outgoing, shrunk

_LOOK_AGAIN: Final = 0.01  # paho tells of an acknowledgement before it counts as one
_LOOK_EVERY: Final = 1.0

UnderWay = list[tuple[Sent, Callable[[str], None]]]  # each with what to do once it is acknowledged or refused


class Delivery:
    """One for all connections, used by one thread.

    `settled` hears of each event that was acknowledged, with its payload as it left; `retained` of topics that the
    broker keeps nothing under any more.
    """

    def __init__(
        self,
        prefix: str,
        backlog: Backlog,
        echo: EchoWatch,
        clock: Clock,
        settled: Callable[[Waiting, EventMessage | None], None],
        retained: Callable[[str, bool], None],
    ) -> None:
        self._prefix = prefix
        self._backlog = backlog
        self._echo = echo
        self._clock = clock
        self._settled = settled
        self._retained = retained
        self._refused_outside = False

    def talk(self, connection: Connection) -> None:
        """Hand over what there is until the connection ends, or all is said and we were stopped."""
        under_way: UnderWay = []
        next_look = 0.0
        self._backlog.connected(connection.largest, time.monotonic())
        while connection.open:
            under_way = self._acknowledged(connection, under_way)
            if self._backlog.finished(connected=True):
                return
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _LOOK_EVERY
                self._look(now)
            if (work := self._backlog.next(now, self._clock.now())) is not None:
                self._hand_over(connection, work, under_way)
            else:
                self._backlog.rest(_LOOK_AGAIN if under_way else _LOOK_EVERY)

    def connection_lost(self) -> None:
        """What was under way may not have arrived."""
        self._backlog.connection_lost(time.monotonic(), self._clock.now())
        self._echo.interrupted()

    @staticmethod
    def _acknowledged(connection: Connection, under_way: UnderWay) -> UnderWay:
        """Tell those that the broker has answered; returns the others."""
        left: UnderWay = []
        for sent, then in under_way:
            if sent.acknowledged:
                then(connection.refusal_of(sent))
            else:
                left.append((sent, then))
        return left

    def _hand_over(self, connection: Connection, work: Work, under_way: UnderWay) -> None:
        if work.event is not None:
            under_way.append(self._event(connection, work.event))
        for topic, payload in work.states.items():
            self._echo.expect(topic, payload, time.monotonic(), kept=True)
            sent = connection.publish(topic, payload, retain=True)
            under_way.append((sent, partial(self._state_said, connection, topic)))
        if work.picture is not None and (picture := self._picture(connection, work.picture)) is not None:
            under_way.append(picture)

    def _event(self, connection: Connection, message: Waiting) -> tuple[Sent, Callable[[str], None]]:
        corrected = message.payload.corrected(self._clock.mark)
        said = stamped(corrected, self._clock.now() - message.made, time.time())
        topic = f"{self._prefix}/events"
        self._backlog.event_handed(message, said)
        self._echo.expect(topic, event_key(said.id, said.seq), time.monotonic())
        sent = connection.publish(topic, json.dumps(said.as_json()))
        return sent, partial(self._event_said, connection, topic)

    def _event_said(self, connection: Connection, topic: str, refusal: str) -> None:
        self._heard_of(connection, topic, refusal)
        if refusal:
            self._backlog.event_refused(self._clock.now())
        else:
            self._settled(*self._backlog.event_acknowledged())

    def _state_said(self, connection: Connection, topic: str, refusal: str) -> None:
        self._heard_of(connection, topic, refusal)
        if self._backlog.state_acknowledged(topic) and not refusal:
            self._retained(topic, False)

    def _picture(self, connection: Connection, outgoing: Outgoing) -> tuple[Sent, Callable[[str], None]] | None:
        jpeg = shrunk(outgoing.jpeg, outgoing.most)
        now = time.monotonic()
        self._backlog.picture_handed(outgoing, None if jpeg is None else len(jpeg), now)
        if jpeg is None:
            return None
        sent = connection.publish(outgoing.topic, jpeg, retain=True)
        return sent, partial(self._picture_said, connection, outgoing.topic)

    def _picture_said(self, connection: Connection, topic: str, refusal: str) -> None:
        self._heard_of(connection, topic, refusal)
        self._backlog.picture_acknowledged(time.monotonic())

    def _heard_of(self, connection: Connection, topic: str, refusal: str) -> None:
        """What the broker says of a message on `topic`; MQTT 3.1.1 has no word for a refusal."""
        if not refusal:
            if connection.reports:
                self._echo.let_through(topic)
        elif topic.startswith(f"{self._prefix}/"):
            self._echo.refused(topic, refusal)
        elif not self._refused_outside:  # Home Assistant's, which not everybody has
            self._refused_outside = True
            log.warning("the broker does not let discovery messages through", topic=topic, reason=refusal)

    def _look(self, now: float) -> None:
        for topic, reason in self._echo.look(now):
            if reason:
                log.error("messages do not get through", topic=topic, reason=reason)
            else:
                log.info("messages get through again", topic=topic)
