"""The format of what a decoder process sends: a JSON list of a known kind and its known fields, and nothing else.

A decoder parses hostile video. If the service unpickled what it sends, whoever takes over a decoder could run code in
the service.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from multiprocessing.connection import Connection
from types import UnionType
from typing import Any, Final, Generic, TypeVar, get_args, get_origin, get_type_hints

from stream.base.errors import StreamError
from stream.base.foreign_json import foreign_json

LARGEST: Final = 16_384  # bytes of a message
_LONGEST_TEXT: Final = 2_000
_MOST: Final = 1e11  # of times, in seconds, and of other numbers with a fraction
_MOST_COUNTED: Final = 2**53
_PATIENCE: Final = 2  # seconds for the rest of a message that has begun, and for a reader that does not read

M = TypeVar("M")


class WireError(StreamError):
    """What arrived is not a message."""


class Wire(Generic[M]):
    """Packs and unpacks messages of the given dataclasses, whose fields are numbers, text, enums and tuples of them."""

    def __init__(self, *kinds: type[M]) -> None:
        self._readers = {kind.__name__: (kind, _readers(kind)) for kind in kinds}

    def packed(self, message: M) -> bytes:
        values = [getattr(message, field.name) for field in fields(message)]  # type: ignore[arg-type] # a dataclass
        shown = [str(value)[:_LONGEST_TEXT] if isinstance(value, str) else value for value in values]
        return json.dumps([type(message).__name__, *shown], ensure_ascii=False).encode("utf-8", "replace")

    def unpacked(self, data: bytes) -> M:
        """Raises WireError for anything but a message of a known kind, with its fields and finite numbers."""
        try:
            name, *values = foreign_json(data)
            kind, readers = self._readers[name]
            return kind(*(read(value) for read, value in zip(readers, values, strict=True)))
        except (ValueError, TypeError, KeyError) as error:
            raise WireError(f"not a message: {type(error).__name__}") from None

    def received(self, pipe: Connection) -> M:
        """The next message. Raises WireError, and OSError or EOFError if the sender has gone, sends too much at once,
        or does not finish what it began.
        """
        return self.unpacked(pipe.recv_bytes(LARGEST))


def bound_waiting(pipe: Connection) -> None:
    """Let no end of a pipe wait long for the other one: its reads and writes fail with OSError instead."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as line:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            line.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _PATIENCE, 0))


def _readers(kind: type[Any]) -> list[Callable[[Any], Any]]:
    hints = get_type_hints(kind)
    return [_reader(hints[field.name]) for field in fields(kind)]


def _reader(hint: Any) -> Callable[[Any], Any]:
    """Converts a JSON value to the type of a field. What it returns raises ValueError or TypeError for another one."""
    if isinstance(hint, UnionType):
        (some,) = (_reader(each) for each in get_args(hint) if each is not type(None))
        return lambda value: None if value is None else some(value)
    if get_origin(hint) is tuple:
        parts = [_reader(each) for each in get_args(hint)]
        return lambda values: tuple(read(value) for read, value in zip(parts, values, strict=True))
    if issubclass(hint, StrEnum):
        return lambda value: hint(_text(value))
    return {int: _whole, float: _number, str: _text}[hint]


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > _MOST_COUNTED:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= _MOST:  # NaN is refused, too
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > _LONGEST_TEXT:
        raise ValueError
    value.encode()  # half a surrogate pair cannot be published
    return value
