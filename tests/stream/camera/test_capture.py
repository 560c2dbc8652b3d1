"""Opening and reading: recordings in the quick tier, a real RTSP camera in the slow one."""

from __future__ import annotations

import gc
import itertools
import signal
import socket
import threading
import time
import wave
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from stream.base.addresses import Source
from stream.base.errors import CameraError, Reason
from stream.camera.capture import MOST_DAMAGED, Capture
from tests.servers.processes import free_port
from tests.servers.rtsp import TestCamera, encode, moving_pictures, write_video


def recording(path: Path) -> Source:
    return Source("cam", str(path), live=False)


def live(url: str) -> Source:
    return Source("cam", url, live=True)


def fault(source: Source, frames: int = 10_000, **more: float) -> CameraError:
    with pytest.raises(CameraError) as caught, Capture(source, **more) as capture:  # type: ignore[arg-type] # times
        for _ in itertools.islice(capture.pictures(), frames):
            pass
    return caught.value


def test_a_recording_gives_every_frame_with_its_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_pictures(40))
    with Capture(recording(path)) as capture:
        times = [picture.media_time for picture in capture.pictures()]
    assert times == pytest.approx([k / 25 for k in range(40)], abs=1e-3)


@pytest.mark.slow
def test_a_connection_leaves_no_image_behind(tmp_path: Path) -> None:
    """Its first image refers to itself; it would keep all images of its decoder until Python happens to look for it."""
    source = recording(write_video(tmp_path / "video.mp4", moving_pictures(5)))

    def connect() -> None:
        with Capture(source) as capture:
            deque(capture.pictures(), maxlen=0)

    def images() -> int:
        return sum(type(found) is av.VideoFrame for found in gc.get_objects())

    connect()
    before = images()
    gc.disable()
    try:
        for _ in range(3):
            connect()
        assert images() == before
    finally:
        gc.enable()


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with closing(wave.open(str(path), "wb")) as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 8000)
    error = fault(recording(path))
    assert error.reason is Reason.NO_VIDEO
    assert "audio" in error.detail


@pytest.mark.parametrize("content", [b"not a video at all" * 100, b"\0" * 5000])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(content)
    assert fault(recording(path)).reason is Reason.NOT_READABLE


