"""The site file: what is right is converted, what is wrong is told with its line, all at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import configs
from stream.alarm.modes import CameraMode
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period
from stream.archive.retention import Retention
from stream.camera.view import Region, View
from stream.settings.flags import Flags, options
from stream.settings.settings import CameraConfig, ClipSettings
from stream.settings.site.convert import retention
from stream.settings.site.reading import Site, SiteError, checked, data_folder, read_site
from stream.settings.site.schema import SCHEMA, reference, site_schema
from stream.sinks.frigate import FrigateSettings
from stream.sinks.notifications import EscalateSettings, NotifySettings
from stream.sinks.webhook import WebhookSettings

BUNDLE = AlarmSettings(0.8, 0.6)
ROOT = Path(configs.__file__).parents[1]


def site(text: str) -> Site:
    return checked(Path("site.yaml"), text.encode())


def cameras(text: str) -> dict[str, CameraConfig]:
    return {camera.name: camera for camera in site(text).cameras(BUNDLE)}


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SiteError) as caught:
        checked(Path("site.yaml"), text if isinstance(text, bytes) else text.encode())
    return caught.value.problems


def wrong(lines: str) -> list[str]:
    """Problems of a camera that has these lines."""
    inner = "".join(f"    {line}\n" for line in lines.splitlines())
    return problems(f"cameras:\n  door:\n    url: rtsp://h/1\n{inner}")


def test_the_smallest_file_gives_the_defaults() -> None:
    (door,) = cameras("cameras: {door: {url: rtsp://h/1}}").values()
    assert door == CameraConfig(door.source, BUNDLE)
    assert (door.source.url, door.source.live) == ("rtsp://h/1", True)


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
  door: {url: rtsp://h/1, motion_threshold: 6, stride: 16, fps: 12.5}
""")
    read = read_site(path)
    (door,) = read.cameras(BUNDLE)
    assert (door.hwaccel, door.stride, door.motion_threshold, door.fps) == ("auto", 16, 6.0, 12.5)
    given = options(Flags(), read)
    assert given.notify == NotifySettings(("json://token-of-mine/x", "json://there"), camera_lost=True)
    assert given.frigate == FrigateSettings(
        "http://admin:hunter2@frigate:5000", cameras={"door": "Front"}, ca=tmp_path / "ca.pem"
    )
    assert {"hunter2", "json://token-of-mine/x"} <= set(given.secrets)
    assert given.self_test is None
    assert options(Flags(self_test="2"), read).self_test == 7200
    assert options(Flags(), site("cameras: {a: {url: rtsp://h/1}}")).self_test == 24 * 3600


@pytest.mark.parametrize("name", ["Front Door", "events"])
def test_a_camera_whose_name_and_address_are_wrong(name: str) -> None:
    said = " ".join(found := problems(f"cameras:\n  {name}: {{url: 'http://u:hunter2@h/x', fps: 1}}\n"))
    assert len(found) == 3
    assert f"site.yaml:2: cameras.{name}: {name}: camera" in said.replace("a camera name", "camera name")
    assert "http://***@h/x: scheme not supported" in said
    assert "hunter2" not in said


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


