"""Text files of users: UTF-8 with or without a byte-order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

_OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, because its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class EncodingError(ValueError):
    """A file that is not UTF-8 text; the message says what it is, but does not name the file."""


def decode(content: bytes) -> str:
    """The text without its byte-order mark. Raises EncodingError, which recognises UTF-16 and UTF-32."""
    for mark, name in _OTHERS.items():
        if content.startswith(mark):
            raise EncodingError(f"is {name} text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EncodingError("is not UTF-8 text") from None


def read_text(path: Path) -> str:
    """The text of a file. Raises EncodingError, and OSError like reading."""
    return decode(path.read_bytes())
