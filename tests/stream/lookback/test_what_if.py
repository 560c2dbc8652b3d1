"""A replay of stored scores decides as the live rule does, clip by clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.schedule import Period, Schedule
from stream.archive.score_log import LoggedScore, ScoreColumns, columns, pack, unpack
from stream.base.addresses import Source
from stream.base.errors import Reason
from stream.camera.clips import Stride
from stream.camera.messages import CameraState, ClipReady, StateChanged
from stream.lookback.what_if import WouldBe, alarms
from stream.settings.settings import CameraConfig
from stream.watch.watched_camera import WatchedCamera

CLIP = 0.64


def history(
    scores: list[float],
    connects: frozenset[int] = frozenset(),
    start: float = 1_795_000_000.0,
    set_back: frozenset[int] = frozenset(),
) -> bytes:
    rows, window = [], 0
    for index, score in enumerate(scores):
        window = 1 if index in connects else min(32, window + 1)
        at = start + index * CLIP - 20.0 * sum(before <= index for before in set_back)
        rows.append(LoggedScore(at, at + CLIP, score, window, index in connects or index == 0))
    return pack(rows)


def clip_by_clip(chunk: bytes, rule: AlarmRule) -> list[WouldBe]:
    found, last_end = [], 0.0
    for index, row in enumerate(unpack(chunk)):
        start, top = rule.start_time or 0.0, rule.top_score
        if row.connects and index and rule.end(last_end):
            found.append(WouldBe(start, rule.end_time, top))
        last_end = row.end
        if rule.advance(ScoredClip(row.start, row.end, row.score)) is Change.ENDED:
            found.append(WouldBe(start, rule.end_time, top))
    if rule.active and rule.start_time is not None:
        found.append(WouldBe(rule.start_time, None, rule.top_score))
    return found


def as_live(
    scores: list[float],
    connects: frozenset[int],
    set_back: frozenset[int],
    disabled: frozenset[int],
    rule: AlarmSettings,
    stride: Stride,
) -> tuple[bytes, list[WouldBe]]:
    """What the scoring loop's camera makes of the clips, and what it has stored of them."""
    camera = WatchedCamera(CameraConfig(Source("door", "x", live=False), rule, stride=stride), ModelName("b", "0", "x"))
    rows, found, connection, number = [], [], 0, 0
    for index, score in enumerate(scores):
        was_open, start, top = (
            camera.alarm.event is not None,
            camera.alarm.rule.start_time or 0.0,
            camera.alarm.rule.top_score,
        )
        if index in connects or index in disabled:
            if index in connects:
                camera.changed(StateChanged(CameraState.OFFLINE, connection, Reason.STALLED))
            else:
                camera.set_enabled(False, 0.0)
            camera.alarm.close("camera_lost")
            if was_open and not camera.alarm.rule.capped:
                found.append(WouldBe(start, camera.alarm.rule.end_time, top))
        if index in connects:
            connection, number = connection + 1, 0
            camera.changed(StateChanged(CameraState.ONLINE, connection))
        camera.set_enabled(True, 0.0)
        at = 1_795_000_000 + index * stride / 25 - 20.0 * sum(before <= index for before in set_back)
        clip = ClipReady(connection, number, at, at + CLIP, 0.0, 0)
        camera.push(clip, np.zeros((1, 4), np.float32))
        window: Any = np.full(len(camera.window), round(score * 65_535) / 65_535)  # as stored, else 0.65 is not 0.65
        scored = camera.scored(clip, window, lambda window: np.zeros(len(window), np.float32))
        if scored.change is Change.ENDED and not camera.alarm.rule.capped:
            found.append(WouldBe(start, camera.alarm.rule.end_time, top))
        rows.append(LoggedScore(at, at + CLIP, scored.score, scored.window, scored.connects))
        number += 1
    if camera.alarm.active and camera.alarm.rule.start_time is not None:
        found.append(WouldBe(camera.alarm.rule.start_time, None, camera.alarm.rule.top_score))
    return pack(rows), found


@pytest.mark.slow
@settings(max_examples=300)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.5, 0.65, 0.85, 0.95]), min_size=1, max_size=150),
    connects=st.frozensets(st.integers(1, 149), max_size=3),
    set_back=st.frozensets(st.integers(1, 149), max_size=2),
    disabled=st.frozensets(st.integers(1, 149), max_size=2),
    on=st.sampled_from([0.0, 0.6, 0.8, 0.93, 1.0]),
    # no multiples of a clip's length: stored times are rounded
    rule=st.builds(
        dict, min_duration=st.sampled_from([0.0, 1.0, 2.5]), cool_down=st.sampled_from([0.0, 2.1, 10.1]),
        merge_gap=st.sampled_from([0.0, 1.3, 3.1]), hourly_cap=st.integers(1, 60),
    ),
    stride=st.sampled_from([4, 8, 16]),
)  # fmt: skip
@example([0.1, 0.65, 0.1, 0.65, 0.1, 0.1], frozenset([3]), frozenset(), frozenset(), 0.6,
         {"min_duration": 0.0, "cool_down": 0.0, "merge_gap": 3.1, "hourly_cap": 1}, 16)  # fmt: skip
@example([0.95] * 40, frozenset([20]), frozenset(), frozenset([30]), 0.8,
         {"min_duration": 1.0, "cool_down": 0.0, "merge_gap": 1.3, "hourly_cap": 60}, 4)  # fmt: skip
