"""What is written into a site file: comments, other cameras and passwords' placeholders."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

import pytest

from stream.discovery.finding import Camera
from stream.discovery.looking import Seen
from stream.discovery.site_entry import PlaceholderLogin, added, as_yaml, entries, store_password, write_site
from stream.settings.site.reading import SiteError, checked

EXAMPLE = Path(__file__).parents[3] / "configs" / "site.example.yaml"
LOGIN = PlaceholderLogin("view:er@", "MGFN_CAMERAS_PW")


def camera(name: str = "Yard", main: str = "rtsp://10.0.0.9:554/1", sub: str | None = None) -> Camera:
    return Camera(name, "Maker", "10.0.0.9", main, sub, Seen(640, 360, b"jpeg"), "640x360")


def test_only_lines_of_the_new_cameras_are_added_to_the_example() -> None:
    before = EXAMPLE.read_text()
    new = entries([camera(sub="rtsp://10.0.0.9:554/2")], before.encode()).new
    after = added(EXAMPLE, before.encode(), new, LOGIN)
    changed = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changed == [
        "+   Yard:",
        "+     url: rtsp://view%3Aer%40:{MGFN_CAMERAS_PW}@10.0.0.9:554/1",
        "+     sub_stream: rtsp://view%3Aer%40:{MGFN_CAMERAS_PW}@10.0.0.9:554/2",
    ]


def test_the_file_is_read_as_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_CAMERAS_PW", "a b@c")
    path = tmp_path / "site.yaml"
    path.write_text("# mine\ncameras: {door: {url: rtsp://10.0.0.8/1}}   # one\n")
    path.chmod(0o600)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    write_site(link, entries([camera()], path.read_bytes()).new, LOGIN)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# mine\n")
    assert "# one" in path.read_text()
    cameras = checked(path, path.read_bytes()).given.cameras
    assert list(cameras) == ["door", "Yard"]
    assert cameras["Yard"].url == "rtsp://view%3Aer%40:a%20b%40c@10.0.0.9:554/1"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_site_file_and_the_password_to_the_owner(tmp_path: Path) -> None:
    def owner(path: Path) -> tuple[int, int]:
        return path.stat().st_uid, path.stat().st_gid

    path = tmp_path / "site.yaml"
    path.write_text("cameras: {}\n")
    os.chown(path, 4321, 4322)
    write_site(path, {"Yard": camera()}, LOGIN)
    stored = store_password(path, "MGFN_CAMERAS_PW", "secret")
    assert [owner(each) for each in (path, stored, stored.parent)] == [(4321, 4322)] * 3
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600

    os.chown(stored.parent, 0, 0)
    store_password(path, "MGFN_CAMERAS_PW", "another")
    assert owner(stored.parent) == (0, 0)  # it was there before
    assert owner(stored) == (4321, 4322)

    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 4321, 4322)
    write_site(home / "site.yaml", {"Yard": camera()}, LOGIN)
    assert owner(home / "site.yaml") == (4321, 4322)


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"defaults: {fps: 25}\n", b"cameras:\r\n  # none\r\n"])
def test_files_without_cameras_get_them(content: bytes) -> None:
    text = added(Path("site.yaml"), content, {"Yard": camera()}, None)
    assert list(checked(Path("site.yaml"), text.encode()).given.cameras) == ["Yard"]
    assert (b"\r\n" in content) == ("\r\n" in text)
    assert all(comment in text for comment in ("# only a comment", "# none") if comment.encode() in content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"cameras: [", "not YAML"),
        (b"- a\n", "must be a block of keys"),
        (b"cameras: [a]\n", "must be a block of keys"),
        (b"cameras: {a: {}, a: {}}\n", "duplicate key"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_what_is_no_site_file_is_left_alone(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    with pytest.raises(SiteError, match=problem):
        write_site(path, {"Yard": camera()}, None)
    assert path.read_bytes() == content


def test_cameras_of_the_file_are_not_added_again() -> None:
    content = b"""cameras:
  door: {url: "RTSP://u:{MGFN_X}@10.0.0.9/1"}
  hall: {url: rtsp://10.0.0.7/1, sub_stream: rtsp://10.0.0.9:554/b?c=1}
  broken: 7
"""
    found = [
        camera(),
        camera(main="rtsp://10.0.0.9/a", sub="rtsp://10.0.0.9/b?c=1"),
        camera(main="rtsp://10.0.0.9/b?c=2"),
    ]
    divided = entries([*found, found[2]], content)
    assert list(divided.known) == ["door", "hall"]
    assert [each.main for each in divided.new.values()] == ["rtsp://10.0.0.9/b?c=2"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Front door", "Front_door"),
        ("<script>alert(1)</script>", "script_alert_1_script"),
        ("../../etc", "etc"),
        ("события", "camera"),
        ("events", "camera_events"),
        ("192.168.1.20", "camera_192_168_1_20"),
        ("x" * 200, "x" * 64),
        ("a: {b}\n- c", "a_b_-_c"),
    ],
)
def test_names_of_devices_become_names_of_cameras(said: str, name: str) -> None:
    assert list(entries([camera(said)]).new) == [name]
    assert list(checked(Path("s"), as_yaml(entries([camera(said)]).new, None).encode()).given.cameras) == [name]


def test_equal_names_are_numbered() -> None:
    cameras = [camera("x" * 64, main=f"rtsp://10.0.0.9/{number}") for number in range(3)]
    assert list(entries(cameras).new) == ["x" * 64, "x" * 62 + "_2", "x" * 62 + "_3"]
