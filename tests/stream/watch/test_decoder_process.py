"""The decoder processes as the service sees them."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import StreamError
from stream.camera.messages import WIRE, ClipReady, Counters, SnapshotTaken
from stream.settings.settings import CameraConfig
from stream.watch import decoder_process
from stream.watch.decoder_process import MOST_AT_ONCE, SILENT_AFTER, STARTED_WITHIN, DecoderProcess, received
from stream.watch.reaper import Reaper
from stream.watch.watched_camera import WatchedCamera
from tests.bundles import tiny_manifest

CONFIG = CameraConfig(Source("door", "rtsp://127.0.0.1:9/cam", live=True), AlarmSettings(0.5, 0.4))


@pytest.fixture
def ends() -> Iterator[tuple[DecoderProcess, Connection]]:
    """A handle whose process is never started, and that process's end of the pipe."""
    ours, theirs = multiprocessing.Pipe()

    def start(target: Callable[..., None], args: Sequence[Any], name: str) -> tuple[SpawnProcess, Connection]:
        process = multiprocessing.get_context("spawn").Process(target=target, args=(*args, theirs), name=name)
        return process, ours

    camera = WatchedCamera(CONFIG, ModelName("tiny", "0" * 64, "openvino"))
    handle = DecoderProcess(CONFIG, camera, tiny_manifest(), False, start, Reaper(), SteadyClock(0.0))
    yield handle, theirs
    ours.close()
    theirs.close()
    handle.pipe = None
    handle.ring.close()


def test_silence_is_what_was_not_said_rather_than_what_was_not_heard(ends: tuple[DecoderProcess, Connection]) -> None:
    decoder, process = ends
    # many processes that start at once on a slow machine are not replaced, which would only start more of them
    assert not decoder.silent(decoder.last_sign + STARTED_WITHIN)
    assert decoder.silent(decoder.last_sign + STARTED_WITHIN + 1)
    decoder.gave_sign(decoder.last_sign + 40)
    assert not decoder.silent(decoder.last_sign + SILENT_AFTER)
    assert decoder.silent(decoder.last_sign + SILENT_AFTER + 1)
    # it spoke while the loop was busy with a slow batch
    process.send_bytes(WIRE.packed(Counters(25.0, 1, 0, 0, 0)))
    assert not decoder.silent(decoder.last_sign + SILENT_AFTER + 1)


def test_a_decoder_that_uses_more_memory_than_any_camera_needs_is_named(
    ends: tuple[DecoderProcess, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, _ = ends
    decoder.process = cast(SpawnProcess, SimpleNamespace(pid=os.getpid(), kill=lambda: None, is_alive=lambda: False))
    at = decoder.last_sign
    assert decoder.overgrown(at) is None
    monkeypatch.setattr(decoder_process, "MOST_MEMORY", 2**20)
    assert decoder.overgrown(at + 1) is None  # it was weighed a second ago
    assert (decoder.overgrown(at + 10) or 0) > 2**20
    decoder.process = None
    assert decoder.overgrown(at + 20) is None


def test_a_process_that_cannot_be_started_is_no_room_for_a_camera(ends: tuple[DecoderProcess, Connection]) -> None:
    rings: list[Any] = []

    def refused(_target: Callable[..., None], args: Sequence[Any], _name: str) -> tuple[SpawnProcess, Connection]:
        rings.append(args[0].ring)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    decoder, _ = ends
    with pytest.raises(StreamError, match="no process for door: Too many open files"):
        DecoderProcess(CONFIG, decoder.camera, decoder._manifest, False, refused, Reaper(), SteadyClock(0.0))
    assert not hasattr(rings[0], "clips")  # closed


def test_a_decoder_that_floods_sends_nonsense_or_names_other_memory_is_heard_no_further(
    ends: tuple[DecoderProcess, Connection], capsys: pytest.CaptureFixture[str]
) -> None:
    decoder, process = ends
    assert decoder.pipe is not None
    for _ in range(2 * MOST_AT_ONCE):
        process.send_bytes(WIRE.packed(Counters(25.0, 1, 0, 0, 0)))
    for _ in range(2):  # the other cameras have their turn in between
        assert len(list(received([decoder], 0))) == MOST_AT_ONCE
    for hostile in (
        b"nonsense",
        WIRE.packed(ClipReady(0, 0, 0.0, 0.6, 0.0, decoder.ring.slots)),
        WIRE.packed(ClipReady(0, 0, 0.0, 0.6, 0.0, -1)),
        WIRE.packed(SnapshotTaken("../../etc/passwd", 1)),
    ):
        process.send_bytes(hostile)
        assert list(received([decoder], 0)) == [(decoder, None)]
    assert "".join(capsys.readouterr()).count("message of a decoder refused") == 4
