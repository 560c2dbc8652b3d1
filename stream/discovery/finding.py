"""Finds cameras, opens their streams, and takes an image of each. One device never holds up the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from stream.base.errors import CameraError, Reason
from stream.base.redaction import shown_url
from stream.discovery.errors import DeviceError
from stream.discovery.looking import Seen, look
from stream.discovery.makers import ONVIF_PORTS, PATTERNS, RTSP_PORTS
from stream.discovery.onvif import DEVICE_PATH, Device, Streams, describe
from stream.discovery.probe import Answer, probe
from stream.discovery.soap import Login, SoapClient
from stream.discovery.targets import Address, Host, Targets

DEVICE_TIME: Final = 45.0  # seconds for the questions to one device
_CONNECT: Final = 2.0
_ANSWER: Final = 6.0
_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Camera:
    """A camera whose `main` (or `sub`) stream was opened: addresses without login, and what was seen of each."""

    name: str
    maker: str
    host: str
    main: str
    sub: str | None
    seen: Seen = field(repr=False)
    sizes: str


@dataclass
class Findings:
    """What was found; `problems` has one line for each device that cannot be used."""

    cameras: list[Camera] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Finder:
    """One search. `open_stream` opens a stream; tests replace it."""

    def __init__(
        self, login: Login | None, targets: Targets, open_stream: Callable[[str, Login | None], Awaitable[Seen]] = look
    ) -> None:
        self._login = login
        self._targets = targets
        self._open = open_stream
        self._findings = Findings()
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def find(self, probe_seconds: float = 4.0) -> Findings:
        """The cameras at the named hosts, or those that answer a probe if none is named."""
        # cameras sign their certificates themselves; the password is only sent as a digest
        limits = httpx.Timeout(_ANSWER, connect=_CONNECT)
        async with httpx.AsyncClient(timeout=limits, verify=False, trust_env=False) as http:  # noqa: S501
            if self._targets.named:
                await self._each(self._of_named(host, http) for host in self._targets.named)
            else:
                await self._each(self._of_answer(answer, http) for answer in _by_device(await probe(probe_seconds)))
        self._findings.cameras.sort(key=lambda camera: (camera.host, camera.main))
        self._findings.problems.sort()
        return self._findings

    async def _each(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        async def limited(one: Coroutine[Any, Any, None]) -> None:
            async with self._limit:
                await one

        await asyncio.gather(*(limited(one) for one in work))

    async def _of_answer(self, answer: Answer, http: httpx.AsyncClient) -> None:
        """A device that answered the probe: the first of its addresses that may be contacted."""
        label, why = f"{answer.address} {answer.name}".strip(), ""
        for url in answer.urls:
            try:
                allowed = await self._targets.checked(url, ("http", "https"), answer.address)
                device = await self._described(allowed, answer.address, http)
            except DeviceError as error:
                why = str(error)
                if error.unauthorized:
                    break
                continue
            await self._add(device, str(answer.address), answer.name)
            return
        self._findings.problems.append(f"{label}: {why}")

    async def _of_named(self, host: Host, http: httpx.AsyncClient) -> None:
        """What the user named: the URL of a stream, or a host."""
        if host.url is None:
            await self._of_host(host, http)
        else:
            await self._add(Device("", "at the URL that was given", (Streams(host.url),)), str(host.address), "")

    async def _of_host(self, host: Host, http: httpx.AsyncClient) -> None:
        """A host that the user named: ONVIF, else the address patterns of makers."""
        problems = []
        for port in (host.port,) if host.port else await self._open_ports(host.address, ONVIF_PORTS):
            try:
                service = f"http://{_place(host.address, port)}{DEVICE_PATH}"
                url = await self._targets.checked(service, ("http",), host.address)
                device = await self._described(url, host.address, http)
            except DeviceError as error:
                if error.unauthorized:
                    self._findings.problems.append(f"{host.text}: {error}")
                    return
                problems.append(f"ONVIF at port {port}: {error}")
                continue
            await self._add(device, host.text, "")
            return
        await self._by_patterns(host, problems)

    async def _described(self, url: str, answered: Address, http: httpx.AsyncClient) -> Device:
        """Raises DeviceError, also if the device takes too long."""
        try:
            async with asyncio.timeout(DEVICE_TIME):
                return await describe(SoapClient(http, self._login), url, self._targets, answered)
        except TimeoutError:
            raise DeviceError(f"it took more than {DEVICE_TIME:.0f} s to answer") from None

    async def _by_patterns(self, host: Host, problems: list[str]) -> None:
        for port in (host.port,) if host.port else await self._open_ports(host.address, RTSP_PORTS):
            for maker, (sub, main) in PATTERNS.items():
                base = f"rtsp://{_place(host.address, port)}"
                try:
                    seen = await self._open(f"{base}{sub or main}", self._login)
                except CameraError as error:
                    if error.reason is Reason.NOT_FOUND:
                        continue
                    problems.append(f"RTSP at port {port}: {error}")
                    if error.reason is Reason.UNAUTHORIZED:  # another attempt could lock the user
                        self._findings.problems.append(f"{host.text}: {'; '.join(problems)}")
                        return
                    break
                streams = Streams(f"{base}{main}", f"{base}{sub}" if sub else None)
                device = Device("", f"answers at an address of {maker}", (streams,))
                await self._add(device, host.text, "", {f"{base}{sub or main}": seen})
                return
            else:
                problems.append(f"RTSP at port {port}: none of the known addresses exists; add the camera by its URL")
        self._findings.problems.append(f"{host.text}: {'; '.join(problems) or 'no ONVIF or RTSP port is open'}")

    async def _open_ports(self, address: Address, ports: Sequence[int]) -> list[int]:
        async def is_open(port: int) -> bool:
            if self._targets.refusal(address, port, address):
                return False
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT):
                    _, writer = await asyncio.open_connection(str(address), port)
                writer.close()
                return True
            return False

        found = await asyncio.gather(*(is_open(port) for port in ports))
        return [port for port, is_ in zip(ports, found, strict=True) if is_]

    async def _add(self, device: Device, host: str, name: str, known: dict[str, Seen] | None = None) -> None:
        for number, streams in enumerate(device.streams, start=1):
            seen: dict[str, Seen] = dict(known or {})
            wrong: list[str] = []
            for url in (streams.main, *([streams.sub] if streams.sub else [])):
                if url in seen:
                    continue
                try:
                    seen[url] = await self._open(url, self._login)
                except CameraError as error:
                    wrong.append(f"{shown_url(url)}: {error}")
                    if error.reason is Reason.UNAUTHORIZED:
                        break
            several = f" {number}" if len(device.streams) > 1 else ""
            if not seen:
                self._findings.problems.append(f"{host}{several}: {'; '.join(wrong)}")
                continue
            main = streams.main if streams.main in seen else (streams.sub or streams.main)
            sub = streams.sub if main == streams.main and streams.sub in seen else None
            sizes = " and ".join(seen[url].size for url in (main, sub) if url is not None)
            shown = f"{name or device.name or host}{several}"
            camera = Camera(shown, device.maker, host, main, sub, seen[sub or main], sizes)
            self._findings.cameras.append(camera)


def _by_device(answers: Sequence[Answer]) -> list[Answer]:
    """One answer of each device; a device with several networks answers on each of them."""
    return list({answer.urls: answer for answer in answers}.values())


def _place(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
