"""Which cameras a canary scores, with which alarm rule, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig
from stream.watch.canary_camera import SPAN, CanaryCamera, LiveClip, chosen, for_bundle

CAMERAS = [f"cam{number}" for number in range(2_000)]
RULE = AlarmSettings(0.8, 0.6, min_duration=1.0, cool_down=0.0, merge_gap=0.0)
CONFIG = CameraConfig(Source("door", "rtsp://h/1", live=True), RULE)
LIVE, CANARY = ModelName("old", "0" * 64, "openvino"), ModelName("new", "1" * 64, "openvino")
SHIFT = 1_000_000.0  # of the wall clock
FEATURE = np.ones((1, 4), np.float32)


def test_the_choice_of_cameras_depends_on_their_names_alone() -> None:
    found = chosen(CAMERAS, 0.1)
    assert len(found) == pytest.approx(200, abs=45)  # three standard deviations
    assert found == chosen(CAMERAS[::-1], 0.1)
    some = set(CAMERAS[:1_000])
    assert chosen(some, 0.1) == found & some  # whoever else is there
    assert found < chosen(CAMERAS, 0.3) < chosen(CAMERAS, 1.0) == set(CAMERAS)


def test_at_least_one_camera_is_chosen_and_none_of_none() -> None:
    assert len(chosen(["door", "yard", "gate"], 1e-9)) == 1
    assert chosen([], 1.0) == set()


def test_settings_of_the_bundle_are_the_canarys_and_those_of_the_user_stay() -> None:
    live, canary = AlarmSettings(0.8, 0.6, min_duration=1.5), AlarmSettings(0.9, 0.45, min_duration=2.0)
    assert for_bundle(live, live, canary) == replace(canary, notices_per_day=0.0)
    fixed = for_bundle(live.with_threshold(0.4), live, canary)
    assert (fixed.threshold_on, fixed.min_duration) == (0.4, 2.0)
    assert fixed.threshold_off == pytest.approx(0.2)
    assert not fixed.learnt
    own = replace(live, threshold_on=0.7, threshold_off=0.1, min_duration=3.0, cool_down=60.0)
    assert for_bundle(own, live, canary) == replace(own, notices_per_day=0.0)


class Scored:
    """A camera for which the canary scores one clip a second."""

    def __init__(self) -> None:
        self.camera = CanaryCamera(CONFIG, LIVE, CANARY, None, lambda at: at + SHIFT)

    def clip(self, at: float, live: float, canary: float | None, *, window: int = 0, connects: bool = False) -> int:
        """`window`: the live one's; 0: as long as the canary's. Returns the length of the canary's."""
        given = LiveClip(CONFIG, ClipReady(0, int(at), at, at + 1, 0.0, 0), live, window, connects)
        self.camera.begin(given)
        if canary is None:
            self.camera.skip(given)
            return 0
        found = self.camera.push(given, FEATURE)
        row = np.full(len(found), canary, np.float32)
        self.camera.scored(replace(given, window=window or len(found)), row)
        return len(found)


def test_a_span_counts_pairs_gaps_and_alarms() -> None:
    door = Scored()
    scores = [(0.25, 0.5), (0.875, 0.875), (1, 0.75), (0.2, None), (0.2, None), (0.25, 0.125), (0.3, None), (0.5, 0)]
    for at, (live, canary) in enumerate(scores):
        door.clip(at, live, canary)
    span = door.camera.flush()
    assert span is not None
    assert (span.camera, span.start, span.end) == ("door", SHIFT, SHIFT + 8)
    assert (span.live, span.canary, span.bundles) == ("old", "new", ("0" * 64, "1" * 64))
    assert (span.scored, span.skipped, span.seconds) == (5, 3, 5.0)
    assert span.pairs.clips == 5
    assert span.pairs.mean_difference == (0.25 + 0 + 0.25 + 0.125 + 0.5) / 5
    assert (span.pairs.furthest, span.pairs.furthest_at) == (0.5, SHIFT + 7)
    assert span.gaps == ((SHIFT + 3, SHIFT + 5), (SHIFT + 6, SHIFT + 7))
    assert span.alarms == ((SHIFT + 1, SHIFT + 5, 0.875),)
    assert door.camera.flush() is None


def test_an_alarm_that_is_open_is_in_both_spans_and_begins_at_one_time() -> None:
    door = Scored()
    for at in range(3):
        door.clip(at, 0.9, 0.875)
    first = door.camera.flush("BackendError: no memory")
    for at, canary in ((3, 0.9375), (4, 0.1)):
        door.clip(at, 0.9, canary)
    second = door.camera.flush()
    assert first is not None
    assert second is not None
    assert first.alarms == ((SHIFT, SHIFT + 3, 0.875),)
    assert second.alarms == ((SHIFT, SHIFT + 4, 0.9375),)
    assert (first.fault, second.fault) == ("BackendError: no memory", "")


def test_the_window_starts_empty_where_the_live_one_does_and_after_a_long_gap() -> None:
    door = Scored()
    assert [door.clip(at, 0.125, 0.125) for at in range(3)] == [1, 2, 3]
    assert door.clip(3, 0.125, 0.125, connects=True) == 1
    assert door.clip(20, 0.125, 0.125) == 2
    assert door.clip(60, 0.125, 0.125) == 1
    assert door.clip(61, 0.1, 0.9, window=9) == 2  # another window: the scores are not compared
    span = door.camera.flush()
    assert span is not None
    assert (span.scored, span.pairs.clips, span.pairs.furthest) == (7, 6, 0.0)


def test_a_span_is_due_after_ten_minutes() -> None:
    door = Scored()
    due = []
    for at in range(int(SPAN) + 1):
        door.clip(at, 0.1, 0.1)
        due.append(door.camera.due)
    assert due.index(True) == SPAN - 1
