"""Stamps of a camera to times, told as time lines: what is right is known beforehand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stream.camera.timeline import RecordedTimeline, Timeline


def placed(stamps: list[float | None], arrivals: list[float], **settings: bool) -> list[float]:
    timeline = Timeline(**settings)
    return [timeline.place(stamp, arrival) for stamp, arrival in zip(stamps, arrivals, strict=True)]


def at_25(pictures: int) -> list[float]:
    return [k / 25 for k in range(pictures)]


def test_right_stamps_are_left_as_they_are() -> None:
    true = at_25(500)
    assert placed([50 + time for time in true], [900 + time for time in true]) == [50 + time for time in true]


@pytest.mark.parametrize("slip", [7600.0, -9800.0, 3.0, -0.5, 1.2])
@pytest.mark.parametrize("every", [50, 7])
def test_a_stamp_that_slips_is_corrected_from_its_neighbours(slip: float, every: int) -> None:
    true = at_25(500)
    stamps = [time + (slip if k % every == every - 1 else 0) for k, time in enumerate(true)]
    assert placed([*stamps], true) == pytest.approx(true, abs=0.002)


@pytest.mark.parametrize("unit", [0.1, 0.2, 1.0])
def test_coarse_stamps_that_repeat_are_spread_over_their_arrivals(unit: float) -> None:
    true = at_25(1000)
    times = placed([int(time / unit + 1e-6) * unit for time in true], [900 + time for time in true])
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times == pytest.approx(true, abs=min(1.2 * unit, 0.3))


def test_two_slips_on_end_begin_no_new_timeline() -> None:
    true = at_25(500)
    stamps = [time + (7600 if k % 50 in (48, 49) else 0) for k, time in enumerate(true)]
    assert placed([*stamps], true) == pytest.approx(true, abs=0.002)


def test_slips_to_anywhere_are_corrected() -> None:
    rng = np.random.default_rng(1)
    true = at_25(1000)
    stamps = [time + (float(rng.uniform(-40_000, 40_000)) if rng.random() < 0.1 else 0) for time in true[1:]]
    assert placed([0.0, *stamps], true) == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 2.0, -0.4])
def test_a_clock_that_was_set_goes_on_without_a_gap(jump: float) -> None:
    true = at_25(500)
    stamps = [time + (jump if k >= 200 else 0) for k, time in enumerate(true)]
    assert placed([*stamps], true) == pytest.approx(true, abs=0.002)


@pytest.mark.parametrize("gap", [1.5, 4.0, 60.0])
def test_a_gap_that_passed_here_too_is_one(gap: float) -> None:
    true = [time + (gap if k >= 200 else 0) for k, time in enumerate(at_25(400))]
    assert placed([*true], [time + 0.1 for time in true]) == pytest.approx(true, abs=0.002)


def test_a_burst_after_a_pause_of_the_network_changes_nothing() -> None:
    true = at_25(1000)
    arrivals = [max(time, 20.0) if time > 12 else time for time in true]
    assert placed([*true], arrivals) == true


def test_b_frames_in_the_order_of_decoding() -> None:
    shown = list(itertools.chain.from_iterable((k + 3, k + 1, k + 2) for k in range(0, 300, 3)))
    stamps = [k / 25 for k in shown]
    assert placed([*stamps], at_25(300), reordered=True) == pytest.approx(stamps)


@pytest.mark.parametrize("fps", [25.0, 5.0, 0.5])
def test_stamps_that_stand_still_give_way_to_arrival(fps: float) -> None:
    arrivals = [1000 + k / fps for k in range(200)]
    times = placed([7.0] * 200, arrivals)
    assert times == pytest.approx([7 + k / fps for k in range(200)], abs=0.01)


def test_no_stamps_give_way_to_arrival() -> None:
    assert placed([None] * 100, [10 + t for t in at_25(100)]) == pytest.approx(at_25(100), abs=0.01)


def test_the_first_picture_of_rtsp_carries_no_stamp() -> None:
    times = placed([None, *at_25(100)], [5.0 + 0.04 * k for k in range(101)])
    assert times == pytest.approx(at_25(101), abs=0.01)


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0, 10.0])
def test_stamps_of_another_speed_than_pictures_arrive_are_given_up(speed: float) -> None:
    arrivals = [100 + time for time in at_25(1000)]
    times = placed([time * speed for time in at_25(1000)], arrivals)
    assert times[900] - times[600] == pytest.approx(300 / 25, abs=0.05)


@pytest.mark.parametrize("sent", [21.0, 25.0, 29.0])
def test_stamps_of_nearly_the_right_speed_are_kept(sent: float) -> None:
    stamps = at_25(1000)
    assert placed([*stamps], [k / sent for k in range(1000)]) == stamps


@pytest.mark.parametrize("fps", [1.0, 0.2])
def test_a_slow_camera_with_jitter(fps: float) -> None:
    true = [(k + 0.05 * (-1) ** k) / fps for k in range(40)]
    assert placed([None, *true[1:]], [time + 10 for time in true])[2:] == pytest.approx(true[2:], rel=0.1)


def recorded(stamps: list[float | None], **settings: bool) -> list[float]:
    timeline = RecordedTimeline(0.04, **settings)
    return [timeline.place(stamp) for stamp in stamps]


def test_a_recording_of_avi_counts() -> None:
    assert recorded([0.04, 0.12, 0.16, 0.08], ordered=False) == pytest.approx([0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize("slip", [7600.0, -9800.0, -0.04, -0.2])
def test_a_slip_in_a_recording(slip: float) -> None:
    stamps = [time + (slip if k % 50 == 49 else 0) for k, time in enumerate(at_25(300))]
    assert recorded([*stamps]) == pytest.approx(at_25(300))


def test_a_gap_in_a_recording_stays_and_a_clock_set_back_goes_on() -> None:
    gap = [time + (100 if k >= 50 else 0) for k, time in enumerate(at_25(100))]
    assert recorded([*gap])[60:] == pytest.approx(gap[60:])
    back = [time - (1 if k >= 50 else 0) for k, time in enumerate(at_25(100))]
    assert recorded([*back]) == pytest.approx(at_25(100))
