"""Parses sources and broker addresses, and fills in `{MGFN_NAME}`. Nothing is opened here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from stream.base.errors import UsageError
from stream.base.redaction import redact_url, remember, remembered_in, secrets_of, shown_url

CAMERA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Words that appear beside or below a camera's name in topics (docs/mqtt.md).
RESERVED_NAMES: Final = frozenset(
    [
        "available",
        "status",
        "score",
        "anomaly",
        "snapshot",
        "events",
        "enabled",
        "threshold",
        "feedback",
        "test",
        "stats",
        "set",
        "state",
        "mode",
        "snooze",
        "ack",
        "problem",
        "node",
        "worker",
        "calibration",
        "lease",
        "checkpoint",
    ]
)
SECRETS: Final = "secrets"  # folder beside the site file
SELF_TEST_CAMERA: Final = "self-test"  # its events appear beside those of the user's cameras
_RTSP: Final = ("rtsp", "rtsps")
# The buffer of FFmpeg for what stands before the "@"; what does not fit is cut off, and the camera refuses the login.
_LONGEST_LOGIN: Final = 127
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
# Where user name and password are in a URL in which `{MGFN_NAME}` has not been replaced yet.
_USER_INFO: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://((?:\{[^{}]*\}|[^{}/?#])*)@")
_OTHER_NAME: Final = re.compile(r"\{(?!MGFN_)[A-Za-z_][A-Za-z0-9_]*\}")
_SPELLED: Final = "in user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25"
_MGFN_NAME: Final = re.compile(r"MGFN_[A-Z0-9_]+")


@dataclass(frozen=True)
class CameraTls:
    """How an rtsps:// camera proves itself: by a certificate of `ca` (None: one of the system's) for its host.

    `cert` and `key` are ours, for cameras that ask for them.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.ca, self.cert, self.key) if path is not None]


@dataclass(frozen=True)
class Source:
    """One camera or recording. `url` is an RTSP URL with its credentials, or the path of a local file.

    RTSP URLs are spelled as FFmpeg expects them: the scheme in lower case, a user without a password as `user:@`.
    """

    name: str
    url: str = field(repr=False)
    live: bool
    tls: CameraTls | None = None  # None: encrypted, but not verified
    filled_in: tuple[str, ...] = field(init=False, repr=False, compare=False)  # also needed in the decoder process

    def __post_init__(self) -> None:
        object.__setattr__(self, "filled_in", remembered_in(self.url))
        if self.live:
            object.__setattr__(self, "url", _spelled_for_ffmpeg(self.url))

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return shown_url(self.url, self.filled_in) if self.live else self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not appear in any output (messages of libraries contain the URL)."""
        return (*secrets_of(self.url), *self.filled_in) if self.live else ()


def _spelled_for_ffmpeg(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user_info, at, address = host.rpartition("@")
    if at and ":" not in user_info:  # FFmpeg logs in only if there is a password, even an empty one
        host = f"{user_info}:@{address}"
    return f"{scheme.lower()}{separator}{host}{slash}{path}"


def expand(text: str, flag: str, site: Path | None = None) -> str:
    """Replace each `{MGFN_NAME}` by the environment variable or secret file of that name, and nothing else.

    In the user name or password of a URL, the value is used literally: special characters are percent-encoded.

    Secret files are searched in `$CREDENTIALS_DIRECTORY` (systemd), `/run/secrets` (containers), and `secrets` in the
    folder `site`. Raises UsageError for an unknown name.
    """
    try:
        return expanded(text, site)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from None


def expanded(text: str, site: Path | None = None) -> str:
    """Like `expand`, for callers that add the position of the text to the error themselves. `site`: see `filled_in`."""

    user_info = _USER_INFO.match(text)
    begin, end = user_info.span(1) if user_info else (0, 0)

    def value(match: re.Match[str]) -> str:
        if not _MGFN_NAME.fullmatch(match[1]):
            return match[0]
        found = _value(match[1], site)
        return _encoded(found) if begin <= match.start() < end else found

    return _PLACEHOLDER.sub(value, text)


def unfilled(url: str) -> bool:
    """Whether the user name or password contains a name in braces other than `{MGFN_NAME}`: probably a typing error."""
    user_info = _USER_INFO.match(url)
    return user_info is not None and _OTHER_NAME.search(user_info[1]) is not None


def filled_in(name: str, site: Path | None = None) -> str | None:
    """What `{name}` stands for, from the environment or a secret file; None without either. Raises UsageError.

    `site`: the folder of the site file; its `secrets` are searched last.
    """
    found = os.environ.get(name)
    for folder in (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets", site and site / SECRETS):
        if found is None and folder:
            found = _secret(Path(folder) / name)
    return found


def _value(name: str, site: Path | None) -> str:
    found = filled_in(name, site)
    if found is None:
        raise UsageError(f"{{{name}}} is neither an environment variable nor a secret file")
    if not found:
        raise UsageError(f"{{{name}}} is empty")
    remember(found)
    return found


def _encoded(value: str) -> str:
    """Percent-encoded, so that decoding gives the value again."""
    return quote(value, safe="!$&'()*+,;=")


def _secret(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig").rstrip("\r\n") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"the secret file {path} cannot be read: {reason}") from None


def parse_sources(values: Sequence[str], flag: str = "--rtsp") -> list[Source]:
    """Sources from `[NAME=]URL` values, with unique names; the default names are camera1, camera2, ... by position.

    Raises UsageError for an invalid scheme, name or file. Nothing is opened.
    """
    sources: list[Source] = []
    for position, value in enumerate(values, start=1):
        given_name, url = _split_name(value)
        name = f"camera{position}" if given_name is None else given_name
        if problem := name_problem(name):
            raise UsageError(f"{flag}: {problem}")
        if name in {source.name for source in sources}:
            raise UsageError(f"{flag}: two cameras are named {name!r}; names must be unique")
        where = f"{flag} {name}"
        whole = expand(url, where)
        try:
            sources.append(Source(name, whole, live=is_live(whole)))
        except UsageError as error:
            raise UsageError(f"{where}: {redact_url(url)}: {error}") from None
    return sources


def _split_name(value: str) -> tuple[str | None, str]:
    """The text before the first "=" is the name, unless it is part of a URL or of a path."""
    name, equals, rest = value.partition("=")
    if ":" in name and "@" in rest and "://" not in rest:  # the scheme is missing, and the password contains the "="
        return None, value
    if equals and "://" not in name and ("://" in rest or "/" not in name):
        return name, rest
    return None, value


def name_problem(name: str) -> str:
    """Why the camera name is invalid, or "" if it is valid."""
    if not CAMERA_NAME.fullmatch(name):
        return f"camera name {name!r}: must be 1 to 64 characters of a-z A-Z 0-9 _ -"
    if name == SELF_TEST_CAMERA:
        return f"camera name {name!r} is reserved for the self-test; choose another"
    return f"camera name {name!r} is reserved for MQTT topics; choose another" if name in RESERVED_NAMES else ""


def prefix_problem(prefix: str) -> str:
    """Why the topic prefix is invalid, or "" if it is valid."""
    wrong = not prefix.isprintable() or any(mark in prefix for mark in "+#") or prefix.startswith("$")
    if wrong or "" in prefix.split("/"):  # an empty level is a typing error; subscribers would look elsewhere
        return "must be printable, without +, # or a leading $, and without empty levels (a / at either end, //)"
    return ""


def is_loopback(host: str) -> bool:
    """Whether the host is a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_rtsp(url: str) -> bool:
    """Whether the URL has an RTSP scheme; it may still be invalid."""
    return url.lower().startswith(tuple(f"{scheme}://" for scheme in _RTSP))


