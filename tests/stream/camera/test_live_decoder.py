"""A decoder on a live camera whose times are not to be believed: clips, their times, and what is said."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av
import pytest

from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import Reason
from stream.camera import clip_watch, timeline
from stream.camera.camera_settings import CameraSettings
from stream.camera.clip_ring import ClipRing
from stream.camera.decoder import STOP, Decoder, _Stopped
from stream.camera.messages import (
    WIRE,
    ClipClosed,
    ClipReady,
    Counters,
    EndClip,
    Message,
    Order,
    StartClip,
    StateChanged,
)
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Silence, Track, encode_as, nal_units


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    return encode_as("h264", moving_pictures(100))


class Watching:
    """A decoder at work; slots go back at once."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.messages: list[Message] = []
        self.clips: list[tuple[float, ClipReady]] = []  # epoch time of arrival
        self._ring = ClipRing.create(4, 1)
        self._ours, theirs = multiprocessing.Pipe()
        self._lock = threading.Lock()
        source = Source("door", url, live=True)
        clock = SteadyClock.by_the_wall()
        self._decoder = Decoder(CameraSettings(source, "squash", self._ring, clock, **settings), theirs)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(_Stopped):
            self._decoder.run()

    def order(self, order: Order | int) -> None:
        self._ours.send(order)

    def hear(self, done: Callable[[], bool], within: float) -> None:
        deadline = time.monotonic() + within
        while not done() and time.monotonic() < deadline:
            if self._ours.poll(0.1):
                message = WIRE.received(self._ours)
                self.messages.append(message)
                if isinstance(message, ClipReady):
                    self.clips.append((time.time(), message))
                    self.order(message.slot)
        assert done(), self.messages[-5:]

    def stop(self) -> None:
        self.order(STOP)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._decoder.close()

    def closed(self) -> list[ClipClosed]:
        return [message for message in self.messages if isinstance(message, ClipClosed)]


@contextmanager
def watching(*tracks: Track, **settings: Any) -> Iterator[tuple[SettableCamera, Watching]]:
    with SettableCamera(*tracks).running() as camera:
        decoder = Watching(camera.url, **settings)
        try:
            yield camera, decoder
        finally:
            decoder.stop()


