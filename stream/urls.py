"""Sources and broker addresses: parsing, `{MGFN_NAME}` and redaction. What is not allowed is refused unopened."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stream.errors import UsageError

CAMERA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Words that stand beside or below a camera's name in topics (contract, section 4).
RESERVED_NAMES: Final = frozenset(
    "available status score anomaly snapshot events enabled threshold feedback test stats set state".split()  # noqa: SIM905 -- readable
)
_RTSP: Final = ("rtsp", "rtsps")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_MGFN_NAME: Final = re.compile(r"MGFN_[A-Z0-9_]+")
_SECRET_KEYS: Final = re.compile(r"pass|pwd|token|secret|auth|key|user|sign|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One camera or recording. `url` is an RTSP URL with its credentials, or the path of a local file."""

    name: str
    url: str = field(repr=False)
    live: bool

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return redact_url(self.url) if self.live else self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in anything shown (a library's messages hold the URL)."""
        return secrets_of(self.url) if self.live else ()


def expand(text: str, flag: str) -> str:
    """Replace each `{MGFN_NAME}` from the environment or a secret file of that name; nothing else.

    Secret files are looked for in `$CREDENTIALS_DIRECTORY` (systemd) and `/run/secrets` (containers).
    Raises UsageError for a name that is nowhere.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not _MGFN_NAME.fullmatch(name):
            return match[0]
        if name in os.environ:
            return os.environ[name]
        for folder in (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets"):
            if folder and (path := Path(folder) / name).is_file():
                return path.read_text(encoding="utf-8").rstrip("\r\n")
        raise UsageError(f"{flag}: {{{name}}} is neither in the environment nor a secret file")

    return _PLACEHOLDER.sub(value, text)


def parse_sources(values: Sequence[str], flag: str = "--rtsp") -> list[Source]:
    """`[NAME=]URL` each -> sources with unique names; without names camera1, camera2, ... by position.

    Raises UsageError for a scheme, name or file that is not allowed, before anything is opened.
    """
    sources: list[Source] = []
    for position, value in enumerate(values, start=1):
        given_name, url = _split_name(value)
        name = f"camera{position}" if given_name is None else given_name
        _check_name(name, flag)
        if name in {source.name for source in sources}:
            raise UsageError(f"{flag}: two cameras are named {name!r}; each name is allowed once")
        url = expand(url, f"{flag} {name}")
        sources.append(Source(name, url, live=_is_live(url, name, flag)))
    return sources


def _split_name(value: str) -> tuple[str | None, str]:
    """What stands before the first "=" is a name, unless it is part of a URL or of a path."""
    name, equals, rest = value.partition("=")
    if equals and "://" not in name and ("://" in rest or "/" not in name):
        return name, rest
    return None, value


def _check_name(name: str, flag: str) -> None:
    if not CAMERA_NAME.fullmatch(name):
        raise UsageError(f"{flag}: camera name {name!r}: allowed are 1 to 64 of a-z A-Z 0-9 _ -")
    if name in RESERVED_NAMES:
        raise UsageError(f"{flag}: camera name {name!r} is a word of the topics; choose another")


def _is_live(url: str, name: str, flag: str) -> bool:
    scheme, colon, _ = url.partition(":")
    if scheme.lower() in _RTSP and url[len(scheme) :].startswith("://"):
        parts = _split(url, f"{flag} {name}")
        if not parts.hostname:
            raise UsageError(f"{flag} {name}: {redact_url(url)} names no host")
        return True
    if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.,-]*", scheme) and not Path(url).exists():
        raise UsageError(f"{flag} {name}: scheme {scheme!r}: allowed are rtsp://, rtsps:// and paths of video files")
    if not Path(url).is_file():
        raise UsageError(
            f"{flag} {name}: {redact_url(url)}: no such file; allowed are rtsp://, rtsps:// and video files"
        )
    if Path(url).stat().st_size == 0:
        raise UsageError(f"{flag} {name}: {url}: the file is empty")
    return False


def _split(url: str, flag: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UsageError(f"{flag}: {redact_url(url)} is no valid address") from None
    return parts


@dataclass(frozen=True)
class BrokerAddress:
    """An MQTT broker."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """`mqtt[s]://host:port`, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"


def parse_broker(value: str, flag: str = "--mqtt") -> BrokerAddress:
    """`mqtt://[user:pw@]host[:port]` or `mqtts://...`. Raises UsageError for anything else."""
    url = expand(value, flag)
    parts = _split(url, flag)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"{flag}: {redact_url(url)}: allowed is mqtt[s]://[user:password@]host[:port]")
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        tls,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


def secrets_of(url: str) -> tuple[str, ...]:
    """The secret parts of a URL, as written and decoded, longest first: user info and telling query values."""
    _, separator, rest = url.partition("://")
    if not separator:  # the scheme was forgotten; a path is none of this
        rest = url if re.match(r"[^/@]+:[^/@]*@", url) else ""
    # up to the last "@" before the path: a password may hold an unescaped "@", ":" or "#"
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    found: set[str] = set()
    if "@" in rest:
        user_info = authority.rpartition("@")[0] or rest.rpartition("@")[0]
        user, _, password = user_info.partition(":")
        found |= {user_info, password, unquote(password)}
        found |= {user, unquote(user)} if not password else set()
    for key, value in parse_qsl(url.partition("?")[2], keep_blank_values=False):
        if _SECRET_KEYS.search(key):
            found.add(value)
            found |= {piece for piece in re.findall(r"=([^&#]*)", url) if unquote(piece) == value}
    return tuple(sorted((text for text in found if text), key=len, reverse=True))


def redact_url(url: str) -> str:
    """The URL with every secret part as `***`."""
    return redact_text(url, secrets_of(url))


def redact_text(text: str, secrets: Sequence[str]) -> str:
    """`text` with each of `secrets` (longest first) and the user info of any URL in it as `***`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return re.sub(r"([a-z][a-z0-9+.-]*://)[^/\s'\"]*@", r"\1***@", text, flags=re.IGNORECASE)