def test_everything_is_told_at_once_with_line_key_value_and_what_is_allowed() -> None:
    found = problems("""\
time_zone: Europe/Berln
nod: x
defaults:
  alarm: {threshold_off: 0.9}
cameras:
  door:
    url: rtsp://user:hunter2@h:99999999/1
    transport: quic
    lost_afer: 3
    alarm:
      threshold_on: 0.5
      hourly_cap: 1.5
  door: {}
  a+b: {url: rtsp://h/1}
  events: {url: rtsp://h/1}
  yard: {masks: [[[0, 0], [1.2, 0], [1, 1]]]}
""")
    known = ("node, time_zone, ", "enabled, transport, ")
    assert [problem.partition(next((k for k in known if k in problem), "\0"))[0] for problem in found] == [
        "site.yaml:1: time_zone: Europe/Berln: unknown time zone; must be a name from the IANA database; "
        "did you mean Europe/Berlin?",
        "site.yaml:2: nod: unknown key; did you mean node? allowed: ",
        "site.yaml:4: defaults.alarm.threshold_off: 0.9: must be at most `threshold_on` of door, 0.5",
        "site.yaml:4: defaults.alarm.threshold_off: 0.9: requires `threshold_on`",
        "site.yaml:7: cameras.door.url: rtsp://***@h:99999999/1: is not a valid address; in user and password "
        "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25",
        "site.yaml:8: cameras.door.transport: quic: must be 'tcp' or 'udp'",
        "site.yaml:9: cameras.door.lost_afer: unknown key; did you mean lost_after? allowed: ",
        "site.yaml:12: cameras.door.alarm.hourly_cap: 1.5: must be a whole number",
        "site.yaml:13: cameras.door: duplicate key, first given in line 6",
        "site.yaml:14: cameras.a+b: a+b: a camera name has 1 to 64 characters of a-z A-Z 0-9 _ -",
        "site.yaml:15: cameras.events: events: camera name 'events' is reserved for MQTT topics; choose another",
        "site.yaml:16: cameras.yard.masks[0][1][0]: 1.2: must be at most 1",
        "site.yaml:16: cameras.yard.url: is missing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("enabled: on", "site.yaml:4: cameras.door.enabled: on: must be true or false"),
        ("enabled: 1", "enabled: 1: must be true or false"),
        ("lost_after: '30'", "lost_after: 30: must be a number, without quotes"),
        ("enabled: 'true'", "enabled: true: must be true or false, without quotes"),
        ("alarm: {hourly_cap: '5'}", "hourly_cap: 5: must be a whole number, without quotes"),
        ("masks: [[0, 0], [1, 0], [1, 0.3]]", "site.yaml:4: cameras.door.masks: must be a list of polygons"),
        ("min_duration: 3", "cameras.door.min_duration: unknown key here; it belongs in `alarm`"),
        ("lost_after: .nan", "lost_after: nan: must be a number"),
        ("lost_after: 0", "lost_after: 0: must be at least 1"),
        ("transport: 5", "transport: 5: must be 'tcp' or 'udp'"),
        ("alarm: 0.5", "cameras.door.alarm: 0.5: must be a block of keys"),
        ("alarm: {threshold_on: true}", "alarm.threshold_on: true: must be a number"),
        ("alarm: {threshold_on: 0.5, threshold_off: 0.6}", "0.6: must be at most `threshold_on`, 0.5"),
        ("alarm: {hourly_cap: 0}", "hourly_cap: 0: must be at least 1"),
        ("fps: 1", "fps: 1: must be at least 2"),
        ("stride: 5", "stride: 5: must be 4, 8 or 16"),
        ("hwaccel: gpu", "hwaccel: gpu: must be 'auto', 'cuda', 'vaapi' or 'none'"),
        ("masks: 5", "masks: 5: must be a list"),
        ("masks: [[[0, 0], [1, 1]]]", "masks[0]: 2 given; must be at least 3"),
        ("masks: [[[0, 0], [1, 1], [1, -0.1]]]", "masks[0][2][1]: -0.1: must be at least 0"),
        ("masks: [[[0, 0], [1, 1], [1]]]", "masks[0][2]: 1 given; must be at least 2"),
        ("region: {x: 0.5, y: 0, width: 0.6, height: 1}", "region: x + width is 1.1; must be at most 1"),
        ("region: {x: 0, y: 0, width: 1, height: 0.01}", "region.height: 0.01: must be at least 0.05"),
        ("region: {x: 0, y: 0, width: 1}", "region.height: is missing"),
        ("schedule: [{from: 7:00, to: '08:00'}]", 'from: 7:00: must be "HH:MM" with two digits each, such as "08:'),
        ("schedule: [{from: 420, to: '08:00'}]", "from: 420: must be text; put it in quotes"),
        ("schedule: [{from: '25:00', to: '08:00'}]", 'from: 25:00: must be "HH:MM"'),
        ("schedule: [{from: '08:00', to: '08:00'}]", "from and to are both 08:00"),
        ("schedule: [{from: '24:00', to: '08:00'}]", 'from is 24:00; must be "00:00" to "23:59"'),
        ("schedule: [{days: [monday], from: '08:00', to: '09:00'}]", "days[0]: monday: must be 'mon', 'tue'"),
        ("schedule: [{from: 22:00, to: '06:00'}, {from: '05:00', to: '07:00'}]", "1 and 2 overlap on tue 05:00"),
        ("schedule: [{days: [mon, mon], from: 22:00, to: 23:00}]", "entries 1 and 1 overlap on mon 22:00"),
        ("schedule: [{days: [sun], from: 22:00, to: '06:00'}, {days: [mon], from: '05:00', to: '07:00'}]",
         "overlap on mon 05:00"),
        ("sub_stream: http://h/2", "sub_stream: http://h/2: scheme not supported"),
        ("sub_stream: /dev/null", "sub_stream: /dev/null: no such file"),
        ("url: rtsp://h/2", "cameras.door.url: duplicate key, first given in line 3"),
        ("? [a]\n: 1", "a key must be a single word"),
    ],
)  # fmt: skip
def test_wrong_values_of_a_camera(lines: str, says: str) -> None:
    (problem,) = wrong(lines)
    assert says in problem


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://u:hunter2@h/1", "http://***@h/1: scheme not supported; must be an rtsp:// or rtsps:// URL"),
        ("rtsp://u:{MGFN_NOWHERE}@h", "{MGFN_NOWHERE} is neither an environment variable nor a secret file"),
        ("rtsp:/u:hunter2@h/1", "***@h/1: no such file"),
        ("rtsp:///x", "has no host"),
        ("none.mp4", "no such file"),
        ("", "at least 1 character"),
        ("x" * 3000, "no such file"),
    ],
)
def test_wrong_addresses_never_show_a_password(url: str, says: str) -> None:
    (problem,) = problems(f"cameras: {{a: {{url: '{url}'}}}}")
    assert problem.startswith("site.yaml:1: cameras.a.url: ")
    assert says in problem
    assert "hunter2" not in problem
    assert len(problem) < 300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "site.yaml: is empty; `cameras` with"),
        ("# nothing\n", "site.yaml: is empty"),
        ("- a\n", "site.yaml:1: has no keys"),
        ("mqtt: {url: mqtt://h}\n", "cameras: is missing"),
        ("cameras: {}\n", "site.yaml:1: cameras: 0 given; must be at least 1"),
        ("cameras:\n", "cameras: null: must be a block of keys"),
        ("cameras:\n\tdoor: {}\n", "site.yaml:2: not YAML: while scanning for the next token"),
        ("cameras:\n\tdoor: {}\n", "indent with spaces"),
        ("a: 1\n---\nb: 2\n", "site.yaml:2: not YAML: expected a single document"),
        ("a: [1\n", "site.yaml:2: not YAML"),
        ("password: hunter2: x\n", "site.yaml:1: not YAML: mapping values are not allowed here"),
        ("a: \x01\n", "site.yaml: not YAML: "),
        (b"a: 1\nb: \xff\xfe\n", "site.yaml:2: not UTF-8 text"),
        ("[" * 450 + "]" * 450, "nested too deeply"),
        ("a: &a [*a]", "too large, or nested too deeply"),
        ("a: &a [x,x,x,x,x,x,x,x]\n"
         + "".join(f"{k}: &{k} [{', '.join(['*' + j] * 8)}]\n" for j, k in zip("abcdef", "bcdefg", strict=True)),
         "too large, or nested too deeply"),
        ("mqtt: {url: http://u:hunter2@h}\ncameras: {a: {url: rtsp://h}}", "mqtt.url: http://***@h: must be mqtt"),
        ("mqtt: {url: mqtt://h, ca: x}\ncameras: {a: {url: rtsp://h}}", "mqtt.ca: needs an encrypted connection"),
        ("mqtt: {topic_prefix: a/#}\ncameras: {a: {url: rtsp://h}}", "mqtt.topic_prefix: a/#: must be printable"),
        ("mqtt: {topic_prefix: mgfn/}\ncameras: {a: {url: rtsp://h}}", "mqtt.topic_prefix: mgfn/: must be printable"),
        ("cameras: {a: {url: rtsp://u:{MGFN_X}@h}}", "put values with {MGFN_NAME} in quotes"),
        ("cameras: {self-test: {url: rtsp://h}}", "camera name 'self-test' is reserved for the self-test"),
        ("frigate: {url: http://h, cameras: {dor: Front}}\ncameras: {door: {url: rtsp://h}}",
         "site.yaml:1: frigate.cameras.dor: not a camera of this file; did you mean door? allowed: door"),
        ("http: {address: 127.0.0.1:65536}\ncameras: {a: {url: rtsp://h}}", "must be HOST:PORT or off"),
        ("http: {address: nonsense}\ncameras: {a: {url: rtsp://h}}", "http.address: nonsense: must be HOST:PORT"),
        ("frigate: {url: ftp://u:hunter2@h}\ncameras: {a: {url: rtsp://h}}", "frigate.url: ftp://***@h: must be"),
        ('data: "a\\0b"\ncameras: {a: {url: rtsp://h}}', "data: 'a\\x00b': holds characters that cannot be printed"),
        ('cameras: {a: {url: "rtsp://h\\e[2J"}}', "a.url: 'rtsp://h\\x1b[2J': holds characters that cannot be printed"),
        ("cameras: {a: {url: 'rtsp://[::1'}}", "a.url: rtsp://[::1: is not a valid address"),
        ("device: tpu\ncameras: {a: {url: rtsp://h}}", "device: tpu: must be auto, cpu or cuda[:N]"),
        ("backend: onyx\ncameras: {a: {url: rtsp://h}}", "backend: onyx: must be auto, "),
        ("time_zone: Europe\ncameras: {a: {url: rtsp://h}}", "time_zone: Europe: unknown time zone"),
        ("time_zone: ../etc/passwd\ncameras: {a: {url: rtsp://h}}", "time_zone: ../etc/passwd: unknown time zone"),
        ("node: !secret x\ncameras: {a: {url: rtsp://h}}", "the tag !secret is not allowed; for secrets write {MGFN"),
        ("<<: {a: 1}\ncameras: {a: {url: rtsp://h}}", "<<: merge keys are not supported"),
        ("node: \"x\ncameras: {a: {url: rtsp://h}}\n\n\n", "site.yaml:1: not YAML: while scanning a quoted scalar"),
        ("mqtt: mqtt://u:hunter2@h\ncameras: {a: {url: rtsp://h}}", "***@h: must be a block of keys, {url: ...}"),
        ("cameras: {a: rtsp://u:hunter2@h}", "cameras.a: rtsp://***@h: must be a block of keys, {url: ...}"),
        ("transport: udp\ncameras: {a: {url: rtsp://h}}", "transport: unknown key here; it belongs in `defaults` or"),
    ],
)  # fmt: skip
def test_wrong_files(text: str | bytes, says: str) -> None:
    (problem,) = problems(text)
    assert says in problem
    assert "hunter2" not in problem