def port_of(url: str) -> int:
    """The TCP port of an RTSP URL."""
    return _split(url).port or (322 if url.startswith("rtsps") else 554)


def is_live(url: str) -> bool:
    """Whether it is a camera rather than a recording, after `{MGFN_NAME}` has been replaced.

    Raises UsageError, without the URL, if it is neither. Nothing is opened.
    """
    if is_rtsp(url):
        if not re.search(r"[A-Za-z0-9]", _split(url).hostname or ""):
            raise UsageError("has no host")
        login = _spelled_for_ffmpeg(url).partition("://")[2].partition("/")[0].rpartition("@")[0]
        if len(login) > _LONGEST_LOGIN:
            raise UsageError(
                f"user name and password are too long: {len(login)} characters with the colon and as percent-encoded; "
                f"FFmpeg takes at most {_LONGEST_LOGIN}"
            )
        return True
    scheme, colon, _ = url.partition(":")
    try:
        found = Path(url).stat() if Path(url).is_file() else None
    except OSError:  # not a valid file name
        found = None
    if found is None:
        named = colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.,-]*", scheme)
        what = "scheme not supported" if named else "no such file"
        raise UsageError(f"{what}; must be an rtsp:// or rtsps:// URL, or the path of a video file")
    if found.st_size == 0:
        raise UsageError("the file is empty")
    return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UsageError(f"is not a valid address; {_SPELLED}") from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise UsageError(f"has an @ after the host; {_SPELLED}")
    return parts


@dataclass(frozen=True)
class BrokerAddress:
    """The address of an MQTT broker."""

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
    """Parses `mqtt://[user:pw@]host[:port]` or `mqtts://...`. Raises UsageError for anything else."""
    url = expand(value, flag)
    try:
        return broker_at(url)
    except UsageError as error:
        raise UsageError(f"{flag}: {redact_url(value)}: {error}") from None


def broker_at(url: str) -> BrokerAddress:
    """Like `parse_broker`, after `{MGFN_NAME}` has been replaced. The UsageError does not contain the URL."""
    parts = _split(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError("must be mqtt[s]://[user:password@]host[:port]")
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        tls,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
