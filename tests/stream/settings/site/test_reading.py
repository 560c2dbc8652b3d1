"""The site file: what is right is converted, what is wrong is told with its line, all at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import configs
from stream.alarm.schedule import Period
from stream.archive.retention import Retention
from stream.camera.view import Region, View
from stream.settings.flags import Flags, options
from stream.settings.settings import CameraConfig, ClipSettings
from stream.settings.site.convert import retention
from stream.settings.site.reading import data_folder, read_site
from stream.settings.site.schema import SCHEMA, reference, site_schema
from stream.sinks.frigate import FrigateSettings
from stream.sinks.notifications import NotifySettings
from tests.stream.settings.site.site_texts import BUNDLE, cameras, problems, site

ROOT = Path(configs.__file__).parents[1]


def test_the_smallest_file_gives_the_defaults() -> None:
    (door,) = cameras("cameras: {door: {url: rtsp://h/1}}").values()
    assert door == CameraConfig(door.source, BUNDLE)
    assert (door.source.url, door.source.live) == ("rtsp://h/1", True)


def test_a_key_of_an_earlier_version_is_left_out_and_the_log_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    (door,) = cameras(
        "defaults: {motion_threshold: 2}\ncameras: {door: {url: rtsp://h/1, motion_threshold: 0}}"
    ).values()
    assert door == CameraConfig(door.source, BUNDLE)
    told = capsys.readouterr()
    assert (told.out + told.err).count("this key has no effect any more") == 2
    assert "skip_still" in told.out + told.err


def test_cameras_inherit_blocks_key_by_key_and_lists_as_a_whole() -> None:
    found = cameras("""
time_zone: Europe/Berlin
defaults:
  transport: udp
  alarm: {threshold_on: 0.5, cool_down: 60}
  masks: [[[0, 0], [1, 0], [1, 1]]]
  schedule: [{from: 22:00, to: "06:00"}]
  region: {x: 0, y: 0, width: 0.5, height: 0.5}
