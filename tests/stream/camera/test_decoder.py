"""The decoder process's work on real recordings: which clips come out, and what lies in their slots."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.arrays import UInt8Array
from engine.geometry import write_crops
from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.camera.camera_settings import CameraSettings
from stream.camera.clip_ring import ClipRing
from stream.camera.decoder import Decoder
from stream.camera.messages import WIRE, CameraState, ClipReady, StateChanged
from tests.servers.rtsp import moving_pictures, write_video
from tests.servers.settable_camera import encode_as


def frames_of(video: Path) -> UInt8Array:
    """uint8 (frames, 224, 224, 3) as the model sees them."""
    out = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            out.append(np.empty((1, 224, 224, 3), np.uint8))
            write_crops(frame, "squash", out[-1])
    return np.concatenate(out)


def replayed(video: Path, **settings: Any) -> list[tuple[ClipReady, UInt8Array]]:
    """What a decoder makes of a recording, with the pictures of each clip."""
    ring = ClipRing.create(2, 1)
    ours, theirs = multiprocessing.Pipe()
    source = Source("door", str(video), live=False)
    clock = SteadyClock.by_the_wall()
    decoder = Decoder(CameraSettings(source, "squash", ring, clock, replay=True, **settings), theirs)
    thread = threading.Thread(target=decoder.run)
    thread.start()
    clips = []
    while True:
        message = WIRE.received(ours)
        if isinstance(message, ClipReady):
            clips.append((message, ring.clips[message.slot][0].copy()))
            ours.send(message.slot)
        elif isinstance(message, StateChanged) and message.state is CameraState.ENDED:
            assert message.reason is None
            break
    thread.join(10)
    decoder.close()
    return clips


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("camera") / "video.mp4", moving_pictures(70))


@pytest.mark.parametrize("stride", [16, 8, 4])
def test_clips_of_every_stride_hold_their_frames_in_order(video: Path, stride: int) -> None:
    frames = frames_of(video)
    clips = replayed(video, stride=stride)
    assert len(clips) == (70 - 16) // stride + 1
    for number, (ready, pictures) in enumerate(clips):
        first = number * stride
        assert (ready.clip, ready.like) == (number, None)
        assert ready.start == pytest.approx(first / 25, abs=1e-3)
        assert ready.end == pytest.approx((first + 16) / 25, abs=1e-3)
        np.testing.assert_array_equal(pictures, frames[first : first + 16])


def test_a_still_camera_names_the_clip_that_stands_for_it(tmp_path: Path) -> None:
    still, moving = moving_pictures(1) * 64, moving_pictures(16)
    clips = replayed(write_video(tmp_path / "video.mp4", [*still, *moving]), skip_still=True)
    assert [ready.like for ready, _ in clips] == [None, None, 1, 1, None]  # the encoder refines the first one
    # if the service has lost the feature of that clip, it computes it again from these images
    for _, pictures in clips[2:4]:
        np.testing.assert_array_equal(pictures, clips[1][1])
    assert not np.array_equal(clips[4][1], clips[1][1])


def test_no_clip_stands_for_those_of_another_size(tmp_path: Path) -> None:
    video = tmp_path / "video.h264"
    sizes = [np.full((240, 320, 3), 128, np.uint8)] * 48, [np.full((480, 640, 3), 128, np.uint8)] * 48
    video.write_bytes(b"".join(unit for pictures in sizes for unit in encode_as("h264", pictures)))
    clips = [(ready.connection, ready.clip, ready.like) for ready, _ in replayed(video, skip_still=True)]
    assert clips == [(0, 0, None), (0, 1, 0), (0, 2, 0), (1, 3, None), (1, 4, 3), (1, 5, 3)]


def test_recordings_are_decoded_completely(tmp_path: Path) -> None:
    pictures = [*moving_pictures(1) * 150, *moving_pictures(75)]
    video = write_video(tmp_path / "video.mp4", pictures)
    complete = replayed(video, skip_still=True)
    assert sum(ready.like is not None for ready, _ in complete) >= 2
    for (ready, images), (expected, of_all) in zip(replayed(video, skip_still=True, eco=True), complete, strict=True):
        assert (ready.like, ready.start, ready.end) == (expected.like, expected.start, expected.end)
        np.testing.assert_array_equal(images, of_all)


def test_without_hardware_the_cpu_decodes(video: Path) -> None:
    assert len(replayed(video, hwaccel="vaapi")) == 4


@pytest.mark.slow
def test_b_frames_in_avi_make_every_clip(tmp_path: Path) -> None:
    path = tmp_path / "b.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for picture in moving_pictures(160):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    frames = frames_of(path)
    clips = replayed(path)
    assert [ready.start for ready, _ in clips] == pytest.approx([k * 0.64 for k in range(10)])
    for number, (_, pictures) in enumerate(clips):
        np.testing.assert_array_equal(pictures, frames[16 * number : 16 * number + 16])