def test_an_address_that_others_reach_needs_a_token_with_the_other_problems() -> None:
    text = "nod: x\nhttp:\n  address: 0.0.0.0:8080\ncameras: {a: {url: rtsp://h}}"
    assert checked(Path("site.yaml"), text[7:].encode()).given.http is not None  # a flag may be there
    with pytest.raises(SiteError) as caught:
        checked(Path("site.yaml"), text.encode(), asks_token=True)
    assert caught.value.problems[1] == (
        "site.yaml:3: http.address: 0.0.0.0:8080: addresses other than loopback require `token_file`"
    )
    assert checked(Path("s"), text[7:].replace("0.0.0.0:", "localhost:").encode(), asks_token=True)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "not a file"),
        (Path("/dev/zero"), "not a file"),
    ):
        with pytest.raises(SiteError, match=says) as caught:
            read_site(path)
        assert str(path) in str(caught.value)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (2 << 20))
    with pytest.raises(SiteError, match="larger than 1 MiB"):
        read_site(huge)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused_in_one_way(text: str) -> None:
    for content in (text, f"cameras: {{a: {{url: rtsp://h/1}}}}\n{text}", f"cameras:\n  a: {text}"):
        try:
            checked(Path("site.yaml"), content.encode())
        except SiteError as error:
            found = error.problems
        else:
            continue
        assert found
        assert all(problem.startswith("site.yaml") for problem in found)


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


