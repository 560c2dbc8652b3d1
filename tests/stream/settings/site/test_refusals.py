"""Site files with mistakes: every problem has its own line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.settings.site.reading import SiteError, checked, read_site
from tests.stream.settings.site.site_texts import problems, wrong


@pytest.mark.parametrize("name", ["Front Door", "events"])
def test_a_camera_whose_name_and_address_are_wrong(name: str) -> None:
    said = " ".join(found := problems(f"cameras:\n  {name}: {{url: 'http://u:hunter2@h/x', fps: 1}}\n"))
    assert len(found) == 3
    assert f"site.yaml:2: cameras.{name}: {name}: camera" in said.replace("a camera name", "camera name")
    assert "http://***@h/x: scheme not supported" in said
    assert "hunter2" not in said


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
        ("", "site.yaml: is empty; `cameras` is required"),
        ("# nothing\n", "site.yaml: is empty"),
        ("- a\n", "site.yaml:1: has no keys"),
        ("mqtt: {url: mqtt://h}\n", "cameras: is missing"),
        ("cameras: []\n", "site.yaml:1: cameras: "),
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
        ("device: tpu\ncameras: {a: {url: rtsp://h}}", "device: tpu: must be auto, cpu, cuda[:N], gpu or npu"),
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
        "site.yaml:3: http.address: 0.0.0.0:8080: addresses other than loopback require `token_file` or `people`"
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
