"""WS-Discovery: asks by multicast which ONVIF devices are on the networks of this machine."""

from __future__ import annotations

import asyncio
import socket
import struct
import uuid
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from stream.base.errors import StreamError
from stream.discovery.errors import DeviceError
from stream.discovery.onvif import name_in
from stream.discovery.soap import element, parse_xml
from stream.discovery.targets import Address

GROUP: Final = ("239.255.255.250", 3702)
MOST_DEVICES: Final = 256
_ASKED: Final = (0.0, 0.5, 1.5)  # seconds at which the question is sent: a datagram may be lost
_KINDS: Final = ("n:NetworkVideoTransmitter", "d:Device")
_NAMESPACES: Final = (
    'xmlns:n="http://www.onvif.org/ver10/network/wsdl" xmlns:d="http://www.onvif.org/ver10/device/wsdl"'
)


@dataclass(frozen=True)
class Answer:
    """A device that answered from `address`; `urls` are where it says that its service is."""

    address: Address
    urls: tuple[str, ...]
    name: str


class _Collector(asyncio.DatagramProtocol):
    def __init__(self, asked: frozenset[str]) -> None:
        self._asked = asked
        self.answers: dict[tuple[Address, tuple[str, ...]], Answer] = {}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self.answers) >= MOST_DEVICES:
            return
        try:
            answer = _parsed(data, ip_address(addr[0]), self._asked)
        except DeviceError:
            return  # anyone may send anything to this port
        if answer is not None:
            self.answers[(answer.address, answer.urls)] = answer


async def probe(seconds: float = 4.0) -> list[Answer]:
    """The devices that answer within so many seconds. Raises StreamError if nothing can be sent."""
    interfaces = [index for index, _ in socket.if_nameindex()]
    messages = {kind: f"uuid:{uuid.uuid4()}" for kind in _KINDS}
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        udp.bind(("", 0))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        transport, collector = await loop.create_datagram_endpoint(
            lambda: _Collector(frozenset(messages.values())), sock=udp
        )
        try:
            begun, sent = loop.time(), 0
            for after in _ASKED:
                await asyncio.sleep(max(0.0, min(after, seconds) - (loop.time() - begun)))
                for kind, message in messages.items():
                    sent += sum(_send(udp, index, kind, message) for index in interfaces)
            if not sent:
                raise StreamError("no network takes multicast; name the addresses of the cameras")
            await asyncio.sleep(max(0.0, seconds - (loop.time() - begun)))
        finally:
            transport.close()
    return list(collector.answers.values())


def _send(udp: socket.socket, interface: int, kind: str, message: str) -> bool:
    """Whether the interface took the question."""
    try:
        chosen = struct.pack("=4s4si", bytes(4), bytes(4), interface)  # struct ip_mreqn
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, chosen)
        udp.sendto(_question(kind, message), GROUP)
    except OSError:  # it is down, or has no address
        return False
    return True


def _question(kind: str, message: str) -> bytes:
    addressing, discovery = (
        "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    )
    header = (
        element("a:MessageID", message)
        + element("a:To", "urn:schemas-xmlsoap-org:ws:2005:04:discovery")
        + element("a:Action", f"{discovery}/Probe")
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:a="{addressing}" xmlns:p="{discovery}" {_NAMESPACES}><s:Header>{header}</s:Header>'
        f"<s:Body><p:Probe>{element('p:Types', kind)}</p:Probe></s:Body></s:Envelope>"
    ).encode()


def _parsed(data: bytes, address: Address, asked: frozenset[str]) -> Answer | None:
    """None if it answers none of our questions."""
    root = parse_xml(data)
    if (root.findtext(".//{*}RelatesTo") or "").strip() not in asked:
        return None
    urls = (root.findtext(".//{*}ProbeMatch/{*}XAddrs") or "").split()
    scopes = (root.findtext(".//{*}ProbeMatch/{*}Scopes") or "").split()
    return Answer(address, tuple(urls[:8]), name_in(scopes)) if urls else None
