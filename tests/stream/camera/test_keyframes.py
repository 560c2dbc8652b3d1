"""`eco`: only keyframes are decoded while nothing moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import av
import numpy as np
import pytest
from av import VideoFrame

from engine.arrays import UInt8Array
from stream.base.addresses import Source
from stream.camera.capture import Capture, Picture
from stream.camera.keyframes import MOST_HELD, KeyframesOnly
from stream.camera.messages import Counters
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as
from tests.stream.camera.test_live_decoder import watching


@dataclass(frozen=True)
class Packet:
    number: int
    is_keyframe: bool = False


def test_packets_wait_from_one_keyframe_to_the_next() -> None:
    only = KeyframesOnly[Packet]()
    assert not only.holds(Packet(0), reordered=False)
    only.wanted = True
    assert [only.holds(Packet(n, n == 3), reordered=False) for n in range(6)] == [True, True, True, False, True, True]
    only.wanted = False
    assert not only.holds(Packet(6), reordered=False)
    assert [packet.number for packet in only.release()] == [4, 5]
    assert only.release() == []


def test_a_stream_that_does_not_allow_it_is_decoded_completely() -> None:
    only = KeyframesOnly[Packet]()
    only.wanted = True
    assert not only.holds(Packet(0), reordered=True)
    assert only.refused == "it has B-frames"
    assert not only.holds(Packet(1), reordered=False)

    only = KeyframesOnly[Packet]()
    only.wanted = True
    held = [only.holds(Packet(n), reordered=False) for n in range(MOST_HELD + 2)]
    assert held == [True] * MOST_HELD + [False, False]
    assert only.refused == "more than 100 frames lie between keyframes"
    assert len(only.release()) == MOST_HELD


def pixels(frame: VideoFrame) -> UInt8Array:
    return np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


@pytest.mark.slow
def test_frames_after_the_saving_are_those_of_complete_decoding() -> None:
    units = encode_as("h264", moving_pictures(100))
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    expected = [pixels(frame) for frame in frames]
    with (
        SettableCamera(Track(units)).running() as camera,
        Capture(Source("cam", camera.url, live=True)) as capture,
    ):
        seen: list[Picture] = []
        for picture in itertools.islice(capture.pictures(), 90):
            seen.append(picture)
            capture.keyframes_only.wanted = 30 <= len(seen) < 66
    first = next(n for n in range(100) if np.array_equal(pixels(seen[0].frame), expected[n]))
    for number, picture in enumerate(seen):
        place = first + number
        shown = max(place // 25 * 25, first + 29) if 30 <= number < 66 else place  # a keyframe every 25 frames
        np.testing.assert_array_equal(pixels(picture.frame), expected[shown % 100])
    steps = np.diff([picture.media_time for picture in seen[10:]])  # the first packets carry no times
    np.testing.assert_allclose(steps, 0.04, atol=0.002)


@pytest.mark.slow
def test_a_still_camera_is_hardly_decoded_and_a_movement_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, complete = itertools.count(), Capture._decoded

    def counted(capture: Capture, packet: av.Packet[av.VideoStream]) -> list[VideoFrame]:
        next(decoded)
        return complete(capture, packet)

    monkeypatch.setattr(Capture, "_decoded", counted)
    units = encode_as("h264", [*moving_pictures(1) * 175, *moving_pictures(75)])
    with watching(Track(units), skip_still=True, eco=True) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) >= 15, 60)  # 9.6 s, of which the last 2.6 s move
        frames = [message.frames for message in decoder.messages if isinstance(message, Counters)][-1]
    likes = [clip.like is not None for _, clip in decoder.clips]
    assert likes[6:10] == [True] * 4
    assert likes[-2:] == [False] * 2  # the first keyframe of the movement comes at once
    assert next(decoded) < 0.75 * frames
