"""What is said of a canary, from stored spans and alarms."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.archive.canary_store import CanarySpan, Pairs
from stream.archive.erasure import erase
from stream.archive.retention import DAY
from stream.archive.store import Store
from stream.cli import mgfn_events
from stream.lookback.canary import Comparison, compare, found_in

MODEL = ModelName("old", "0" * 64, "openvino")
BEGAN = float(int(time.time() - 3 * DAY))
SPAN = CanarySpan("door", BEGAN, BEGAN + 1_000, "old", "0" * 64, "new", "1" * 64, scored=1_000, seconds=2 * DAY)


def alarm(store: Store, camera: str, start: float, end: float, suppressed: str | None = None) -> str:
    event = Event.begun(camera, start, (0.8, 0.6), MODEL)
    if suppressed is not None:
        event.suppress(suppressed)  # type: ignore[arg-type]
    store.events.add(event.new(Moment(0.9, 0.9, 32, start)), 1.0, awaits_files=False)
    store.events.add(event.end(None, end, "score"), 1.0, awaits_files=False)
    return event.id


def compared(store: Store) -> Comparison:
    return compare(found_in(store, BEGAN - 1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.in_memory(tmp_path)


def test_sums_of_pairs_give_correlation_and_differences() -> None:
    rng = np.random.default_rng(0)
    live, canary = rng.random(500), rng.random(500)
    canary = (live + canary) / 2
    parts = [Pairs(), Pairs()]
    for at, (one, other) in enumerate(zip(live.tolist(), canary.tolist(), strict=True)):
        parts[at // 300] += Pairs.of(one, other, at)
    together = parts[0] + parts[1]
    assert together.correlation == pytest.approx(np.corrcoef(live, canary)[0, 1])
    assert together.mean_difference == pytest.approx(np.abs(live - canary).mean())
    assert together.furthest_at == np.abs(live - canary).argmax()
    assert (Pairs.of(0.5, 0.1, 0.0) + Pairs.of(0.5, 0.9, 1.0)).correlation is None  # the live one does not vary
    assert (Pairs().correlation, Pairs().mean_difference, Pairs().furthest_at) == (None, None, None)


def test_alarms_are_matched_by_time_and_those_that_differ_are_named(store: Store) -> None:
    both = alarm(store, "door", BEGAN + 100, BEGAN + 110)
    gone = alarm(store, "door", BEGAN + 200, BEGAN + 210)
    alarm(store, "door", BEGAN + 300, BEGAN + 310)  # the canary missed most of its clips
    alarm(store, "door", BEGAN + 400, BEGAN + 410, "lookalike")  # not raised
    snoozed = alarm(store, "door", BEGAN + 500, BEGAN + 510, "snooze")  # raised, but for the snooze
    alarm(store, "door", BEGAN + 2_000, BEGAN + 2_010)  # without a canary
    alarm(store, "yard", BEGAN + 100, BEGAN + 110)
    alarms = ((BEGAN + 119, BEGAN + 125, 0.9), (BEGAN + 400, BEGAN + 405, 0.8), (BEGAN + 505, BEGAN + 507, 0.7))
    gaps = ((BEGAN + 202, BEGAN + 203), (BEGAN + 301, BEGAN + 305))
    store.canary.add(replace(SPAN, alarms=alarms, gaps=gaps, skipped=5), 1.0)
    found = compared(store).total
    assert (found.live_alarms, found.canary_alarms, found.both, found.unknown) == (4, 3, 2, 1)
    assert [each.id for each in found.only_live] == [gone]
    assert found.only_canary == (alarms[1],)
    assert {both, snoozed}.isdisjoint(each.id for each in found.only_live)


def test_an_alarm_that_began_with_the_first_clip_counts_although_its_time_is_rounded(store: Store) -> None:
    alarm(store, "door", BEGAN + 0.0004, BEGAN + 10)
    alarm(store, "door", BEGAN - 0.1, BEGAN + 10)  # before the canary
    store.canary.add(replace(SPAN, start=BEGAN + 0.0004), 1.0)
    assert compared(store).total.live_alarms == 1


def test_an_alarm_that_spans_two_rows_counts_once_and_as_long_as_it_lasted(store: Store) -> None:
    alarm(store, "door", BEGAN + 1_100, BEGAN + 1_200)
    store.canary.add(replace(SPAN, alarms=((BEGAN + 990, BEGAN + 1_000, 0.8),)), 1.0)
    more = replace(SPAN, start=BEGAN + 1_000, end=BEGAN + 2_000, alarms=((BEGAN + 990, BEGAN + 1_150, 0.9),))
    store.canary.add(more, 1.0)
    found = compared(store).total
    assert (found.both, found.only_live, found.only_canary, found.canary_alarms) == (1, (), (), 1)
    assert found.seconds == 4 * DAY


def test_only_the_bundles_that_were_compared_last_count(store: Store) -> None:
    older = replace(SPAN, canary="older", canary_sha256="2" * 64, start=BEGAN - 5_000, end=BEGAN - 1)
    for span in (SPAN, older, replace(SPAN, camera="yard")):
        store.canary.add(span, 1.0)
    found = compare(found_in(store, 0.0))
    assert (found.live, found.canary, [each.camera for each in found.cameras]) == ("old", "new", ["door", "yard"])
    assert found.total.scored == 2_000


def test_every_verdict_and_its_next_step(store: Store) -> None:
    def verdict() -> str:
        return " Next: ".join(compared(store).verdict)

    assert verdict().startswith("Nothing is stored:")
    store.canary.add(replace(SPAN, seconds=3_600.0), 1.0)
    assert verdict().startswith("Too early to say: the canary has scored 1.0 hours of each camera on average. Next: ")
    store.canary.add(replace(SPAN, learning=True), 1.0)
    assert "and still learns the threshold of 1 of 1 cameras" in verdict()
    store.canary.add(replace(SPAN, skipped=500), 1.0)
    assert verdict().startswith("The canary could not score 33% of the clips")
    store.canary.add(replace(SPAN, fault="BackendError: no memory"), 1.0)
    assert verdict().startswith("The canary stopped: BackendError: no memory.")
    store.canary.add(SPAN, 1.0)
    assert verdict().startswith("Both bundles raise the same alarms. Next: Make the canary's bundle the live one")
    missed = alarm(store, "door", BEGAN + 200, BEGAN + 210)
    assert verdict().startswith("1 alarms differ: 1 only of the live bundle")
    store.events.judge("door", missed, "true")
    assert verdict().startswith("The canary would have missed 1 of the alarms that were marked as true. Next: Keep")


def test_what_is_old_or_erased_is_gone(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for at, camera in ((BEGAN, "door"), (BEGAN + 1_000, "door"), (BEGAN, "yard"), (BEGAN, "gate")):
            age_from = 1.0 if camera == "gate" else 100.0
            store.canary.add(replace(SPAN, camera=camera, start=at, end=at + 1_000), age_from)
        store.forget(50.0, 0.0, {"yard": 200.0}, [])
        assert [(each.camera, each.start) for each in store.canary.spans(0.0)] == [
            ("door", BEGAN), ("door", BEGAN + 1_000)
        ]  # fmt: skip
        erase(store, "door", BEGAN + 1_500, BEGAN + 1_600, dry=True)
        assert len(store.canary.spans(0.0)) == 2
        erase(store, "door", BEGAN + 1_500, BEGAN + 1_600)
        assert [each.start for each in store.canary.spans(0.0)] == [BEGAN]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-events", "canary", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        mgfn_events.main()
    return int(ended.value.code or 0)


def test_the_command_adds_up_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        with Store.open(tmp_path / name) as store:
            pairs = Pairs.of(0.25, 0.5, BEGAN)
            store.canary.add(replace(SPAN, camera=name, pairs=pairs, alarms=((BEGAN, BEGAN + 7, 0.75),)), 1.0)
    folders = ("--data", tmp_path / "one", "--data", tmp_path / "two")
    assert run(monkeypatch, *folders, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["live"], told["canary"]) == ("old", "new")
    assert [each["camera"] for each in told["cameras"]] == ["one", "two"]
    assert told["total"]["hours"] == 96.0
    assert told["total"]["alarms"]["only_canary"] == 2 * [{"start": BEGAN, "end": BEGAN + 7, "top_score": 0.75}]
    assert told["total"]["scores"]["mean_difference"] == 0.25
    assert run(monkeypatch, *folders) == 0
    shown = capsys.readouterr().out
    assert shown.count("only canary: ") == 2
    assert "live: old, canary: new" in shown
    assert "Next: Look at what happened at these times" in shown
    assert run(monkeypatch, "--data", tmp_path / "none") == 2
    assert "holds no events.db" in capsys.readouterr().err


def test_a_folder_of_an_earlier_release_has_no_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path) as store:
        store._database.execute("DROP TABLE canary")
    assert run(monkeypatch, "--data", tmp_path) == 0
    assert "Name a bundle under `canary`" in capsys.readouterr().out