def decodes(path: Path) -> list[float]:
    """Times of the pictures that a saved clip gives."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize("slip", [7600.0, -9800.0])
def test_stamps_that_slip_cost_no_clip_and_no_second_of_the_event(
    tmp_path: Path, units: list[bytes], slip: float
) -> None:
    track = Track(units, lambda k: (k / 25, k / 25 + (slip if k % 50 == 49 else 0.0)))
    path = tmp_path / "1.00-aaaaaa.mp4"
    with watching(track) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 10, 20)
        begin = decoder.clips[3][1].start
        decoder.order(StartClip("1.00-aaaaaa", path, begin=begin, longest=60.0))
        decoder.order(EndClip("1.00-aaaaaa", until=begin + 8.0))
        decoder.hear(lambda: len(decoder.closed()) == 1, 20)
    numbers = [clip.clip for _, clip in decoder.clips]
    assert numbers == list(range(len(numbers)))
    gaps = [after.start - before.end for (_, before), (_, after) in itertools.pairwise(decoder.clips)]
    assert median(gaps) == pytest.approx(0, abs=0.1)
    assert max(gaps) < 0.5  # one may be negative: the clock is corrected if the first frames arrived late
    times = decodes(path)
    assert times[-1] - times[0] >= 8.0
    assert len(times) == pytest.approx((times[-1] - times[0]) * 25 + 1, abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [21.0, 30.0])
def test_a_camera_that_sends_otherwise_than_it_stamps_begins_alarms_on_time(units: list[bytes], sent: float) -> None:
    with watching(Track(units, lambda k: (k / sent, k / 25))) as (camera, decoder):
        decoder.hear(lambda: len(decoder.clips) == 20, 40)
    played = camera.played_at[-1]
    for _, clip in decoder.clips:
        true_end = played + (clip.clip + 1) * 16 / sent
        assert abs(clip.end - true_end) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stamped", [50.0, 12.5])
def test_a_camera_that_stamps_half_or_twice_the_time_gives_way_to_arrival(
    units: list[bytes], stamped: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "_CHECK_SPAN", 1.0)
    with watching(Track(units, lambda k: (k / 25, k / stamped))) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 12, 40)
    assert median(clip.end - clip.start for _, clip in decoder.clips[-6:]) == pytest.approx(0.64, abs=0.1)
    assert all(abs(at - clip.end) < 0.3 for at, clip in decoder.clips[-6:])


@pytest.mark.slow
def test_timestamps_in_milliseconds_are_scored_by_arrival(units: list[bytes]) -> None:
    with watching(Track(units, lambda k: (k / 25, k / 25 / 90))) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 8, 20)
    assert {clip.connection for _, clip in decoder.clips} == {0}
    assert median(clip.end - clip.start for _, clip in decoder.clips[-4:]) == pytest.approx(0.64, abs=0.1)
    assert all(abs(at - clip.end) < 0.3 for at, clip in decoder.clips[-4:])


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.0, -0.001])
def test_an_rtp_time_that_never_moves_or_runs_backwards_is_scored_by_arrival(units: list[bytes], step: float) -> None:
    with watching(Track(units, lambda k: (k / 25, 1_000.0 + step * k))) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 6, 20)
    assert median(clip.end - clip.start for _, clip in decoder.clips[2:]) == pytest.approx(0.64, abs=0.2)
    assert all(abs(at - clip.end) < 0.5 for at, clip in decoder.clips[2:])


def sets_only_at(units: list[bytes], places: set[int]) -> list[bytes]:
    """H.265 units whose parameter sets are sent at some units alone."""
    return [
        b"".join(b"\0\0\0\1" + nal for nal in nal_units(unit) if k in places or not 32 <= (nal[0] >> 1) & 63 <= 34)
        for k, unit in enumerate(units)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("late", [0, 5])
def test_every_picture_of_a_clip_decodes_where_parameter_sets_change(tmp_path: Path, late: int) -> None:
    """Sent once, when they change: a clip over the change, and one that begins after it."""
    before, after = moving_pictures(100), moving_pictures(100, 640, 480)
    units = encode_as("h265", before) + encode_as("h265", after) * 4
    path = tmp_path / "1.00-aaaaaa.mp4"
    with watching(Track(sets_only_at(units, {0, 100}), codec="h265")) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 5 + 2 * late, 30)
        begin = decoder.clips[2 * late][1].start
        decoder.order(StartClip("1.00-aaaaaa", path, begin=begin, longest=60.0))
        decoder.order(EndClip("1.00-aaaaaa", until=begin + 6.0))
        decoder.hear(lambda: len(decoder.closed()) == 1, 30)
    (closed,) = decoder.closed()
    assert closed.problem == ""
    times = decodes(path)
    assert len(times) == pytest.approx(closed.seconds * 25 + 1, abs=3)
    assert times[-1] - times[0] == pytest.approx(closed.seconds, abs=0.1)


@dataclass(frozen=True)
class OutdatedTrack(Track):
    """Its SDP describes an earlier stream, `old`."""

    old: tuple[bytes, ...] = ()

    def sdp(self, payload: int) -> list[str]:
        return Track(self.old, codec=self.codec).sdp(payload)


@pytest.mark.slow
@pytest.mark.parametrize("sdp", ["none", "outdated"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_camera_whose_sdp_has_no_parameter_sets_or_old_ones_joined_in_mid_group(
    tmp_path: Path, codec: str, sdp: str
) -> None:
    units = encode_as(codec, moving_pictures(100), gop=50)
    track = Track(units, codec=codec, described=False, first=10)
    if sdp == "outdated":
        track = OutdatedTrack(units, codec=codec, first=10, old=tuple(encode_as(codec, moving_pictures(5, 640, 480))))
    path = tmp_path / "1.00-aaaaaa.mp4"
    with watching(track) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 2, 30)
        begin = decoder.clips[0][1].start
        decoder.order(StartClip("1.00-aaaaaa", path, begin=begin, longest=60.0))
        decoder.order(EndClip("1.00-aaaaaa", until=begin + 4.0))
        decoder.hear(lambda: len(decoder.closed()) == 1, 30)
    assert decoder.closed()[0].problem == ""
    assert len(decodes(path)) >= 95


@pytest.mark.slow
def test_a_camera_of_one_picture_a_second_with_jitter_is_scored(
    units: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    track = Track(units, lambda k: (k + 0.05 * (-1) ** k, k + 0.05 * (-1) ** k))
    with watching(track, stride=4) as (_, decoder):
        decoder.hear(lambda: len(decoder.clips) == 3, 50)
    (_, clip) = decoder.clips[0]
    assert "".join(capsys.readouterr()).count("fast incidents are missed") == 1
    assert clip.end - clip.start == pytest.approx(16.0, rel=0.1)


@pytest.mark.slow
def test_a_camera_that_never_sends_sixteen_frames_in_a_row_is_named(
    units: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten frames, then a pause of 1.5 s, again and again."""
    monkeypatch.setattr(clip_watch, "NO_CLIP_AFTER", 5.0)
    at = [k // 10 * 1.9 + k % 10 / 25 for k in range(1_000)]

    def problems() -> list[str]:
        return [m.problem for m in decoder.messages if isinstance(m, Counters) and m.problem]

    with watching(Track(units, lambda k: (at[k], at[k]))) as (_, decoder):
        decoder.hear(lambda: len(problems()) > 0, 30)
    assert "but never 16 in a row; check the camera's frame rate and clock" in problems()[0]
    assert len(decoder.clips) <= 1  # while it connects, a pause is not seen


@pytest.mark.slow
@pytest.mark.alone  # a busy machine is late by more than the test allows
def test_video_that_stops_while_audio_goes_on_is_noticed_within_five_seconds(units: list[bytes]) -> None:
    video = Track(units, lambda k: (k / 25 if k < 100 else 1e6, k / 25))
    with watching(video, Silence([b""], lambda k: (k / 50, k / 50))) as (camera, decoder):
        decoder.hear(lambda: any(isinstance(m, StateChanged) and m.reason for m in decoder.messages), 30)
        assert time.time() - camera.played_at[0] - 4.0 < 5.0
    assert [m.reason for m in decoder.messages if isinstance(m, StateChanged) and m.reason] == [Reason.STALLED]


@dataclass(frozen=True)
class Damaged(Track):
    """Some frames of each hundred are `damaged`."""

    damaged: range = range(12, 15)

    def payloads(self, index: int) -> list[bytes]:
        pieces = super().payloads(index)
        if index % 100 not in self.damaged:
            return pieces
        return [piece[:40] + bytes(255 - byte for byte in piece[40:80]) + piece[80:] for piece in pieces]


@pytest.mark.slow
def test_clips_are_not_scored_from_damage_to_the_next_keyframe() -> None:
    """Damage from 0.48 s on; the next keyframe comes at 1 s."""
    units = encode_as("h264", moving_pictures(100, 640, 480))
    with watching(Damaged(units)) as (camera, decoder):
        decoder.hear(lambda: len(decoder.clips) >= 12, 30)
        counters = [m for m in decoder.messages if isinstance(m, Counters)][-1]
    assert min(counters.corrupt_frames, counters.damaged_clips) >= 2
    played = camera.played_at[0]
    for second in range(0, 12, 4):
        assert not [c for _, c in decoder.clips if c.start < played + second + 0.8 and c.end > played + second + 0.7]
