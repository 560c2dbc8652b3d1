"""Reads what anybody may have published: nothing here raises, and everything is bounded."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

LONGEST: Final = 200_000  # of a message, in bytes: 1,000 cameras with long names
LONGEST_TEXT: Final = 300


def as_object(payload: bytes) -> dict[str, Any]:
    """The JSON object, empty for anything else."""
    try:
        found = json.loads(payload, parse_constant=_refused)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def as_text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace")[:LONGEST_TEXT]


def as_page(address: object) -> str | None:
    """The address of a page; None for anything else, such as javascript:."""
    try:
        fine = (
            isinstance(address, str) and urlsplit(address).scheme in ("http", "https") and len(address) < LONGEST_TEXT
        )
    except ValueError:
        fine = False
    return str(address) if fine else None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