def test_the_same_alarms_as_live(
    scores: list[float],
    connects: frozenset[int],
    set_back: frozenset[int],
    disabled: frozenset[int],
    on: float,
    rule: dict[str, Any],
    stride: Stride,
) -> None:
    settings_ = AlarmSettings(on, on * 0.75, **rule)
    chunk, live = as_live(scores, connects, set_back, disabled, settings_, stride)
    would = alarms(columns([chunk]), settings_)
    assert len(would) == len(live)
    for alarm, rang in zip(would, live, strict=True):
        assert (alarm.start, alarm.top_score) == pytest.approx((rang.start, rang.top_score), abs=1e-3)
        assert (alarm.end is None) == (rang.end is None)
        assert (alarm.end or 0.0) == pytest.approx(rang.end or 0.0, abs=1e-3)


def test_an_enabled_camera_follows_nothing() -> None:
    camera = WatchedCamera(
        CameraConfig(Source("door", "x", live=False), AlarmSettings(0.8, 0.6)), ModelName("b", "0", "x")
    )
    connects = []
    for number in range(4):
        clip = ClipReady(0, number, number, number + 1, 0.0, 0)
        camera.push(clip, np.zeros((1, 4), np.float32))
        scored = camera.scored(clip, np.zeros(1, np.float32), lambda window: np.zeros(len(window), np.float32))
        connects.append(scored.connects)
        if number == 1:
            camera.set_enabled(False, 0.0)
            camera.set_enabled(True, 0.0)
    assert connects == [True, False, True, False]


@pytest.mark.slow
def test_off_schedule_there_would_have_been_none_as_live() -> None:
    schedule = Schedule(tuple(Period(minute, minute + 2) for minute in range(0, 7 * 24 * 60, 5)))
    rule = AlarmSettings(0.8, 0.6, 1.0, 5.0, 2.0)
    config = CameraConfig(Source("door", "x", live=False), rule, schedule=schedule)
    camera = WatchedCamera(config, ModelName("b", "0", "x"))
    levels = np.random.default_rng(1).choice([0.1, 0.7, 0.9], 400, p=[0.4, 0.2, 0.4])
    chunk, said = history(np.repeat(levels, 8).tolist()), []
    for number, row in enumerate(unpack(chunk)):
        clip = ClipReady(0, number, row.start, row.end, 0.0, 0)
        camera.push(clip, np.zeros((1, 4), np.float32))
        scores = np.full(len(camera.window), row.score)
        said.append(camera.scored(clip, scores, lambda window: np.zeros(len(window), np.float32)).event)
    said.append(camera.alarm.close("stopped"))
    rang = [(e.start_time, e.end_time, e.top_score) for e in said if e is not None and e.type == "end"]
    kept = columns([chunk])
    would = alarms(kept.armed(schedule.covered(kept.starts)), rule)
    assert len(rang) >= 20
    assert len(alarms(kept, rule)) > len(rang)
    for (start, end, top), alarm in zip(rang, would, strict=True):
        assert (alarm.start, alarm.end or end) == pytest.approx((start, end), abs=1e-3)
        assert alarm.top_score == pytest.approx(top, abs=1e-3)


def test_two_incidents_and_one_that_is_still_open() -> None:
    scores = [0.1] * 50 + [0.9] * 3 + [0.1] * 60 + [0.85, 0.97, 0.9] + [0.1] * 60 + [0.9] * 4
    first, second, third = alarms(columns([history(scores)]), AlarmSettings(0.8, 0.6))
    assert first.start == pytest.approx(1_795_000_000 + 50 * CLIP, abs=1e-3)
    assert first.end == pytest.approx(1_795_000_000 + 53 * CLIP, abs=1e-3)
    assert second.top_score == pytest.approx(0.97, abs=1e-4)
    assert third.end is None


def test_a_clock_that_was_set_back_changes_nothing_but_time() -> None:
    now, earlier = history([0.9] * 4 + [0.1] * 20), history([0.1] * 5 + [0.9] * 5, start=1_794_990_000.0)
    both = columns([now, earlier])
    rows = [*unpack(now), *unpack(earlier)]
    expected = clip_by_clip(pack(rows), AlarmRule(AlarmSettings(0.8, 0.6)))
    assert alarms(both, AlarmSettings(0.8, 0.6)) == expected


def test_nothing_above_and_nothing_at_all() -> None:
    assert alarms(columns([]), AlarmSettings(0.8, 0.6)) == []
    assert alarms(columns([history([0.1, 0.2])]), AlarmSettings(0.8, 0.6)) == []


def test_columns_are_what_single_chunks_hold() -> None:
    rng = np.random.default_rng(0)
    chunks = [history(list(rng.random(n)), start=1_795_000_000.0 + 100 * i) for i, n in enumerate((94, 93, 94, 1))]
    found = columns(chunks)
    assert [found.row(i) for i in range(len(found))] == [row for chunk in chunks for row in unpack(chunk)]
    inside = found.between(1_795_000_100.0, 1_795_000_200.0)
    assert len(inside) == 93
    assert isinstance(inside, ScoreColumns)
    for damaged in (b"", chunks[0][:20], chunks[0][:10] + chunks[1][10:]):
        assert columns([chunks[1], damaged]).starts.tolist() == columns([chunks[1]]).starts.tolist()
