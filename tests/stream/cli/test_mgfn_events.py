"""`mgfn-events list`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stream.alarm.event import Event, Label, ModelName, Moment
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period, Schedule
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.base.errors import UsageError
from stream.cli import mgfn_events as events_cli
from stream.cli.event_reports import print_reproduction
from stream.cli.looking_back import duration
from stream.lookback import history
from stream.lookback.reproduction import Reproduction


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-events", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        events_cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Store.open(tmp_path) as store:
        for age, right in ((2 * 86_400.0, True), (60.0, False)):
            event = Event.begun("door", time.time() - age, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
            store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
            store.events.add(event.end(None, event.start_time + 4.5, "score"), 1.0, awaits_files=False)
            if right:
                store.events.judge("door", event.id, "true")
    return tmp_path


@pytest.fixture
def scored(two_days: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_days, tmp_path, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of scores up to now: a burst of 0.9 every six hours, one of them in an alarm called true."""
    data = tmp_path_factory.mktemp("scored")
    began = time.time() - 2 * 86_400
    rows = []
    for index in range(2 * 86_400):
        score = 0.9 if index % 21_600 in range(600, 605) else 0.1
        rows.append(LoggedScore(began + index, began + index + 1, score, 32))
    with Store.open(data) as store, store.transaction():
        for first in range(0, len(rows), 60):
            store.scores.add("door", pack(rows[first : first + 60]))
        event = Event.begun("door", began + 600, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
        store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
        store.events.add(event.end(None, event.start_time + 5, "score"), 1.0, awaits_files=False)
        store.events.judge("door", event.id, "true")
    return data


@pytest.mark.slow
def test_what_if_answers_from_stored_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: Path
) -> None:
    def alarms(*arguments: object) -> int:
        assert run(monkeypatch, "what-if", "--data", scored, "--json", *arguments) == 0
        return len(json.loads(capsys.readouterr().out)["alarms"])

    assert alarms("--threshold", 0.7, "--min-duration", 2) == 8
    assert alarms("--threshold", 0.7, "--since", "1d") == 4
    assert alarms("--threshold", 0.95) == 0
    assert alarms("--threshold", 0.7, "--min-duration", 6) == 0
    assert run(monkeypatch, "what-if", "--data", scored, "--threshold", 0.7) == 0
    assert "door: 8 alarms in 2.00 scored days" in capsys.readouterr().out


def test_a_threshold_is_suggested_and_only_applied_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: Path
) -> None:
    assert run(monkeypatch, "suggest-threshold", "--per-day", 1, "--data", scored) == 0
    assert "proposed: 0.9" in (said := capsys.readouterr().out)
    assert "of 1 alarms marked as true, 0 are kept; missed:" in said
    with Store.read_only(scored) as store:
        assert store.settings.all() == {}
    with Store.open(scored):  # as mgfn-stream holds it
        assert run(monkeypatch, "suggest-threshold", "--per-day", 4, "--data", scored, "--apply", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["applied"] is True
    assert answer["proposal"]["threshold"] < 0.9
    assert answer["proposal"]["low"] <= answer["proposal"]["per_day"] <= answer["proposal"]["high"]
    with Store.read_only(scored) as store:
        kept = store.settings.all()["door"]
    assert float(kept["threshold"]) == answer["proposal"]["threshold"]
    assert json.loads(kept["budget"])["per_day"] == answer["proposal"]["per_day"]
    with Store.open(scored) as store:
        now = time.time()
        promised = json.loads(kept["budget"]) | {"high": 0.0}
        store.settings.set("door", "budget", json.dumps(promised))
        assert "alarms in the last day; at most 0.0" in history.suggest(store, "door", 4, now).misfit
        store.settings.set("door", "threshold", "0.5")  # of another threshold nothing was promised
        assert history.suggest(store, "door", 4, now).misfit == ""


def test_without_scores_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Store.open(tmp_path).close()
    for arguments in (["what-if"], ["suggest-threshold", "--per-day", 2]):
        assert run(monkeypatch, *arguments, "--data", tmp_path) == 0
        assert "no scores" in capsys.readouterr().out


def test_a_schedule_counts_in_every_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: Path
) -> None:
    began = datetime.fromtimestamp(time.time() - 2 * 86_400)
    minute = began.weekday() * 1_440 + began.hour * 60 + began.minute
    first_day = Schedule((Period(minute % 10_080, minute % 10_080 + 1_430),))
    with Store.open(scored) as store:
        store.settings.set("door", "schedule", first_day.as_text())
    assert run(monkeypatch, "what-if", "--data", scored, "--threshold", 0.7) == 0
    assert "door: 4 alarms in 2.00 scored days" in capsys.readouterr().out
    assert run(monkeypatch, "suggest-threshold", "--per-day", 1.6, "--data", scored, "--json") == 0
    proposal = json.loads(capsys.readouterr().out)["proposal"]
    assert proposal["days"] == pytest.approx(2.0, abs=0.01)  # watched, not armed


