"""Which addresses may be contacted. Devices say where their services and streams are, and may lie."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from stream.base.errors import UsageError
from stream.discovery.errors import DeviceError

Address = IPv4Address | IPv6Address

_LONGEST_URL: Final = 1_000
_METADATA: Final = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"))
)
_LOCAL: Final = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"))
)
_V4_IN_V6: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

_ALLOWED: Final = "HOST or HOST:PORT, such as 192.168.1.20, or the rtsp:// URL of a stream"


@dataclass(frozen=True)
class Host:
    """A host that the user named, resolved; `port` None if only the host was named. `url`: that of a stream of it."""

    text: str
    address: Address
    port: int | None
    url: str | None = None


async def named_host(text: str) -> Host:
    """The host of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or the `rtsp[s]://` URL of a stream. Raises UsageError."""
    if "://" in text:
        return await _host_of(text)
    try:
        bare = ":" in text and not text.startswith("[") and text.count(":") > 1  # an IPv6 address without brackets
        parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
        name, port = parts.hostname, parts.port
        plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        name, port, plain = None, None, False
    if not name or not plain or not text.isprintable() or port == 0:
        raise UsageError(f"{text.rpartition('@')[2]!r}: must be {_ALLOWED}")
    try:
        return Host(text, (await _addresses(name))[0], port)
    except DeviceError as error:
        raise UsageError(str(error)) from None


async def _host_of(url: str) -> Host:
    shown = url.rpartition("@")[2]
    try:
        parts = _split(url, ("rtsp", "rtsps"))
    except DeviceError:
        raise UsageError(f"{shown[:80]!r}: must be {_ALLOWED}") from None
    if "@" in parts.netloc:
        raise UsageError(f"{shown[:80]!r}: must not contain a login; give the user and the password separately")
    assert parts.hostname is not None  # noqa: S101 -- checked by _split
    try:
        return Host(url, (await _addresses(parts.hostname))[0], parts.port or _PORTS[parts.scheme], url)
    except DeviceError as error:
        raise UsageError(str(error)) from None


@dataclass(frozen=True)
class Targets:
    """`named`: the hosts that the user named. `own_ports`: ports on which our own services listen on this machine."""

    named: tuple[Host, ...] = ()
    own_ports: frozenset[int] = field(default_factory=frozenset)

    async def checked(self, url: str, schemes: tuple[str, ...], answered: Address) -> str:
        """The URL with its host as an address, and without login.

        `answered` is the address of the device that gave the URL. Raises DeviceError if the URL is unusable, or if it
        must not be contacted.
        """
        parts = _split(url, schemes)
        assert parts.hostname is not None  # noqa: S101 -- checked by _split
        port = parts.port or _PORTS[parts.scheme]
        addresses = await _addresses(parts.hostname)
        for address in addresses:
            if why := self.refusal(address, port, answered):
                raise DeviceError(f"it points to {_shown(address)}:{port}, {why}")
        place = f"{_shown(addresses[0])}:{port}"
        return parts._replace(netloc=place, fragment="").geturl()

    def refusal(self, address: Address, port: int, answered: Address) -> str:
        """Why this address must not be contacted, or ""."""
        hosts = {host.address for host in self.named}
        if (address, port) in {(host.address, host.port) for host in self.named}:
            return ""
        if port in self.own_ports and _of_this_machine(address):
            return "a port of mgfn-stream itself; name HOST:PORT if that is intended"
        if address in hosts:
            return ""
        if address in _METADATA:
            return "a metadata service; name it if that is intended"
        if address.is_loopback or address.is_unspecified:
            return "this machine (loopback); name it if that is intended"
        if address.is_multicast or address == ip_address("255.255.255.255"):
            return "which is not the address of a single device"
        if address == answered or any(address in network for network in _LOCAL):
            return ""
        return "a public address; name it if that is intended"


def _split(url: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or len(url) > _LONGEST_URL or not url.isprintable() or any(mark in url for mark in " \"'<>\\^`{}|"):
        raise DeviceError(f"it gives an address that is not {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return parts


def _shown(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


async def _addresses(name: str) -> list[Address]:
    try:
        return [_plain(ip_address(name))]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DeviceError(f"{name[:80]!r}: no such host") from None
    return list(dict.fromkeys(_plain(ip_address(entry[4][0])) for entry in found))


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as IPv6, as IPv4. A scope is kept only where it has a meaning."""
    if isinstance(address, IPv4Address):
        return address
    if not address.is_link_local:
        address = IPv6Address(int(address))
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _V4_IN_V6) and int(address) & 0xFFFFFFFF > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _of_this_machine(address: Address) -> bool:
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