MODES = """
time_zone: Europe/Berlin
notify: {targets: ["json://h/"]}
modes:
  night:
    schedule: [{from: "22:00", to: "06:00"}]
    every: {false_alarms_per_day: 3}
    cameras: {door: {threshold_on: 0.6}}
    recipients: [notify-1]
  off: {every: {enabled: false}, recipients: []}
cameras: {door: {url: rtsp://h/1}}
"""


def test_modes() -> None:
    night, off = site(MODES).modes().values()
    assert night.of("door") == CameraMode(threshold_on=0.6)
    assert night.recipients == frozenset({"notify-1"})
    assert night.schedule is not None
    assert (len(night.schedule.periods), night.schedule.zone) == (7, ZoneInfo("Europe/Berlin"))
    assert (off.of("door"), off.recipients, off.schedule) == (CameraMode(enabled=False), frozenset(), None)


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("{door: {threshold_on: 0.6}}", "{dor: {threshold_on: 0.6}}", "not a camera of this file; did you mean door?"),
        ("[notify-1]", "[notify-2]", "notify-2: not a recipient of this file; did you mean notify-1?"),
        ("{enabled: false}", "{enabled: false, threshold: 1}", "modes.off.every.threshold: unknown key"),
        ("{threshold_on: 0.6}", "{threshold_on: 0.6, false_alarms_per_day: 1}", "both were given; use only one"),
        ("  off:", "  auto:", "the name of a mode must not be auto"),
        ("  off:", "  Off 1:", "the name of a mode has 1 to 32 characters of a-z 0-9 _ -"),
        ("[{from", "[] #", "at least"),
    ],
)
def test_wrong_modes(was: str, becomes: str, says: str) -> None:
    found = problems(MODES.replace(was, becomes, 1))
    assert any(says in problem for problem in found), found