def test_a_table_and_json_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    assert run(monkeypatch, "list", "--data", data) == 0
    shown = capsys.readouterr().out
    assert "2 events in the last 7d" in shown
    assert "4.5 s" in shown
    assert run(monkeypatch, "list", "--data", data, "--since", "1d", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["camera"], event["type"], event["verdict"], event["clip_bytes"]) == ("door", "end", None, 0)


def test_the_table_says_why_an_event_was_not_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    model = ModelName("b", "0" * 64, "openvino")
    with Store.open(tmp_path) as store:
        capped, like = (Event.begun("door", time.time() - age, (0.8, 0.6), model) for age in (20.0, 10.0))
        capped.suppress("hourly_cap")
        like.suppress("lookalike", "1000.00-abcdef")
        for event in (capped, like):
            store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
    assert run(monkeypatch, "list", "--data", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "anomaly, suppressed: hourly_cap" in shown
    assert "anomaly, suppressed: lookalike of 1000.00-abcdef" in shown


def test_an_alarm_is_acknowledged_beside_a_running_program_and_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with Store.open(data) as store:  # as mgfn-stream holds it
        event = store.events.since(0.0)[1].message
        assert run(monkeypatch, "ack", event.id, "--by", "anna b", "--data", data) == 0
        told = store.settings.all()[event.camera]["ack"].split(" ", 2)
        assert (told[0], told[2]) == (event.id, "anna b")
        assert store.events.since(0.0)[1].message == event  # the running program does it
    for name in ("anna", "ben"):
        assert run(monkeypatch, "ack", event.id, "--by", name, "--data", data) == 0
    with Store.open(data) as store:
        answer = store.events.since(0.0)[1].message
        assert answer.acknowledged is not None
        assert (answer.type, answer.seq, answer.acknowledged.by) == ("ack", event.seq + 1, "anna")
        assert store.events.waiting()[-1].payload == answer  # published at the next start
    assert run(monkeypatch, "ack", "1.00-abcdef", "--data", data) == 2
    assert "1.00-abcdef: no such event" in capsys.readouterr().err
    assert run(monkeypatch, "ack", event.id, "--by", "", "--data", data) == 2
    assert "--by: ''; must be 1 to 64 printable characters" in capsys.readouterr().err


def test_a_digest_sums_up_each_camera(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    now, model = time.time(), ModelName("b", "0" * 64, "openvino")
    with Store.open(scored) as store:
        labels: tuple[Label, ...] = ("anomaly", "anomaly", "camera_lost")
        for number, label in enumerate(labels):
            event = Event.begun("door", now - 9_000 + 1_000 * number, (0.8, 0.6), model, label)
            if number == 1:
                event.suppress("snooze")
            store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
            store.events.add(event.end(None, event.start_time + 600, "returned"), 1.0, awaits_files=False)
        test = Event.begun("yard", now - 50, (0.8, 0.6), model, test=True)
        store.events.add(test.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
    assert run(monkeypatch, "digest", "--since", "3d", "--data", scored, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()  # a test is nobody's alarm
    assert json.loads(line) == {
        "camera": "door", "alarms": 2, "true": 1, "false_alarms": 0, "unanswered": 1, "notices": 0, "suppressed": 1,
        "lost": 1, "lost_seconds": 600.0, "days": pytest.approx(2.0, abs=0.01), "not_true": 1,
        "budget": pytest.approx(2.0, abs=0.01), "budget_kept": True,
    }  # fmt: skip
    with Store.open(scored) as store:
        rule = asdict(AlarmSettings(0.8, 0.6, false_alarms_per_day=0.0))
        store.settings.set("door", "alarm", json.dumps(rule))
    assert run(monkeypatch, "digest", "--since", "3d", "--data", scored) == 0
    shown = capsys.readouterr().out
    assert "NOT KEPT: 1 alarms not marked true, 0 allowed" in shown
    assert "1 times, 10 min" in shown
    assert run(monkeypatch, "digest", "--since", "yesterday", "--data", scored) == 2
    assert "--since yesterday: must be a number with a unit" in capsys.readouterr().err


def test_a_verdict_is_given_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with Store.open(data) as store:  # as mgfn-stream holds it
        event_id = store.events.since(0.0)[1].message.id
        for said, kept in (("false_alarm", "false_alarm"), ("none", None)):
            assert run(monkeypatch, "verdict", event_id, said, "--data", data) == 0
            assert store.events.since(0.0)[1].verdict == kept
    capsys.readouterr()
    assert run(monkeypatch, "audit", "--json", "--data", data) == 0
    noted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(n["via"], n["what"], n["value"]) for n in noted] == [
        ("command line", "verdict", f"{event_id} false_alarm"), ("command line", "verdict", f"{event_id} withdrawn")
    ]  # fmt: skip
    assert noted[0]["who"]
    assert run(monkeypatch, "audit", "--data", data) == 0
    assert "2 changes in the last 7d" in capsys.readouterr().out
    assert run(monkeypatch, "verdict", "1.00-abcdef", "true", "--data", data) == 2
    assert "1.00-abcdef: no such event" in capsys.readouterr().err
    assert run(monkeypatch, "verdict", event_id, "wrong", "--data", data) == 2
    assert "wrong: must be true, false_alarm or none" in capsys.readouterr().err


def test_times_are_those_of_the_sites_zone_in_order_and_a_cut_alarm_lasted_longer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    zone, began = ZoneInfo("Asia/Kathmandu"), time.time() - 3_600
    model = ModelName("b", "0" * 64, "openvino")
    with Store.open(tmp_path) as store:
        event = Event.begun("door", began, (0.8, 0.373015873), model, zone=zone)
        store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
        store.events.add(event.end(None, began, "restart"), 1.0, awaits_files=False)
        for camera, burst in (("a", 500), ("b", 100)):
            rows = [
                LoggedScore(began + i, began + i + 1, 0.9 if burst <= i < burst + 5 else 0.1, 32) for i in range(600)
            ]
            store.scores.add(camera, pack(rows))
            store.settings.set(camera, "schedule", Schedule((), zone).as_text())
    assert run(monkeypatch, "list", "--data", tmp_path) == 0
    said = capsys.readouterr().out
    assert "+05:45" in said
    assert "at least 0.0 s" in said
    assert run(monkeypatch, "list", "--data", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["threshold_off"] == 0.373
    assert run(monkeypatch, "what-if", "--data", tmp_path, "--threshold", 0.7) == 0
    said = capsys.readouterr().out
    assert said.count("+05:45") == 2
    assert said.index("b  ") < said.index("a  ")
    assert "a: 1 alarms in 0.17 scored hours" in said


def test_the_site_file_says_where_the_data_is_and_needs_none_of_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"data: {data}\ncameras: {{a: {{url: 'rtsp://{{MGFN_NOWHERE}}@h/1'}}}}\n")
    assert run(monkeypatch, "list", "--config", site) == 0
    assert "2 events in the last 7d" in capsys.readouterr().out
    assert run(monkeypatch, "list", "--config", site, "--data", tmp_path / "other") == 2
    assert f"--data {tmp_path / 'other'}: holds no events.db" in capsys.readouterr().err


def test_a_damaged_database_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: Path
) -> None:
    database = scored / "events.db"
    content = bytearray(database.read_bytes())
    content[4_096:] = b"\x7f" * (len(content) - 4_096)
    database.write_bytes(content)
    for arguments in (["list"], ["what-if"], ["suggest-threshold", "--per-day", 2], ["reproduce", "1000.00-abcdef"]):
        assert run(monkeypatch, *arguments, "--data", scored) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--data {scored}: the database cannot be read" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--config", "/none.yaml"], "/none.yaml: cannot be read: No such file"),
        (["list", "--since", "7"], "--since 7: must be a number with a unit"),
        (["list", "--since", "-1d"], "--since -1d"),
        (["list", "--data", "/nowhere"], "--data /nowhere: holds no events.db"),
        (["list", "--colour"], "--colour"),
        (["lst"], "lst"),
        (["what-if", "--threshold", "1.5"], "--threshold 1.5: must be from 0 to 1"),
        (["what-if", "--min-duration", "-1"], "--min-duration -1.0: must be from 0 to 3600"),
        (["what-if", "--since", "9"], "--since 9"),
        (["suggest-threshold", "--per-day", "0"], "--per-day 0: must be above 0"),
        (["suggest-threshold"], "--per-day"),
        (["suggest-threshold", "--per-day", "2", "--data", "/nowhere"], "holds no events.db"),
    ],
)
def test_wrong_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_another_arithmetic_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = Reproduction(0.7, 0.7, "onnxruntime", "openvino-int8", 2e-2, 8, 0.07, 0.004, 0.674, "", False, 0.003, 2e-2)
    print_reproduction(found)
    said = capsys.readouterr().out
    assert "THEY DIFFER" in said
    assert "scored in int8, but this engine computes in float32" in said
    assert "--backend openvino-int8 uses the same arithmetic" in said
    print_reproduction(replace(found, recorded_backend="openvino"))
    assert "the same arithmetic" not in capsys.readouterr().out


def test_a_clip_that_was_encoded_again_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = Reproduction(0.7, 0.7, "openvino", "openvino", 1e-3, 8, 0.4, 0.09, 0.3, "", True, 0.008, 3e-2)
    print_reproduction(found)
    said = capsys.readouterr().out
    assert "The saved clip was encoded again (masks). Its frames only resemble" in said
    assert "median of 1 - cosine 0.008, tolerance 0.03" in said
    assert "they agree" in said
    assert not replace(found, typical_distance=0.04).agrees
    assert not replace(found, again=0.69).agrees
    assert not replace(found, encoded_again=False).agrees
    print_reproduction(replace(found, compared=0, from_pictures=None, no_pictures="the event's clip is not stored"))
    assert "encoded again" not in capsys.readouterr().out


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "list", "--help") == 0
    assert "Example: mgfn-events list" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("90m", 5_400.0), ("1.5h", 5_400.0), ("7d", 604_800.0), ("2w", 1_209_600.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text, "--since") == seconds


@pytest.mark.parametrize("text", ["", "d", "7 d", "7days", "1e3d", "-7d", "٧d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="must be a number with a unit"):
        duration(text, "--since")
