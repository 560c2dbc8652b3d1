"""`mgfn-events list`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from stream import events_cli
from stream.errors import UsageError
from stream.events import Event, ModelName, Moment
from stream.store import Store


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-events", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        events_cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Store.open(tmp_path) as store:
        for age, verdict in ((2 * 86_400.0, "true"), (60.0, None)):
            event = Event.begun("door", time.time() - age, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
            store.message(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
            store.message(event.end(None, event.start_time + 4.5, "score"), 1.0, awaits_files=False)
            if verdict is not None:
                store.verdict("door", event.id, verdict)
    return tmp_path


def test_a_table_and_json_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    assert run(monkeypatch, "list", "--data", data) == 0
    shown = capsys.readouterr().out
    assert "2 in the last 7d" in shown
    assert "4.5 s" in shown
    assert run(monkeypatch, "list", "--data", data, "--since", "1d", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["camera"], event["type"], event["verdict"], event["clip_bytes"]) == ("door", "end", None, 0)


def test_the_site_file_says_where_the_data_is_and_needs_none_of_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"data: {data}\ncameras: {{a: {{url: 'rtsp://{{MGFN_NOWHERE}}@h/1'}}}}\n")
    assert run(monkeypatch, "list", "--config", site) == 0
    assert "2 in the last 7d" in capsys.readouterr().out
    assert run(monkeypatch, "list", "--config", site, "--data", tmp_path / "other") == 2
    assert f"--data {tmp_path / 'other'}: holds no events.db" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--config", "/none.yaml"], "/none.yaml: cannot be read: No such file"),
        (["list", "--since", "7"], "--since 7: allowed is a number and a unit"),
        (["list", "--since", "-1d"], "--since -1d"),
        (["list", "--data", "/nowhere"], "--data /nowhere: holds no events.db"),
        (["list", "--colour"], "--colour"),
        (["lst"], "lst"),
    ],
)
def test_wrong_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "list", "--help") == 0
    assert "Example: mgfn-events list" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("90m", 5_400.0), ("1.5h", 5_400.0), ("7d", 604_800.0), ("2w", 1_209_600.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert events_cli.duration(text, "--since") == seconds


@pytest.mark.parametrize("text", ["", "d", "7 d", "7days", "1e3d", "-7d", "٧d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="allowed is a number and a unit"):
        events_cli.duration(text, "--since")
