"""Types of values in the site file, with their checks. Placeholders are replaced here."""

from __future__ import annotations

import difflib
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from engine.backends import BACKENDS
from stream.alarm.drawing import fault
from stream.alarm.modes import BY_SCHEDULE, NO_MODE
from stream.base.addresses import broker_at, expanded, is_live, is_rtsp, name_problem, prefix_problem
from stream.base.errors import UsageError
from stream.base.people import ANYBODY, TOKEN_HOLDER
from stream.settings.bundle import check_device

FOLDER: Final = "folder"  # key in the validation context: the folder for relative paths
SHORTEST_SECRET: Final = 16
_NAME: Final = "^[a-zA-Z0-9_-]{1,64}$"
_MODE: Final = "^[a-z0-9_-]{1,32}$"
_LASTING: Final = "^[1-9][0-9]{0,3}[smh]$"
_PERSON: Final = "^[a-zA-Z0-9._@-]{1,64}$"
HEADER: Final = "^[A-Za-z0-9-]{1,64}$"
_TIME: Final = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_ADDRESS: Final = "^(off|.+:[0-9]{1,5})$"
ALLOWED_BY: Final = {  # what the patterns mean
    _NAME: "a camera name has 1 to 64 characters of a-z A-Z 0-9 _ -",
    _MODE: "the name of a mode has 1 to 32 characters of a-z 0-9 _ -",
    _LASTING: "must be a number with a unit, such as 90s, 5m or 1h",
    _PERSON: "a person's name has 1 to 64 characters of a-z A-Z 0-9 . _ @ -",
    HEADER: "must be the name of a header, such as Remote-User",
    _TIME: 'must be "HH:MM" with two digits each, such as "08:00"',
    _CLOCK: 'must be "HH:MM" from "00:00" to "23:59"',
    _ADDRESS: "must be HOST:PORT or off",
}


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context[FOLDER]) if info.context else Path()


def _text(text: str, info: ValidationInfo) -> str:
    """With placeholders replaced."""
    try:
        whole = expanded(text, _folder(info))
    except UsageError as error:
        raise ValueError(str(error)) from None
    if not whole.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return whole


def _path(text: str, info: ValidationInfo) -> str:
    """With placeholders replaced, relative to the folder of the site file."""
    return str(_folder(info) / _text(text, info))


def _source(text: str, info: ValidationInfo) -> str:
    whole = _text(text, info)
    path_or_url = whole if is_rtsp(whole) or "://" in whole else str(_folder(info) / whole)
    try:
        is_live(path_or_url)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return path_or_url


def _live_source(text: str, info: ValidationInfo) -> str:
    url = _source(text, info)
    if not is_rtsp(url):
        raise ValueError("must be an rtsp:// or rtsps:// URL")
    return url


def _broker(text: str, info: ValidationInfo) -> str:
    whole = _text(text, info)
    try:
        broker_at(whole)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return whole


def _web_address(text: str, info: ValidationInfo) -> str:
    whole = _text(text, info)
    try:
        parts = urlsplit(whole)
        fine = parts.scheme in ("http", "https") and parts.hostname and not parts.query and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("must be http[s]://[user:password@]host[:port]")
    return whole


def _page_url(text: str, info: ValidationInfo) -> str:
    whole = _web_address(text, info)
    parts = urlsplit(whole)
    if "@" in parts.netloc or parts.fragment or parts.path not in ("", "/") or not whole.isascii():
        raise ValueError("must be http[s]://host[:port]/, without a login or a path")
    return whole if whole.endswith("/") else f"{whole}/"


def _webhook(text: str, info: ValidationInfo) -> str:
    whole = _text(text, info)
    try:
        parts = urlsplit(whole)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("must be an http:// or https:// URL")
    return whole


def _signing_secret(text: str, info: ValidationInfo) -> str:
    whole = _text(text, info)
    if len(whole) < SHORTEST_SECRET:
        raise ValueError(f"has {len(whole)} characters; must have at least {SHORTEST_SECRET}")
    return whole


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(f"{text[:50]!r}; must be an IP address or network, such as 127.0.0.1 or 10.0.0.0/24") from None


def _listen_address(address: str) -> str:
    if address != "off" and int(address.rpartition(":")[2]) > 65_535:
        raise ValueError(ALLOWED_BY[_ADDRESS])
    return address


def _polygon(corners: list[list[float]]) -> list[list[float]]:
    if problem := fault(corners):
        raise ValueError(problem)
    return corners


def _camera_name(name: str) -> str:
    if problem := name_problem(name):
        raise ValueError(problem)
    return name


def _mode_name(name: str) -> str:
    if name in (BY_SCHEDULE, NO_MODE):
        raise ValueError(f"the name of a mode must not be {name}")
    return name


def person_problem(name: str) -> str:
    """Why this cannot be the name of a person, or ""."""
    if re.fullmatch(_PERSON, name) is None:
        return ALLOWED_BY[_PERSON]
    return f"the name of a person must not be {name}" if name in (ANYBODY.name, TOKEN_HOLDER) else ""


def _person_name(name: str) -> str:
    if problem := person_problem(name):
        raise ValueError(problem)
    return name


def _topic_prefix(prefix: str) -> str:
    if problem := prefix_problem(prefix):
        raise ValueError(problem)
    return prefix


def _device(device: str) -> str:
    try:
        check_device(device)
    except UsageError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return device


def _backend(name: str) -> str:
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"must be auto, {', '.join(BACKENDS)}")
    return name


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        near = difflib.get_close_matches(name, available_timezones(), 1)
        hint = f"; did you mean {near[0]}?" if near else ", such as Europe/Berlin or UTC"
        raise ValueError(f"unknown time zone; must be a name from the IANA database{hint}") from None
    return name


Lasting = Annotated[str, StringConstraints(pattern=_LASTING)]
FilePath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_path)]
Share = Annotated[float, Field(ge=0, le=1)]
Point = Annotated[list[Share], Field(min_length=2, max_length=2)]
Mask = Annotated[list[Point], Field(min_length=3, max_length=100), AfterValidator(_polygon)]
TimeOfDay = Annotated[str, StringConstraints(pattern=_TIME)]
ClockTime = Annotated[str, StringConstraints(pattern=_CLOCK)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SourceUrl = Annotated[str, StringConstraints(min_length=1), AfterValidator(_source)]
LiveUrl = Annotated[str, StringConstraints(min_length=1), AfterValidator(_live_source)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Backend = Annotated[str, AfterValidator(_backend)]
Device = Annotated[str, AfterValidator(_device)]
Secret = Annotated[str, AfterValidator(_text)]
WebUrl = Annotated[str, AfterValidator(_web_address)]
PageUrl = Annotated[str, AfterValidator(_page_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook)]
SigningSecret = Annotated[str, AfterValidator(_signing_secret)]
ListenAddress = Annotated[str, StringConstraints(pattern=_ADDRESS), AfterValidator(_listen_address)]
ModeName = Annotated[str, StringConstraints(pattern=_MODE), AfterValidator(_mode_name)]
PersonName = Annotated[str, StringConstraints(pattern=_PERSON), AfterValidator(_person_name)]
Network = Annotated[str, AfterValidator(_network)]
CameraName = Annotated[str, StringConstraints(pattern=_NAME), AfterValidator(_camera_name)]