cameras:
  plain: {url: rtsp://h/1}
  own:
    url: rtsp://h/2
    transport: tcp
    enabled: false
    alarm: {threshold_off: 0.1, hourly_cap: 5}
    clip: {post_roll: 9}
    masks: []
    schedule: []
    region: {x: 0.5, y: 0.5, width: 0.5, height: 0.5}
    lost_after: 90
    sub_stream: rtsp://h/3
""")
    plain, own = found["plain"], found["own"]
    # the bundle's share of threshold_on, where threshold_off is not said
    assert plain.alarm == replace(BUNDLE.with_threshold(0.5), cool_down=60.0)
    assert own.alarm == replace(BUNDLE, threshold_on=0.5, threshold_off=0.1, learnt=False, cool_down=60.0, hourly_cap=5)
    assert [stream.url for stream in own.streams] == ["rtsp://h/3", "rtsp://h/2"]
    assert [stream.url for stream in plain.streams] == ["rtsp://h/1"]
    assert (plain.transport, own.transport) == ("udp", "tcp")
    assert (plain.enabled, own.enabled, own.lost_after, own.clip) == (True, False, 90.0, ClipSettings(post_roll=9.0))
    assert plain.view == View(Region(0, 0, 0.5, 0.5), (((0, 0), (1, 0), (1, 1)),))
    assert own.view == View(Region(0.5, 0.5, 0.5, 0.5))
    assert plain.schedule.periods[0] == Period(22 * 60, 30 * 60)
    assert len(plain.schedule.periods) == 7
    assert (own.schedule.periods, own.schedule.zone) == ((), ZoneInfo("Europe/Berlin"))


def test_retention_counts_bytes() -> None:
    given = site("retention: {media_gb: 0.5, free_mb: 100, event_days: 7}\ncameras: {a: {url: rtsp://h/1}}").given
    assert retention(given.retention) == Retention(media_bytes=2**29, free_bytes=100 * 2**20, event_days=7.0)
    assert retention(None) == Retention()


def test_secrets_are_filled_in_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGFN_USER", "viewer")
    monkeypatch.setenv("HOME_NAME", "never")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "MGFN_PW").write_text("hunter2 {MGFN_USER}\n")
    text = 'cameras: {a: {url: "rtsp://{MGFN_USER}:{MGFN_PW}@h/{HOME_NAME}/$HOME"}}'
    assert cameras(text)["a"].source.url == "rtsp://viewer:hunter2%20%7BMGFN_USER%7D@h/{HOME_NAME}/$HOME"
    assert "hunter2 {MGFN_USER}" in cameras(text)["a"].secrets
    assert "hunter2" not in repr(site(text))


def test_decoding_notifications_frigate_and_self_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGFN_PHONE", "json://token-of-mine/x")
    path = tmp_path / "site.yaml"
    path.write_text("""
self_test: 0
defaults: {hwaccel: auto, stride: 8}
notify: {targets: ["{MGFN_PHONE}", "json://there"], camera_lost: true}
frigate: {url: "http://admin:hunter2@frigate:5000", ca: ca.pem, cameras: {door: Front}}
cameras:
  door: {url: rtsp://h/1, skip_still: false, stride: 16, fps: 12.5}
""")
    read = read_site(path)
    (door,) = read.cameras(BUNDLE)
    assert (door.hwaccel, door.stride, door.skip_still, door.fps) == ("auto", 16, False, 12.5)
    given = options(Flags(), read)
    assert given.notify == NotifySettings(("json://token-of-mine/x", "json://there"), camera_lost=True)
    assert given.frigate == FrigateSettings(
        "http://admin:hunter2@frigate:5000", cameras={"door": "Front"}, ca=tmp_path / "ca.pem"
    )
    assert {"hunter2", "json://token-of-mine/x"} <= set(given.secrets)
    assert given.self_test is None
    assert options(Flags(self_test="2"), read).self_test == 7200
    assert options(Flags(), site("cameras: {a: {url: rtsp://h/1}}")).self_test == 24 * 3600


def test_targets_are_never_shown() -> None:
    text = "notify: {targets: [7, '{MGFN_NOWHERE}', json://hunter2], per_hour: 0}\ncameras: {a: {url: rtsp://h/1}}"
    assert problems(text) == [
        "site.yaml:1: notify.targets[0]: must be text; put it in quotes",
        "site.yaml:1: notify.targets[1]: {MGFN_NOWHERE} is neither an environment variable nor a secret file",
        "site.yaml:1: notify.per_hour: 0: must be at least 1",
    ]
    text = "notify: {targets: tgram://hunter2}\ncameras: {a: {url: rtsp://h/1}}"
    assert problems(text) == ["site.yaml:1: notify.targets: must be a list"]
    text = "notify: tgram://hunter2\ncameras: {a: {url: rtsp://h/1}}"
    assert problems(text) == ["site.yaml:1: notify: must be a block of keys"]


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_WHERE", "kept")
    (tmp_path / "a.mp4").write_bytes(b"x")
    path = tmp_path / "site.yaml"
    path.write_text("data: '{MGFN_WHERE}/here'\nscores: /abs/s.jsonl\ncameras: {a: {url: a.mp4}}\n")
    read = read_site(path)
    assert read.cameras(BUNDLE)[0].source.url == str(tmp_path / "a.mp4")
    assert not read.cameras(BUNDLE)[0].source.live
    assert (read.given.data, read.given.scores) == (str(tmp_path / "kept/here"), "/abs/s.jsonl")
    path.write_text("data: d\ncameras: {a: {url: 'rtsp://{MGFN_NOWHERE}@h'}}\n")
    assert data_folder(path) == tmp_path / "d"


def test_the_committed_schema_is_made_from_the_models() -> None:
    assert json.loads(SCHEMA.read_text()) == site_schema(), "run: python -m stream.settings.site.schema"


def test_the_example_is_right_and_names_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MQTT", "DOOR", "PARK", "HALL"):
        monkeypatch.setenv(f"MGFN_{name}_PW", "x")
    path = ROOT / "configs" / "site.example.yaml"
    found = {camera.name: camera for camera in read_site(path).cameras(BUNDLE)}
    assert list(found) == ["front_door", "car_park", "hall"]
    assert found["front_door"].alarm.cool_down == 30
    assert "$schema=site.schema.json" in path.read_text()


def test_the_reference_is_made_from_the_models() -> None:
    assert reference() in (ROOT / "docs" / "site-file.md").read_text(), "run: python -m stream.settings.site.schema"
    said = "Maximum number of alarms in any hour. Further alarms are listed, but not published. Default: 60."
    assert f"| `hourly_cap` | {said} | 1 to 3,600 |" in reference()
