"""A pattern that finds a secret in any spelling: percent-encoded, escaped, as HTML entities, in Base64, or mixed."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from html.entities import codepoint2name
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote, unquote_plus

_BASE64_FROM: Final = 6  # bytes; less gives so few characters that they occur by chance
_UNTOUCHED: Final = (0, 2, 3)  # characters of Base64 that also depend on 0, 1, 2 bytes in front


@lru_cache(maxsize=4_096)
def spellings(value: str) -> re.Pattern[str]:
    """Finds `value` (not empty) in text. A percent-encoded value is found in decoded form, too."""
    values = {form for text in (value, unquote(value), unquote_plus(value)) for form in
              (text, normalize("NFC", text), normalize("NFD", text)) if form}  # fmt: skip
    written = {"".join(map(_character, form)) for form in values}
    encoded = {re.escape(form) for text in values for form in _base64(text.encode(errors="surrogatepass"))}
    return re.compile("|".join(sorted(written | encoded, key=len, reverse=True)))


@lru_cache(maxsize=4_096)
def _character(character: str) -> str:
    """A pattern for one character in any spelling; escapes may have been escaped again."""
    code, utf8 = ord(character), character.encode(errors="surrogatepass")
    percent = "".join(f"%(?:25)*{byte:02X}" for byte in utf8)
    escaped = "".join(rf"\\+x{byte:02x}" for byte in utf8)
    found = [f"(?i:{percent}|{escaped}" + (rf"|\\+x{code:02x}" if code < 256 else "")]
    found[0] += "".join(rf"|\\+u{unit:04x}" for unit in [code] if code < 0x10000) + rf"|&\#0*{code};|&\#x0*{code:x};)"
    if code in codepoint2name:
        found.append(f"&{codepoint2name[code]};")
    if code > 127:
        found.append(re.escape(utf8.decode("latin1")))
    if character == " ":
        found.append(r"\+")
    plain = re.escape(character)
    found.append(rf"\\*{plain}" if character in "\"'\\/" else plain)
    return f"(?:{'|'.join(found)})"


def _base64(data: bytes) -> set[str]:
    """What of Base64 is the same whatever stands before and after `data`, in both alphabets."""
    if len(data) < _BASE64_FROM:
        return set()
    found = set()
    for ahead, first in enumerate(_UNTOUCHED):
        text = b64encode(bytes(ahead) + data).decode()[first : (ahead + len(data)) * 8 // 6]
        found |= {text, text.replace("+", "-").replace("/", "_")}
    return found
