"""One ONVIF device: its clock, its name, its profiles, and the streams that fit us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from stream.discovery.errors import DeviceError
from stream.discovery.soap import SoapClient, element, plain, text_of
from stream.discovery.targets import Address, Targets

DEVICE_PATH: Final = "/onvif/device_service"
MOST_SOURCES: Final = 32
MOST_PROFILES: Final = 1_000
_DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA: Final = "http://www.onvif.org/ver10/schema"
_NAME_SCOPE: Final = "onvif://www.onvif.org/name/"
_LEAST_SIDE: Final = 224  # what the model sees
_LARGEST_OFFSET: Final = timedelta(days=36_500)


@dataclass(frozen=True)
class Profile:
    """One way in which a device sends a video source; size (0, 0) if it does not say."""

    token: str
    source: str
    encoding: str
    width: int
    height: int

    @property
    def fits(self) -> bool:
        """Whether it is a codec for video, rather than single JPEG images."""
        return self.encoding.upper() not in ("JPEG", "MJPEG")


@dataclass(frozen=True)
class Streams:
    """The addresses of a video source, without login: the largest stream, and a smaller one if there is one."""

    main: str
    sub: str | None = None


@dataclass(frozen=True)
class Device:
    """`name` and `maker` are what the device says, for display."""

    name: str
    maker: str
    streams: tuple[Streams, ...]


def name_in(scopes: Sequence[str]) -> str:
    """The device's name among its scopes, or ""."""
    return next((plain(unquote(s.removeprefix(_NAME_SCOPE))) for s in scopes if s.startswith(_NAME_SCOPE)), "")


def chosen(profiles: Sequence[Profile]) -> list[tuple[Profile, Profile | None]]:
    """For each video source the largest profile, and the smallest that is still as large as what the model sees."""
    by_source: dict[str, list[Profile]] = {}
    for profile in profiles[:MOST_PROFILES]:
        by_source.setdefault(profile.source, []).append(profile)
    pairs: list[tuple[Profile, Profile | None]] = []
    for of_source in list(by_source.values())[:MOST_SOURCES]:
        usable = [profile for profile in of_source if profile.fits] or of_source
        ordered = sorted(usable, key=lambda profile: profile.width * profile.height)
        main = max(usable, key=lambda profile: profile.width * profile.height)
        large_enough = [p for p in ordered if min(p.width, p.height) >= _LEAST_SIDE]
        sub = (large_enough or [main])[0]
        smaller = sub.width * sub.height < main.width * main.height
        pairs.append((main, sub if smaller else None))
    return pairs


async def describe(client: SoapClient, url: str, targets: Targets, answered: Address) -> Device:
    """The device at `url`, which `targets` allow. Raises DeviceError."""
    client.clock_offset = _offset(await client.ask(url, _request("GetSystemDateAndTime"), login=False))
    media, namespace = await _media_address(client, url)
    media = await targets.checked(media, ("http", "https"), answered)
    about = await client.ask(url, _request("GetDeviceInformation"))
    maker = f"{text_of(about, './/{*}Manufacturer')} {text_of(about, './/{*}Model')}".strip()
    name = await _name(client, url)
    kind = element("m:Type", "All") if namespace == _MEDIA2 else ""
    answer = await client.ask(media, f'<m:GetProfiles xmlns:m="{namespace}">{kind}</m:GetProfiles>')
    pairs = chosen([_profile(found) for found in answer.findall(".//{*}Profiles")])
    if not pairs:
        raise DeviceError("it has no media profiles")
    streams = []
    for main, sub in pairs:
        addresses = [
            await targets.checked(await _stream(client, media, namespace, each), ("rtsp", "rtsps"), answered)
            for each in (main, sub)
            if each is not None
        ]
        streams.append(Streams(addresses[0], addresses[1] if len(set(addresses)) > 1 else None))
    return Device(name or maker, maker, tuple(dict.fromkeys(streams)))


async def _name(client: SoapClient, url: str) -> str:
    try:
        answer = await client.ask(url, _request("GetScopes"))
    except DeviceError as error:
        if error.unauthorized:
            raise
        return ""
    return name_in([(item.text or "").strip() for item in answer.findall(".//{*}ScopeItem")])


async def _media_address(client: SoapClient, url: str) -> tuple[str, str]:
    """Address and namespace of the media service; the first version is preferred, which nearly all devices have."""
    try:
        answer = await client.ask(
            url, f'<d:GetServices xmlns:d="{_DEVICE}">{element("d:IncludeCapability", "false")}</d:GetServices>'
        )
    except DeviceError as error:
        if error.unauthorized:
            raise
        request = f'<d:GetCapabilities xmlns:d="{_DEVICE}">{element("d:Category", "Media")}</d:GetCapabilities>'
        answer = await client.ask(url, request)
        if address := _address_in(answer, ".//{*}Media/{*}XAddr"):
            return address, _MEDIA
        raise DeviceError("it has no media service") from None
    listed = answer.findall(".//{*}Service")
    services = {text_of(service, "{*}Namespace"): _address_in(service, "{*}XAddr") for service in listed}
    for namespace in (_MEDIA, _MEDIA2):
        if services.get(namespace):
            return services[namespace], namespace
    raise DeviceError("it has no media service")


async def _stream(client: SoapClient, media: str, namespace: str, profile: Profile) -> str:
    token = element("m:ProfileToken", profile.token)
    if namespace == _MEDIA2:
        setup = element("m:Protocol", "RTSP")
    else:
        setup = (
            f'<m:StreamSetup xmlns:t="{_SCHEMA}">{element("t:Stream", "RTP-Unicast")}'
            f"<t:Transport>{element('t:Protocol', 'RTSP')}</t:Transport></m:StreamSetup>"
        )
    answer = await client.ask(media, f'<m:GetStreamUri xmlns:m="{namespace}">{setup}{token}</m:GetStreamUri>')
    return _address_in(answer, ".//{*}Uri")


def _request(name: str) -> str:
    return f'<{name} xmlns="{_DEVICE}"/>'


def _address_in(element_: Element, path: str) -> str:
    found = element_.find(path)
    return "" if found is None else (found.text or "").strip()


def _profile(found: Element) -> Profile:
    encoder = found.find("{*}VideoEncoderConfiguration")
    if encoder is None:
        encoder = found.find("{*}Configurations/{*}VideoEncoder")
    return Profile(
        found.get("token", ""),
        text_of(found, ".//{*}SourceToken"),
        text_of(encoder, "{*}Encoding"),
        _number(text_of(encoder, "{*}Resolution/{*}Width")),
        _number(text_of(encoder, "{*}Resolution/{*}Height")),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


def _offset(answer: Element) -> timedelta:
    """The device's clock minus ours; zero if it does not say, or says nonsense."""
    at = answer.find(".//{*}UTCDateTime")
    names = ("Date/{*}Year", "Date/{*}Month", "Date/{*}Day", "Time/{*}Hour", "Time/{*}Minute", "Time/{*}Second")
    try:
        numbers = [int(text_of(at, f"{{*}}{name}")) for name in names]
        offset = datetime(*numbers[:6], tzinfo=UTC) - datetime.now(UTC)  # type: ignore[misc, arg-type]
    except (ValueError, OverflowError):
        return timedelta()
    return offset if abs(offset) < _LARGEST_OFFSET else timedelta()
