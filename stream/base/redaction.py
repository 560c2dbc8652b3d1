"""Redaction: no output may contain a password, wherever it occurs and however it is encoded.

Secrets are recognised in two ways: by the values that replaced `{MGFN_NAME}` (`remember`), and by their position in a
URL (user info, query keys such as `password`, paths that look like credentials).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote

from stream.base.spellings import spellings

SHORTEST: Final = 4  # shorter values occur in too many words; inside URLs they are masked anyway
_HIDDEN: Final = "***"
_SECRET_KEYS: Final = re.compile(r"pass|pwd|token|secret|auth|key|user|sign|credential", re.IGNORECASE)
_PASSWORD_KEYS: Final = re.compile(r"pass|pwd|token|secret|credential", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"\{MGFN_[A-Z0-9_]+\}")
_USER_INFO: Final = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s'\"]*@", re.IGNORECASE)
# Of a text without "://": a scheme that was mistyped (`rtsp:/`, `rtsp//`) or left out, then user and password. What
# begins like a path is one.
_MISTYPED: Final = re.compile(r"(?!\.{0,2}/(?!/))(?:[a-z][a-z0-9+.-]*:?[/\\]+|[/\\]{2,})?(?=[^@]*:)", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"(?:{_SECRET_KEYS.pattern})[^=:]*[=:]", re.IGNORECASE)
_LONG: Final = re.compile(r"[A-Za-z0-9]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CHANGES: Final = re.compile(r"(?<=[A-Z])(?=[a-z0-9])|(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z])")
_RANDOM_FROM: Final = 12  # letters and digits that alternate this often ...
_RANDOM_CHANGES: Final = 4

_filled_in: set[str] = set()


def remember(value: str) -> None:
    """`value` replaced a placeholder: treat it as a secret in this process from now on."""
    _filled_in.add(value)


def remembered() -> tuple[str, ...]:
    """All values that replaced placeholders."""
    return tuple(_filled_in)


def remembered_in(url: str) -> tuple[str, ...]:
    """Those remembered values that occur in `url`, in any encoding."""
    return tuple(sorted(value for value in _filled_in if spellings(value).search(url)))


def redact_text(text: str, secrets: Sequence[str]) -> str:
    """`text` with all `secrets`, in any encoding, and the user info of all URLs replaced by `***`."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one may contain another
        text = spellings(secret).sub(_HIDDEN, text)
    return _USER_INFO.sub(rf"\1{_HIDDEN}@", text)


def redact_all(text: str, secrets: Iterable[str] = ()) -> str:
    """Like `redact_text`, for `secrets` and all remembered values."""
    return redact_text(text, [secret for secret in (*secrets, *_filled_in) if len(secret) >= SHORTEST])


def secrets_of(url: str) -> tuple[str, ...]:
    """The secret parts of a URL, as written and decoded, longest first: user info, values of revealing query keys."""
    _, separator, rest = url.partition("://")
    if not separator:
        mistyped = _MISTYPED.match(url)
        rest = url[mistyped.end() :] if mistyped else ""
    # up to the last "@": the password in an invalid URL may contain anything unescaped
    user_info = rest.rpartition("@")[0]
    found: set[str] = set()
    if user_info:
        user, _, password = user_info.partition(":")
        found |= {user_info, password, unquote(password)}
        found |= {user, unquote(user)} if not password else set()
    for key, value in parse_qsl(url.partition("?")[2], keep_blank_values=False):
        if _SECRET_KEYS.search(key):
            found.add(value)
            found |= {piece for piece in re.findall(r"=([^&#]*)", url) if unquote(piece) == value}
    return tuple(sorted((text for text in found if text), key=len, reverse=True))


def typed_password(url: str) -> bool:
    """Whether a URL, as typed, contains a password rather than `{MGFN_NAME}`."""
    typed = _PLACEHOLDER.sub("", url)
    if typed.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")[2]:
        return True
    pairs = re.findall(r"([A-Za-z]+)=([^&;_/?#]+)", typed.partition("://")[2])
    return any(_PASSWORD_KEYS.search(key) for key, _ in pairs)


def redact_url(url: str) -> str:
    """The URL, or the text given instead of one, with all secret parts replaced by `***`."""
    return redact_all(redact_text(url, secrets_of(url)))


def shown_url(url: str, secrets: Sequence[str] = ()) -> str:
    """A URL for display: without user info, query and fragment, and with suspicious parts of its path as `***`.

    `secrets`: the values that replaced placeholders, for a process that did not replace them itself.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return redact_all(redact_url(url), secrets)
    rest = redact_text(rest, [secret for secret in (*secrets, *_filled_in) if len(secret) >= SHORTEST])
    # up to the last "@": a password may contain anything unescaped
    _, at, after = rest.rpartition("@")
    place, slash, path = re.split(r"[?#]", after, maxsplit=1)[0].partition("/")
    known = [spellings(secret) for secret in (*secrets, *_filled_in)]
    parts = [_HIDDEN if _telling(part) or _HIDDEN in part or any(form.search(part) for form in known) else part
             for part in path.split("/")]  # fmt: skip
    return f"{scheme}://{f'{_HIDDEN}@' if at else ''}{place}{slash}{'/'.join(parts)}"


def _telling(part: str) -> bool:
    """Whether a part of a path looks like credentials: `user=...`, or a token of random letters and digits."""
    if _ASSIGNED.search(unquote(part)) or _LONG.search(part):
        return True
    pieces = re.findall(r"[A-Za-z0-9]+", part)
    return any(len(piece) >= _RANDOM_FROM and len(_CHANGES.findall(piece)) >= _RANDOM_CHANGES for piece in pieces)
