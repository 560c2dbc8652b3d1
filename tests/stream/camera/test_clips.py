"""Pictures to clips, told as time lines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stream.base.errors import CameraError, Reason
from stream.camera.clips import CameraClock, Clip, ClipAssembler, Stride, thinning


def feed(assembler: ClipAssembler, times: list[float]) -> list[Clip]:
    placed = [assembler.place(time) for time in times]
    return [p.finished for p in placed if p.finished is not None]


def test_sixteen_frames_make_a_clip_that_ends_when_its_last_frame_does() -> None:
    clips = feed(ClipAssembler(), [k / 25 for k in range(40)])
    assert [clip.clip for clip in clips] == [0, 1]
    assert clips[0].start == 0.0
    assert clips[0].end == pytest.approx(0.64)
    assert clips[1].start == pytest.approx(0.64)
    assert clips[1].end == pytest.approx(1.28)


def test_positions_count_to_fifteen_and_begin_again() -> None:
    assembler = ClipAssembler()
    assert [assembler.place(k / 25).position for k in range(17)] == [*range(16), 0]


def test_variable_frame_rate_keeps_the_frames_own_times() -> None:
    times = [0.0]
    for k in range(15):
        times.append(times[-1] + (0.02 if k % 2 else 0.1))
    (clip,) = feed(ClipAssembler(), times)
    assert clip.start == 0.0
    assert clip.end == pytest.approx(times[-1] + 0.1)


def test_a_picture_that_is_not_later_is_left_out() -> None:
    assembler = ClipAssembler()
    assembler.place(0.0)
    assembler.place(0.04)
    assert assembler.place(0.04).position is None
    assert assembler.place(0.02).position is None
    assert assembler.late_frames == 2
    assert assembler.place(0.08).position == 2


@pytest.mark.parametrize("jump", [5.0, -5.0])
def test_a_gap_or_a_jump_back_gives_up_the_running_clip(jump: float) -> None:
    assembler = ClipAssembler()
    feed(assembler, [10 + k / 25 for k in range(10)])
    times = [10 + jump + k / 25 for k in range(16)]
    (clip,) = feed(assembler, times)
    assert assembler.broken_clips == 1
    assert (clip.clip, clip.start) == (0, times[0])
    assert clip.end == pytest.approx(times[-1] + 0.04)


def test_above_120_frames_a_second_is_refused_and_120_is_not() -> None:
    assert len(feed(ClipAssembler(fps=None), [k / 120 for k in range(320)])) == 20
    with pytest.raises(CameraError) as refused:
        feed(ClipAssembler(), [k / 240 for k in range(320)])
    assert refused.value.reason is Reason.BAD_RATE


@pytest.mark.parametrize(
    ("rate", "every"),
    [(1, 1), (15, 1), (25, 1), (30, 1), (35, 1), (36, 2), (50, 2), (60, 2), (61.3, 3), (75, 3), (90, 4), (120, 5)],
)
def test_thinning_comes_nearest_to_25_frames_a_second(rate: float, every: int) -> None:
    assert thinning(rate) == every


@pytest.mark.parametrize(("rate", "seconds"), [(25, 0.64), (30, 0.533), (50, 0.64), (60, 0.533), (100, 0.64)])
def test_a_clip_of_a_fast_source_spans_what_it_spans_at_25(rate: int, seconds: float) -> None:
    clips = feed(ClipAssembler(), [k / rate for k in range(rate * 3)])
    assert [clip.clip for clip in clips] == list(range(len(clips)))
    for clip, after in itertools.pairwise(clips):
        assert clip.end - clip.start == pytest.approx(seconds, abs=0.001)
        assert after.start == pytest.approx(clip.end)


@pytest.mark.parametrize(
    ("rate", "fps", "every"), [(25, 12.5, 2), (25, 5, 5), (15, 5, 3), (10, 12.5, 1), (30, 50, 1), (120, 60, 2)]
)
def test_fewer_frames_a_second_where_asked_for(rate: int, fps: float, every: int) -> None:
    assert thinning(rate, fps) == every
    clips = feed(ClipAssembler(fps=fps), [k / rate for k in range(rate * 16)])
    assert clips[-1].end - clips[-1].start == pytest.approx(16 * every / rate)
    assert clips[-1].start == pytest.approx(clips[-2].end)


def test_of_50_frames_a_second_every_second_one_is_kept_once_the_rate_is_known() -> None:
    assembler = ClipAssembler()
    positions = [assembler.place(k / 50).position for k in range(14)]
    assert positions == [0, 1, 2, 3, 4, 5, 6, 7, 0, None, 1, None, 2, None]
    assert assembler.broken_clips == 1


def test_a_rate_that_changes_is_followed_and_one_between_two_choices_does_not_go_to_and_fro() -> None:
    assembler = ClipAssembler()
    feed(assembler, [k / 25 for k in range(200)])
    assert assembler.broken_clips == 0
    clips = feed(assembler, [8 + k / 50 for k in range(400)])
    assert clips[-1].end - clips[-1].start == pytest.approx(0.64)
    given_up = assembler.broken_clips
    assert given_up == 1
    time = 16.0
    for k in range(1200):
        time += 1 / (35 if k // 60 % 2 else 36)
        assembler.place(time)
    assert assembler.broken_clips == given_up


@pytest.mark.parametrize("stride", [4, 8])
def test_overlapping_clips(stride: Stride) -> None:
    assembler = ClipAssembler(stride)
    memory: list[int] = [-1] * 16
    clips = []
    for k in range(16 + 5 * stride):
        placed = assembler.place(k / 25)
        assert placed.position is not None
        memory[placed.position] = k
        if placed.finished is not None:
            clips.append(placed.finished)
            frames = memory[placed.oldest :] + memory[: placed.oldest]
            assert frames == list(range(k - 15, k + 1))
            assert placed.finished.start == pytest.approx((k - 15) / 25)
            assert placed.finished.end == pytest.approx((k + 1) / 25)
    assert [clip.clip for clip in clips] == list(range(6))


def test_a_gap_does_not_let_a_clip_overlap_it() -> None:
    assembler = ClipAssembler(4)
    feed(assembler, [k / 25 for k in range(22)])
    assert feed(assembler, [10 + k / 25 for k in range(15)]) == []
    assert assembler.broken_clips == 1


def test_a_recording_whose_pictures_are_counted_has_no_gaps() -> None:
    times = [k / 25 if k < 20 else 100 + k / 25 for k in range(48)]
    clips = feed(ClipAssembler(fps=None, counted=True), times)
    assert [clip.start for clip in clips] == [times[0], times[16], times[32]]
    assert clips[1].end == pytest.approx(times[31] + 0.04)


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.2])
def test_a_slow_camera_with_jitter_makes_clips(rate: float) -> None:
    times = [(k + 0.05 * (-1) ** k) / rate for k in range(16 * 4 + 3)]
    clips = feed(ClipAssembler(), times)
    assert len(clips) >= 4
    assert clips[0].end - clips[0].start == pytest.approx(16 / rate, rel=0.05)


def test_a_camera_that_is_too_slow_makes_none() -> None:
    assert feed(ClipAssembler(), [k * 8.0 for k in range(100)]) == []


def test_a_slow_camera_that_pauses_begins_a_new_clip() -> None:
    assembler = ClipAssembler()
    assert len(feed(assembler, [float(k) for k in range(40)])) == 2
    assert assembler.broken_clips == 0
    feed(assembler, [50.0 + k for k in range(5)])
    assert assembler.broken_clips == 1


def test_the_camera_clock_sees_through_the_opening_burst() -> None:
    # The camera ran from 1000 on. The first second came as a burst at 1001.0, then frames 0.05 s late.
    clock = CameraClock()
    for k in range(25):
        clock.observe(k / 25, 1001.0)
    for k in range(25, 100):
        clock.observe(k / 25, 1000.05 + k / 25)
    assert clock.arrived(2.0) == pytest.approx(1002.04, abs=0.02)


@pytest.mark.parametrize("sent", [21.0, 24.0, 24.99, 25.0, 27.0, 30.0])
def test_a_camera_that_stamps_25_and_sends_otherwise(sent: float) -> None:
    rng = np.random.default_rng(0)
    clock = CameraClock()
    late = 0.0
    for k in range(int(sent * 120)):
        true = 1000 + k / sent
        late = max(late, true + float(rng.exponential(0.03)), 1000.6)  # in order; a burst at first
        if 2000 < k < 2060:
            late = max(late, 1000 + 2060 / sent)  # a pause of the network of 3 s
        clock.observe(k / 25, late)
        assert abs(clock.arrived(k / 25) - true) < 1.0
        assert abs(clock.arrived((k - 40) / 25) - (true - 40 / sent)) < 1.0
        if k > sent * 20:
            assert abs(clock.arrived(k / 25) - true) < 0.3


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_camera_clock_that_jumps_is_followed_at_once(jump: float) -> None:
    clock = CameraClock()
    for k in range(50):
        clock.observe(k / 25, 1000 + k / 25)
    clock.observe(50 / 25 + jump, 1002.0)
    assert clock.arrived(50 / 25 + jump) == pytest.approx(1002.0)


def test_the_camera_clock_before_the_first_picture() -> None:
    with pytest.raises(ValueError, match="no picture"):
        CameraClock().arrived(0.0)