def test_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_HOOK", "0123456789abcdef")
    text = (
        'notify: {webhooks: [{url: "https://h/in?k=1", secret: "{MGFN_HOOK}"}]}\ncameras: {door: {url: rtsp://h/1}}\n'
    )
    given = options(Flags(), site(text))
    assert given.notify == NotifySettings((), webhooks=(WebhookSettings("https://h/in?k=1", "0123456789abcdef"),))
    assert {"https://h/in?k=1", "0123456789abcdef"} <= set(given.secrets)
    assert "0123456789abcdef" not in repr(given)
    for was, becomes, says in (
        ('"{MGFN_HOOK}"', "short", "has 5 characters; must have at least 16"),
        ("https://h", "ftp://h", "must be an http:// or https:// URL"),
        ("webhooks: [{", "per_hour: 3 #", "has no recipient; `targets`, `webhooks` or `escalate` is required"),
    ):
        found = problems(text.replace(was, becomes).replace("#", "}\n#"))
        assert any(says in problem for problem in found), found


def test_escalation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_BOSS", "json://boss-token/")
    text = 'notify: {escalate: {after: 5m, to: ["{MGFN_BOSS}"]}}\ncameras: {door: {url: rtsp://h/1}}\n'
    given = options(Flags(), site(text))
    assert given.notify == NotifySettings((), escalate=EscalateSettings(300.0, ("json://boss-token/",)))
    assert "json://boss-token/" in given.secrets
    assert "boss-token" not in repr(given)
    for becomes, says in (("5", "without"), ("5d", "such as 90s, 5m or 1h"), ("0s", "such as 90s, 5m or 1h")):
        found = problems(text.replace("5m", becomes))
        assert any("notify.escalate.after" in problem for problem in found), (says, found)
