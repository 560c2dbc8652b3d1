"""Reads what anybody may have published: nothing here raises, and everything is bounded."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from stream.base.foreign_json import foreign_json

LONGEST: Final = 200_000  # of a message, in bytes: 1,000 cameras with long names
LONGEST_TEXT: Final = 300


def as_object(payload: bytes) -> dict[str, Any]:
    """The JSON object, empty for anything else."""
    try:
        found = foreign_json(payload, finite=True)
    except ValueError:
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
