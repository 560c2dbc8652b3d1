"""Keeps a connection to the broker, and sends the backlog over it.

Neither a lost broker nor a kill of this program loses an event that is in the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from stream.base.addresses import BrokerAddress
from stream.base.clock import since_boot
from stream.base.errors import UsageError
from stream.base.log import log
from stream.base.ownership import ALONE, Ownership
from stream.sinks.backlog import Backlog
from stream.sinks.delivery import Delivery
from stream.sinks.echo import EchoWatch
from stream.sinks.mqtt_client import Dialect, TlsFiles, make_client
from stream.sinks.mqtt_connection import Connection

_ANSWERED_WITHIN: Final = 30.0
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0
_GOODBYE_WITHIN: Final = 1.0
_UNREACHABLE: Final = "broker cannot be reached; trying again"


class MqttLink:
    """`run` is the body of a thread. It calls `opened` on each connection, with the MQTT version. `will` is the topic
    of the last will.
    """

    def __init__(
        self,
        address: BrokerAddress,
        will: str,
        node: str,
        tls: TlsFiles,
        backlog: Backlog,
        delivery: Delivery,
        echo: EchoWatch,
        ownership: Ownership = ALONE,
    ) -> None:
        self._ownership = ownership
        self._address = address
        self._will = will
        self._node = node
        self._tls = tls
        self._backlog = backlog
        self._delivery = delivery
        self._echo = echo
        self.opened: Callable[[Dialect], None] = lambda _dialect: None
        self._dialect = Dialect()
        self._connection: Connection | None = None
        self._retains = True
        self._complaints: set[tuple[str, str]] = set()
        make_client(address, tls, node)  # report unusable certificates at once

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.open

    def fleeting(self, topic: str, payload: str) -> None:
        """Send a message that would be useless later, if connected and not too many are waiting."""
        connection = self._connection
        if connection is None:
            return
        self._echo.expect(topic, "", time.monotonic())  # before: it may be back at once
        if not connection.publish_fleeting(topic, payload):
            self._echo.not_sent(topic, "")

    def run(self) -> None:
        """Connect and publish until stopped."""
        pause = _FIRST_RETRY
        while not self._backlog.finished(connected=False):
            try:
                connection = self._connection = self._begin()
            except UsageError as error:  # the certificates have changed since the start
                self._complain(_UNREACHABLE, str(error))
                self._rest(pause)
                continue
            if self._wait_for_answer(connection):
                pause = _FIRST_RETRY
                self.opened(self._dialect)
                self._delivery.run(connection)
                self._close(connection)
            elif connection.rejects_retained and self._retains:
                self._retains = False
                continue
            elif (connection.wrong_version or connection.silent) and self._dialect.not_taken(
                named=connection.wrong_version
            ):
                continue  # at once, with the other version
            else:
                what = "broker refused the connection" if connection.refused else _UNREACHABLE
                self._complain(what, connection.reason or "no answer")
            self._rest(pause)
            pause = min(_LAST_RETRY, 2 * pause)
        self._connection = None
        if len(self._backlog):
            # those in the data folder are published after the next start; a replay has none
            log.error("events not delivered before shutdown", count=len(self._backlog), broker=self._address.shown)

    def _begin(self) -> Connection:
        opened = since_boot()
        client = make_client(
            self._address,
            self._tls,
            self._node,
            self._dialect.protocol,
            sends=lambda: self._ownership.sends(opened),
        )
        client.will_set(self._will, "offline", qos=1, retain=self._retains)
        connection = Connection(client, self._backlog.wake)
        connection.begin(self._address)
        return connection

    def _wait_for_answer(self, connection: Connection) -> bool:
        """Whether the broker accepts the connection."""
        self._wait(lambda: connection.open or connection.over or self._stopped, _ANSWERED_WITHIN)
        if not connection.open:
            if not connection.over:
                connection.end()
            return False
        self._complaints.clear()
        self._dialect.taken()
        log.info("broker connected", broker=self._address.shown, mqtt="5" if connection.reports_refusals else "3.1.1")
        if not connection.retains:
            log.warning("broker retains no messages: subscribers see states and images only when they change")
        return True

    def _close(self, connection: Connection) -> None:
        """Disconnect if that has not happened."""
        if connection.open:
            connection.end()
            self._wait(lambda: connection.over, _GOODBYE_WITHIN)
        else:
            log.warning("broker connection lost", broker=self._address.shown, reason=connection.reason)
        self._delivery.connection_lost()

    @property
    def _stopped(self) -> bool:
        return self._backlog.finished(connected=False)

    def _rest(self, seconds: float) -> None:
        self._wait(lambda: self._stopped, seconds)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until the condition holds, at most this long."""
        until = time.monotonic() + seconds
        while not condition() and (left := until - time.monotonic()) > 0:
            self._backlog.rest(left)

    def _complain(self, what: str, reason: str) -> None:
        """Log each problem once, until a connection succeeds."""
        if not self._stopped and (what, reason) not in self._complaints:
            self._complaints.add((what, reason))
            log.error(what, broker=self._address.shown, reason=reason)
