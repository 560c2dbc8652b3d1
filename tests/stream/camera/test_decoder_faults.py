"""The decoder process's body, run in this process."""

from __future__ import annotations

import io
import multiprocessing
import resource
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import Reason, StreamError
from stream.base.log import configure
from stream.camera import decoder as camera
from stream.camera.camera_settings import CameraSettings
from stream.camera.clip_ring import ClipRing
from stream.camera.decoder import Decoder
from stream.camera.messages import WIRE, CameraState, StateChanged

CAMERA = Source("door", "rtsp://viewer:hunter2@127.0.0.1:9/cam", live=True)


@pytest.fixture
def ends() -> Iterator[tuple[Decoder, Connection]]:
    """A decoder and the service's end of its pipe."""
    ring = ClipRing.create(1, 1)
    ours, theirs = multiprocessing.Pipe()
    decoder = Decoder(CameraSettings(CAMERA, "squash", ring, SteadyClock.by_the_wall()), theirs)
    yield decoder, ours
    decoder.close()
    ours.close()
    theirs.close()


def test_no_file_left_for_a_ring_is_an_error_of_ours() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StreamError, match="shared memory: 11 MB for clips: Too many open files"):
            ClipRing.create(5, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_defect_is_tried_again_and_shown_without_the_password(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[Decoder, Connection]
) -> None:
    decoder, pipe = ends

    def broken(source: Source, *_: object, **__: object) -> None:
        decoder.stop()  # so that it does not try for ever
        raise AttributeError(f"no codec in {source.url}")

    monkeypatch.setattr(camera, "Capture", broken)
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure(CAMERA.secrets)
    with pytest.raises(camera._Stopped):
        decoder.run()
    states = []
    while pipe.poll():
        if isinstance(message := WIRE.received(pipe), StateChanged):
            states.append((message.state, message.reason, message.detail))
    assert states == [
        (CameraState.CONNECTING, None, ""),
        (CameraState.OFFLINE, Reason.NOT_READABLE, "AttributeError"),
    ]
    assert "no codec in rtsp://" in said.getvalue()
    assert "hunter2" not in said.getvalue()
