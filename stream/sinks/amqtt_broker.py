"""amqtt's broker, with the faults of amqtt 0.12.1 mended that lose messages, send unwanted ones, or stall clients.

Each override names its fault; remove it once amqtt has mended that. Tests: `tests/stream/sinks/test_amqtt_broker.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from amqtt.adapters import BufferReader, ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.codecs_amqtt import read_or_raise
from amqtt.errors import MQTTError
from amqtt.mqtt.packet import CONNECT, MQTTFixedHeader
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

_MQTT_5: Final = b"\0\4MQTT\5"
_UNSUPPORTED_VERSION: Final = b"\x20\3\0\x84\0"  # MQTT 5's CONNACK with this reason


class MendedBroker(Broker):  # type: ignore[misc]
    """An MQTT 3.1.1 broker. It refuses MQTT 5 at once, and keeps no session after its client has disconnected."""

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read the CONNECT packet, and not beyond it.

        amqtt reads MQTT 5's as if it were one of MQTT 3.1.1, and waits for strings that never come. The client gives up
        only when its keepalive ends (20 s for ours).
        """
        try:
            header = await MQTTFixedHeader.from_stream(reader)
            if header is None or header.packet_type != CONNECT:
                raise MQTTError("the first packet is not CONNECT")
            body = await read_or_raise(reader, header.remaining_length)
            if body.startswith(_MQTT_5):
                writer.write(_UNSUPPORTED_VERSION)
                raise MQTTError("MQTT 5 is not supported")
            packet = BufferReader(header.to_bytes() + body)
            _, session = await super()._initialize_client_session(packet, writer, remote_address, remote_port)
        except Exception:
            await writer.close()
            raise
        return _Handler(self.plugins_manager), session

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Do nothing: amqtt calls this for everybody's subscriptions when a client connects."""

    async def _handle_subscription(
        self, client_session: Session, handler: BrokerProtocolHandler, subscribe_waiter: asyncio.Future[Any]
    ) -> None:
        """Send retained messages here instead. A refused filter matches none."""
        await super()._handle_subscription(client_session, handler, subscribe_waiter)
        for subscription in subscribe_waiter.result().topics:
            await super()._publish_retained_messages_for_subscription(subscription, client_session)


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """The handler of one connection. It reports the end of the connection after all that came before it.

    amqtt drops the messages that are still queued then. It also forgets an end that nobody awaits yet, or takes it for
    an abnormal one and sends the last will.
    """

    def __init__(self, plugins_manager: Any) -> None:
        super().__init__(plugins_manager)
        self._end = self._disconnect_waiter = asyncio.get_running_loop().create_future()

    async def wait_disconnect(self) -> Any:
        end = await self._end
        handled = asyncio.Event()
        self.session.delivered_message_queue.put_nowait(handled)
        await handled.wait()
        return end

    async def mqtt_deliver_next_message(self) -> Any:
        message = await super().mqtt_deliver_next_message()
        if isinstance(message, asyncio.Event):  # of `wait_disconnect`: the messages before it have been handled
            message.set()
            return None
        return message

    def attach(self, session: Session, reader: ReaderAdapter, writer: WriterAdapter) -> None:
        super().attach(session, _YieldingReader(reader), writer)


class _YieldingReader(ReaderAdapter):  # type: ignore[misc]
    """Lets the tasks of the packets before run first.

    Needed only from Python 3.12 on, where amqtt reads what has arrived, including the end, without a pause, and then
    cancels these tasks.
    """

    def __init__(self, reader: ReaderAdapter) -> None:
        self._reader = reader

    async def read(self, n: int = -1) -> bytes:
        await asyncio.sleep(0)
        return bytes(await self._reader.read(n))

    def feed_eof(self) -> None:
        self._reader.feed_eof()
