"""What a decoder process sends is read by a fixed format: any bytes are a message or nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.base.errors import Reason
from stream.camera.messages import (
    WIRE,
    CameraState,
    ClipClosed,
    ClipReady,
    Counters,
    Message,
    SnapshotTaken,
    StateChanged,
)
from stream.camera.wire import LARGEST, WireError, bound_waiting

NAMES = ("ClipReady", "StateChanged", "Counters", "SnapshotTaken", "ClipClosed")
MESSAGES = [
    ClipReady(0, 7, 1.5, 2.14, 3.0, 4, None, (0.0, 0.25, 0.5, 1.0)),
    ClipReady(0, 7, 1, 2, 3, 4, 6),
    StateChanged(CameraState.OFFLINE, -1, Reason.DECODER_LOST, "Zür\n\0ich \N{PILE OF POO}"),
    StateChanged(CameraState.ONLINE, 0),
    Counters(25.0, 1, 2, 3, 4, "problem", 5, 6),
    SnapshotTaken("1.00-abcdef", 100),
    ClipClosed("1.00-abcdef", 100, 2.5, "why"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    arrived = WIRE.unpacked(WIRE.packed(message))
    assert arrived == message
    assert type(arrived) is type(message)
    assert len(WIRE.packed(message)) < LARGEST


@pytest.mark.parametrize("character", ["\U0001f4a9", "\0", "x"])
def test_a_long_text_is_cut_and_fits(character: str) -> None:
    sent = StateChanged(CameraState.OFFLINE, 0, Reason.STALLED, character * 100_000)
    assert len(data := WIRE.packed(sent)) < LARGEST
    assert WIRE.unpacked(data) == StateChanged(CameraState.OFFLINE, 0, Reason.STALLED, character * 2_000)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = multiprocessing.Pipe()
    bound_waiting(ours)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_pickle_has_no_effect(pipe: tuple[Connection, Connection], tmp_path: Path) -> None:
    ours, theirs = pipe
    theirs.send(Trap(tmp_path / "trap"))
    with pytest.raises(WireError, match="not a message"):
        WIRE.received(ours)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{}", b"[" * 16_000, b'["os.system", "true"]', b'["__class__"]', b'["ClipReady"]',
        b'[["ClipReady"], 1]', b'["SnapshotTaken", "e", 1, "", 4]', b'["SnapshotTaken", "e", true]',
        b'["SnapshotTaken", "e", 1e3, ""]', b'["SnapshotTaken", "e", ' + b"9" * 5_000 + b', ""]',
        b'["SnapshotTaken", "e", 99999999999999999999, ""]', b'["ClipClosed", "e", 1, NaN, ""]',
        b'["ClipClosed", "e", 1, Infinity, ""]', b'["ClipClosed", "e", 1, 1e300, ""]', b'["ClipClosed", 5, 1, 1.0, ""]',
        b'["ClipClosed", "e", 1, ' + b"1" + b"0" * 400 + b', ""]', b'["SnapshotTaken", "e", 1, "\\ud800"]',
        b'["StateChanged", "hacked", 0, null, ""]', b'["StateChanged", "online", 0, "because", ""]',
        b'["ClipReady", 0, 0, 0, 0, 0, 0, null, [1, 2, 3]]', b'["ClipReady", 0, 0, 0, 0, 0, 0, null, "1234"]',
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        WIRE.unpacked(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), st.lists, max_leaves=9
)


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=200), st.tuples(st.sampled_from(NAMES), st.lists(VALUES, max_size=9)).map(
    lambda drawn: json.dumps([drawn[0], *drawn[1]]).encode()
)))  # fmt: skip
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = WIRE.unpacked(data)
    except WireError:
        return
    assert type(message).__name__ in NAMES
    assert WIRE.unpacked(WIRE.packed(message)) == message


def test_a_message_that_is_too_large_is_not_even_read(pipe: tuple[Connection, Connection]) -> None:
    ours, theirs = pipe
    os.write(theirs.fileno(), struct.pack("!i", 2**31 - 1))
    with pytest.raises(OSError, match="bad message length"):
        WIRE.received(ours)


def fill(line: Connection) -> None:
    while True:
        line.send(0)


@pytest.mark.slow
def test_nobody_waits_for_a_message_that_does_not_end_or_a_reader_that_does_not_read(
    pipe: tuple[Connection, Connection],
) -> None:
    ours, theirs = pipe
    os.write(theirs.fileno(), struct.pack("!i", 100) + b"half")
    began = time.monotonic()
    with pytest.raises(BlockingIOError):
        WIRE.received(ours)
    with pytest.raises(BlockingIOError):
        fill(ours)
    assert time.monotonic() - began < 30
