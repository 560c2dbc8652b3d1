"""Sources, broker addresses, secrets."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.base.addresses import Source, expand, parse_broker, parse_sources, prefix_problem, unfilled
from stream.base.errors import UsageError
from stream.base.redaction import redact_text, redact_url, secrets_of, typed_password


def test_names_are_given_or_counted() -> None:
    sources = parse_sources(["rtsp://a/1", "door=rtsp://b/2?x=y", "rtsps://c/3?token=abc"])
    assert [s.name for s in sources] == ["camera1", "door", "camera3"]
    assert sources[1].url == "rtsp://b/2?x=y"
    assert all(s.live for s in sources)


@pytest.mark.parametrize(
    "value",
    ["http://a/1", "file:///etc/passwd", "concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "pipe:0", "udp://a:1",
     "x=ftp://a/b", "data:text/plain,hi", "rtmp://a/b", "cache:http://a/1", "crypto:/etc/passwd",
     "async:file:/etc/passwd",
     "concatf:list.txt", "hls+http://a/1.m3u8", "unix:/run/x.sock", "tee:a.mp4", "fd:0", "gopher://a/1",
     "../../../nowhere/passwd", "file:../../etc/passwd"],
)  # fmt: skip
def test_other_schemes_are_refused_and_named(value: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)--rtsp.*must be an rtsp:// or rtsps:// URL"):
        parse_sources([value])


@pytest.mark.parametrize("url", ["my_user:hunter2@cam/1", "my_user:hunter2=3@cam/1"])
def test_a_forgotten_scheme_shows_no_password(url: str) -> None:
    with pytest.raises(UsageError, match=r"cam/1: no such file") as caught:
        parse_sources([url])
    assert "hunter2" not in str(caught.value)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        parse_sources([str(tmp_path / "none.mp4")])
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UsageError, match="empty"):
        parse_sources([str(tmp_path / "empty.mp4")])


def test_a_file_with_an_equals_sign_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a=b.mp4"
    path.write_bytes(b"x")
    (source,) = parse_sources([str(path)])
    assert (source.name, source.url, source.live) == ("camera1", str(path), False)


@pytest.mark.parametrize("name", ["a+b", "a#b", "a/b", "", "x" * 65, "é", "a b"])
def test_names_that_mqtt_cannot_carry(name: str) -> None:
    with pytest.raises(UsageError, match="camera name"):
        parse_sources([f"{name}=rtsp://host/1"])


@pytest.mark.parametrize("name", ["events", "available", "stats"])
def test_names_that_are_topic_words(name: str) -> None:
    with pytest.raises(UsageError, match="reserved for MQTT topics"):
        parse_sources([f"{name}=rtsp://host/1"])


def test_the_name_of_the_self_tests_camera() -> None:
    with pytest.raises(UsageError, match="camera name 'self-test' is reserved for the self-test; choose another"):
        parse_sources(["self-test=rtsp://host/1"])


def test_two_cameras_of_one_name() -> None:
    with pytest.raises(UsageError, match="two cameras are named 'door'"):
        parse_sources(["door=rtsp://a/1", "door=rtsp://b/1"])


def test_no_host() -> None:
    for url in ("rtsp:///stream", "rtsp://../../etc/passwd", "rtsp://u:p@/x"):
        with pytest.raises(UsageError, match="has no host"):
            parse_sources([url])


def test_expand_takes_the_environment_then_secret_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGFN_PW", "s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "MGFN_USER").write_text("\ufeffadmin\n")  # as Windows editors write it
    assert expand("rtsp://{MGFN_USER}:{MGFN_PW}@cam/{other}", "--rtsp") == "rtsp://admin:s3cret@cam/{other}"
    with pytest.raises(UsageError, match=r"\{MGFN_NONE\} is neither"):
        expand("{MGFN_NONE}", "--rtsp")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / ("x" * 300)))
    with pytest.raises(UsageError, match=r"--rtsp: the secret file .* cannot be read: File name too long"):
        expand("{MGFN_NONE}", "--rtsp")


@pytest.mark.parametrize("password", ["p@ss/wo#rd:1", "a?b[c]", "50%", "p%40ss", "a%41b", "{x}", "plain"])
def test_a_password_that_is_filled_in_may_hold_any_character(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("MGFN_PW", password)
    (source,) = parse_sources(["door=rtsp://user:{MGFN_PW}@cam:8554/1"])
    parts = urlsplit(source.url)
    assert (parts.hostname, parts.port, parts.path) == ("cam", 8554, "/1")
    assert unquote(parts.password or "") == password  # FFmpeg decodes it, too
    assert parse_broker("mqtt://user:{MGFN_PW}@b").password == password


def test_a_secret_that_is_empty_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "MGFN_PW").write_text("\n")
    with pytest.raises(UsageError, match=r"\{MGFN_PW\} is empty"):
        expand("{MGFN_PW}", "--rtsp")


def test_a_name_in_braces_that_is_not_filled_in_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_PW", "{DOOR_PW}")
    assert unfilled("rtsp://user:{DOOR_PW}@cam/1")
    assert not unfilled(expand("rtsp://user:{MGFN_PW}@cam/{x}", "--rtsp"))


def test_a_whole_url_that_is_filled_in_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_URL", "rtsp://u:p%40@cam/1?x=/2")
    assert expand("{MGFN_URL}", "--rtsp") == "rtsp://u:p%40@cam/1?x=/2"
    monkeypatch.setenv("MGFN_PATH", "live/1")
    assert expand("rtsp://u:p@cam/{MGFN_PATH}", "--rtsp") == "rtsp://u:p@cam/live/1"


@pytest.mark.parametrize("url", ["rtsp://u:p@ss/wo#rd@cam/1", "rtsp://u:12/3456@cam/1", "rtsp://u:p#word@cam/1"])
def test_a_password_that_must_be_written_otherwise_is_explained_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="write @ as %40") as error:
        parse_sources([f"door={url}"])
    assert not any(piece in str(error.value) for piece in ("ss/wo", "rd@", "3456", "p#word"))


def test_broker_addresses() -> None:
    address = parse_broker("mqtts://me:p%40ss@broker.local")
    assert (address.host, address.port, address.tls) == ("broker.local", 8883, True)
    assert (address.user, address.password) == ("me", "p@ss")
    assert "p@ss" not in f"{address} {address.shown}"
    assert parse_broker("mqtt://[::1]:1884").shown == "mqtt://[::1]:1884"


@pytest.mark.parametrize("value", ["tcp://a", "mqtt://", "mqtt://a/topic", "mqtt://a:notaport", "localhost:1883"])
def test_bad_broker_addresses(value: str) -> None:
    with pytest.raises(UsageError, match="--mqtt"):
        parse_broker(value)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("rtsp://user:hunter2@cam/1", "hunter2"),
        ("rtsp://user.name:hunter2@cam/1", "hunter2"),
        ("rtsp://a%40b:hunter2@cam/1", "hunter2"),
        ("rtsp://:hunter2@cam/1", "hunter2"),
        ("rtsp://user:hun@ter2@cam/1", "ter2"),
        ("rtsp://cam/1?token=hunter2", "hunter2"),
        ("my_user:hunter2@cam/1", "hunter2"),
        ("rtsp://cam/1?user=x&password=hunter2&channel=1", "hunter2"),
    ],
)
def test_every_form_of_secret_is_blotted_out(url: str, secret: str) -> None:
    assert secret not in redact_url(url)
    assert "cam/1" in redact_url(url)
    assert secret not in redact_text(f"could not open '{url}': refused", secrets_of(url))


@pytest.mark.slow
@given(st.text(min_size=4, max_size=30))
def test_no_password_survives(password: str) -> None:
    url = f"rtsp://viewer:{quote(password, safe='')}@cam.local:554/stream"
    shown = redact_url(url)
    assert quote(password, safe="") not in shown.replace("rtsp://", "").replace("cam.local:554/stream", "")


@pytest.mark.parametrize(
    ("url", "typed"),
    [
        ("rtsp://user:hunter2@cam/1", True),
        ("rtsp://user:{MGFN_PW}x@cam/1", True),
        ("rtsp://cam/1?token=hunter2", True),
        ("rtsp://cam/user=admin_password=hunter2_channel=1.sdp", True),
        ("mqtt://user:hunter2@broker", True),
        ("rtsp://user:{MGFN_PW}@cam/1", False),
        ("rtsp://cam/1?token={MGFN_TOKEN}&channel=1", False),
        ("rtsp://user@cam/1", False),
        ("rtsp://cam/user=admin_password={MGFN_PW}_channel=1.sdp", False),
        ("rtsp://user:@cam/Streaming/Channels/101?transportmode=unicast", False),
        ("/videos/a=b.mp4", False),
    ],
)
def test_a_typed_password_is_noticed(url: str, typed: bool) -> None:
    assert typed_password(url) is typed


def test_a_source_shows_no_password() -> None:
    (source,) = parse_sources(["rtsp://user:hunter2@cam/1"])
    assert "hunter2" not in f"{source} {source.shown}"


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("RTSP://host/Cam", "rtsp://host/Cam"),
        ("Rtsps://u:P@host:322/x", "rtsps://u:P@host:322/x"),
        ("rtsp://admin@host", "rtsp://admin:@host"),
        ("rtsp://admin@host:554/a?b=c@d", "rtsp://admin:@host:554/a?b=c@d"),
        ("rtsp://admin:@host/", "rtsp://admin:@host/"),
        ("rtsp://[fe80::1]:554/a", "rtsp://[fe80::1]:554/a"),
    ],
)
def test_an_rtsp_url_is_spelled_as_ffmpeg_understands_it(given: str, opened: str) -> None:
    assert Source("cam", given, live=True).url == opened


def test_a_path_is_left_as_it_is() -> None:
    assert Source("cam", "RTSP.mp4", live=False).url == "RTSP.mp4"


TRICKY = st.text(st.sampled_from("abZ09_-./\\+#$%\0\n :~*?<>|\u202e\u00e9"), max_size=70) | st.text(max_size=70)


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None)
@given(TRICKY)
def test_no_camera_name_leaves_the_topic_tree_or_a_folder(name: str) -> None:
    try:
        (source,) = parse_sources([f"{name}=rtsp://host/1"])
    except UsageError:
        return
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", source.name)
    assert f"mgfn/{source.name}/anomaly".split("/") == ["mgfn", source.name, "anomaly"]
    assert (Path("/data") / source.name).resolve().parent == Path("/data")


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None)
@given(TRICKY)
def test_no_prefix_subscribes_to_more_or_writes_elsewhere(prefix: str) -> None:
    if not prefix_problem(prefix):
        assert not set("+#\0\n") & set(prefix)
        assert not prefix.startswith(("$", "/"))
        assert "" not in prefix.split("/")