def _blanked(path: Path, packets: range) -> Source:
    """The recording with the bytes of some packets set to 0."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]
    content = bytearray(path.read_bytes())
    for index in packets:
        at, size = places[index]
        content[at : at + size] = bytes(size)
    path.write_bytes(content)
    return recording(path)


def test_packets_that_cannot_be_decoded_are_counted_and_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_pictures(60))
    with Capture(_blanked(path, range(30, 34))) as capture:
        times = [picture.media_time for picture in capture.pictures()]
    assert capture.corrupt_frames >= 4
    assert times[0] == 0
    # from the next keyframe on all is well
    assert times[-10:] == pytest.approx([k / 25 for k in range(50, 60)], abs=1e-3)


def test_a_stream_that_cannot_be_decoded_for_long_is_a_fault(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_pictures(MOST_DAMAGED + 30, 64, 64))
    assert fault(_blanked(path, range(10, MOST_DAMAGED + 30))).reason is Reason.NOT_READABLE


def test_a_codec_that_nobody_here_knows(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(picture), *stream.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_FFVX"))
    error = fault(recording(path))
    assert error.reason is Reason.NOT_READABLE
    assert "unknown codec" in error.detail


def test_a_playlist_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_pictures(16))
    listing = tmp_path / "list.txt"
    listing.write_text(f"ffconcat version 1.0\nfile 'http://127.0.0.1:{free_port()}/a.mp4'\n")
    assert fault(recording(listing)).reason is Reason.NOT_READABLE


def test_240_frames_a_second_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "fast.mp4", moving_pictures(30, 64, 64), fps=240)
    error = fault(recording(path))
    assert error.reason is Reason.BAD_RATE
    assert "240" in error.detail
    assert "120" in error.detail


def test_sizes_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16400, 16, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(16400, 16, "yuvj420p")))
        container.mux(stream.encode(None))
    assert fault(recording(path)).reason is Reason.BAD_SIZE


def test_nobody_there_is_unreachable() -> None:
    assert fault(live(f"rtsp://user:hunter2@127.0.0.1:{free_port()}/cam")).reason is Reason.UNREACHABLE


@contextmanager
def answering(response: bytes | None) -> Iterator[int]:
    """A server that says one thing to everybody, or nothing: what a real one cannot be made to do at will."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as clients:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                clients.enter_context(client)
                if response is not None:
                    request = client.recv(4096)
                    sequence = next((x for x in request.split(b"\r\n") if x.startswith(b"CSeq")), b"CSeq: 1")
                    client.sendall(response.replace(b"CSEQ", sequence))

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.slow
def test_a_camera_that_never_answers() -> None:
    with answering(None) as port:
        began = time.monotonic()
        error = fault(live(f"rtsp://user:hunter2@127.0.0.1:{port}/cam"), open_timeout=1.0)
        assert time.monotonic() - began < 10
    assert error.reason is Reason.STALLED
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(b"401 Unauthorized", Reason.UNAUTHORIZED), (b"404 Not Found", Reason.NOT_FOUND)],
)
def test_refusals_are_named_without_the_password(status: bytes, reason: Reason) -> None:
    with answering(b"RTSP/1.0 " + status + b"\r\nCSEQ\r\n\r\n") as port:
        error = fault(live(f"rtsp://user:hunter2@127.0.0.1:{port}/cam"))
    assert error.reason is reason
    assert "hunter2" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_over_rtsp_are_those_of_the_recording(tmp_path: Path, transport: str) -> None:
    units = encode(moving_pictures(60))  # once: two encodings have differed in the last macroblock of a frame
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(units))
    with Capture(recording(path)) as capture:
        expected = [p.frame.to_ndarray(format="rgb24") for p in capture.pictures()]
    camera = TestCamera(tmp_path, units)
    with camera.running(), Capture(live(camera.url), transport) as capture:
        received = [p.frame.to_ndarray(format="rgb24") for p in itertools.islice(capture.pictures(), 50)]
    assert len(expected) == 60
    for got, wanted in zip(received, expected, strict=False):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_the_end_of_a_live_stream_is_a_fault(tmp_path: Path) -> None:
    camera = TestCamera(tmp_path, encode(moving_pictures(30)))
    with camera.running():
        assert fault(live(camera.url)).reason is Reason.ENDED


@pytest.mark.slow
def test_a_stalled_camera_is_noticed(tmp_path: Path) -> None:
    camera = TestCamera(tmp_path, encode(moving_pictures(250)))
    with camera.running(), Capture(live(camera.url), read_timeout=2.0) as capture:
        pictures = capture.pictures()
        next(pictures)
        assert camera.process is not None
        camera.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(CameraError) as caught:
            for _ in pictures:
                pass
        assert time.monotonic() - began < 10
        assert caught.value.reason is Reason.STALLED


@pytest.mark.slow
def test_right_and_wrong_password(tmp_path: Path) -> None:
    camera = TestCamera(tmp_path, encode(moving_pictures(100)), login=("viewer", "hunter2"))
    with camera.running():
        host = camera.url.removeprefix("rtsp://")
        with Capture(live(f"rtsp://viewer:hunter2@{host}")) as capture:
            assert next(capture.pictures()).media_time == 0.0
        error = fault(live(f"rtsp://viewer:wrong-pw@{host}"))
    assert error.reason is Reason.UNAUTHORIZED
    assert "wrong-pw" not in str(error)


@pytest.mark.slow
def test_no_such_stream(tmp_path: Path) -> None:
    camera = TestCamera(tmp_path, encode(moving_pictures(20)))
    with camera.running():
        assert fault(live(camera.url.replace("/cam", "/none"))).reason is Reason.NOT_FOUND


@pytest.mark.slow
def test_a_size_change_in_the_stream_is_seen(tmp_path: Path) -> None:
    units = encode(moving_pictures(50)) + encode(moving_pictures(50, 640, 480))
    camera = TestCamera(tmp_path, units)
    sizes = []
    with camera.running(), Capture(live(camera.url)) as capture:
        for _ in itertools.islice(capture.pictures(), 90):
            sizes.append(capture.size)
    assert sizes[0] == (320, 240)
    assert sizes[-1] == (640, 480)
