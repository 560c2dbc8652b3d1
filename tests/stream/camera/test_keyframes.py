"""`eco`: only keyframes are decoded while nothing moves."""

from __future__ import annotations

import itertools
from typing import Any

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
from tests.stream.camera.test_live_decoder import Damaged, watching


def holds(only: KeyframesOnly[int], packet: int, *, keyframe: bool = False, reordered: bool = False) -> bool:
    return only.holds(packet, keyframe=keyframe, reordered=reordered)


def test_packets_wait_from_one_keyframe_to_the_next() -> None:
    only = KeyframesOnly[int]()
    assert not holds(only, 0)
    only.wanted = True
    assert [holds(only, n, keyframe=n == 3) for n in range(6)] == [True, True, True, False, True, True]
    only.wanted = False
    assert not holds(only, 6)
    assert only.release() == [4, 5]
    assert only.release() == []
    assert only.skipped == 3  # before the keyframe


def test_a_stream_that_does_not_allow_it_is_decoded_completely() -> None:
    only = KeyframesOnly[int]()
    only.wanted = True
    assert not holds(only, 0, reordered=True)
    assert only.refused == "it has B-frames"

    only = KeyframesOnly[int]()
    only.wanted = True
    assert [holds(only, n) for n in range(MOST_HELD + 2)] == [True] * MOST_HELD + [False, False]
    assert only.refused == "more than 100 frames lie between keyframes"
    assert len(only.release()) == MOST_HELD
    assert not holds(only, 0, keyframe=True)  # only a keyframe was lost
    assert holds(only, 1)


def pixels(frame: VideoFrame) -> UInt8Array:
    return np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


def saved(track: Track, count: int, until: int) -> list[Picture]:
    """The first pictures of a camera, of which only keyframes are decoded from number 30 to `until`."""
    with SettableCamera(track).running() as camera, Capture(Source("cam", camera.url, live=True)) as capture:
        seen: list[Picture] = []
        for picture in itertools.islice(capture.pictures(), count):
            seen.append(picture)
            capture.keyframes_only.wanted = 30 <= len(seen) < until
    return seen


def decoded(codec: str, units: list[bytes]) -> list[UInt8Array]:
    decoder = av.CodecContext.create({"h264": "h264", "h265": "hevc"}[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    return [pixels(frame) for frame in frames]


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_frames_after_the_saving_are_those_of_complete_decoding(codec: str) -> None:
    units = encode_as(codec, moving_pictures(100))
    expected, seen = decoded(codec, units), saved(Track(units, codec=codec), 90, until=66)
    first = next(n for n in range(100) if np.array_equal(pixels(seen[0].frame), expected[n]))
    for number, picture in enumerate(seen):
        place = first + number
        shown = max(place // 25 * 25, first + 29) if 30 <= number < 66 else place  # a keyframe every 25 frames
        np.testing.assert_array_equal(pixels(picture.frame), expected[shown % 100])
    steps = np.diff([picture.media_time for picture in seen[10:]])  # the first packets carry no times
    np.testing.assert_allclose(steps, 0.04, atol=0.002)


@pytest.mark.slow
def test_keyframes_that_only_begin_a_refresh_of_the_image_drop_nothing() -> None:
    refresh: dict[str, Any] = {"intra-refresh": "1"}
    units = encode_as("h264", moving_pictures(100), **refresh)
    expected, seen = decoded("h264", units), saved(Track(units, loop=False), 90, until=66)
    for number, picture in enumerate(seen):
        shown = 29 if 30 <= number < 66 else number
        np.testing.assert_array_equal(pixels(picture.frame), expected[shown])


@pytest.mark.slow
def test_damage_to_a_packet_that_waited_lasts_until_the_next_keyframe() -> None:
    """The next keyframes are the 50th and the 75th."""
    units = encode_as("h264", moving_pictures(100, 640, 480))
    seen = saved(Damaged(units, damaged=range(56, 58), loop=False), 90, until=65)
    assert [number for number, picture in enumerate(seen) if picture.damaged] == list(range(65, 75))


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
        totals = [message for message in decoder.messages if isinstance(message, Counters)][-1]
    likes = [clip.like is not None for _, clip in decoder.clips]
    assert likes[6:10] == [True] * 4
    assert likes[-2:] == [False] * 2  # the first keyframe of the movement comes at once
    assert next(decoded) < 0.75 * totals.frames
    assert 0.25 * totals.frames < totals.skipped_packets < totals.frames
