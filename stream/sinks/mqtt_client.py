"""Creates MQTT clients (certificates, login), and explains why a broker refused a connection."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from stream.base.addresses import BrokerAddress
from stream.base.errors import Reason, UsageError
from stream.sinks.polled_client import PolledClient

KEEPALIVE: Final = 20
_REFUSALS: Final = ("Not authorized", "Bad user name or password")


@dataclass(frozen=True)
class TlsFiles:
    """Certificates for `mqtts://`. None uses those of the system."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class _TlsSocket(ssl.SSLSocket):
    """Closes itself if the handshake fails; paho would leave it open until it is garbage-collected."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _Client(PolledClient):
    """Messages wait in the client until its thread writes them. A process that was frozen in between must not send
    them afterwards: `sends` is asked directly before each write.
    """

    sends: Callable[[], bool]

    def loop_write(self) -> MQTTErrorCode:
        if not self.sends() and isinstance(connection := self.socket(), socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return super().loop_write()


class Dialect:
    """The MQTT version to use: 5, or 3.1.1 if the broker does not support it."""

    def __init__(self) -> None:
        self.protocol = MQTTProtocolVersion.MQTTv5
        self.tried_both = self._known = False

    def taken(self) -> None:
        """The broker accepted this version."""
        self._known, self.tried_both = True, False

    def not_taken(self, *, named: bool) -> bool:
        """The broker closed the connection because of the version (`named`), or without giving a reason.

        Returns whether to try the other version at once.
        """
        if self._known and not named:  # more likely, the broker is just starting
            return False
        self.tried_both |= self.protocol is MQTTProtocolVersion.MQTTv311
        five, three = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
        self.protocol, self._known = (three if self.protocol is five else five), False
        return not self.tried_both


def make_client(
    address: BrokerAddress,
    tls: TlsFiles,
    node: str,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    *,
    reconnects: bool = False,
    sends: Callable[[], bool] = lambda: True,
) -> mqtt.Client:
    """A client for `address`, not connected yet. Its connection ends when it is about to write and `sends` is False.

    Raises UsageError for unusable certificates.
    """
    client_id = f"mgfn-{node[:24]}-{os.getpid()}-{secrets.token_hex(4)}"
    client = _Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, reconnect_on_failure=reconnects
    )
    client.sends = sends
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    given = [path for path in (tls.ca, tls.cert, tls.key) if path is not None]
    if given and not address.tls:
        raise UsageError(f"--mqtt-ca, --mqtt-cert, --mqtt-key: {address.shown} is not encrypted; use mqtts://")
    if address.tls:
        try:
            for path in given:
                if not path.is_file():
                    raise UsageError(f"{path}: no such certificate file")
            context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
            context.sslsocket_class = _TlsSocket
            if tls.cert:
                context.load_cert_chain(tls.cert, tls.key)
        except (ssl.SSLError, OSError) as error:
            shown = ", ".join(str(path) for path in given)
            raise UsageError(f"{shown}: not usable certificates: {error}") from None
        client.tls_set_context(context)
    return client


def why(error: BaseException | None) -> str:
    """Why a connection failed; never empty."""
    if error is None:
        return "no connection"
    return (
        getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    )


def refusal(code: ReasonCode) -> str:
    """Why the broker refused the connection."""
    return Reason.UNAUTHORIZED if str(code) in _REFUSALS else str(code)
