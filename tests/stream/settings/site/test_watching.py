"""The file of a running service: what is taken over, what is refused, what waits for a restart."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.alarm.rule import AlarmSettings
from stream.base.log import configure
from stream.settings.settings import CameraConfig
from stream.settings.site import watching as watching_module
from stream.settings.site.reading import SiteError, read_bytes, read_site
from stream.settings.site.watching import SiteWatcher
from tests.servers.processes import until

ONE = "cameras: {door: {url: rtsp://h/1}}\n"
TWO = "cameras: {door: {url: rtsp://h/1}, yard: {url: rtsp://h/2}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    configure()
    path = tmp_path / "site.yaml"
    path.write_text(ONE)
    return path


def watching(path: Path) -> SiteWatcher:
    return SiteWatcher(read_site(path), lambda site: site.cameras(AlarmSettings(0.8, 0.6)))


def names(cameras: Sequence[CameraConfig] | None) -> list[str] | None:
    return None if cameras is None else [camera.name for camera in cameras]


def taken(watcher: SiteWatcher, found: list[list[str] | None]) -> bool:
    found.append(names(watcher.take()))
    return found[-1] is not None


def test_a_change_is_taken_once(path: Path) -> None:
    watcher = watching(path)
    watcher.look(asked=False)
    assert watcher.take() is None
    path.write_text(TWO)
    watcher.look(asked=False)
    assert names(watcher.take()) == ["door", "yard"]
    assert watcher.take() is None


def test_modes_come_with_the_cameras_and_the_last_camera_may_go(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watcher = watching(path)
    assert watcher.modes() == {}
    path.write_text("modes: {home: {}, off: {every: {enabled: false}}}\ncameras: {}\n")
    watcher.look(asked=False)
    assert names(watcher.take()) == []
    assert list(watcher.modes()) == ["home", "off"]
    assert "needs a restart" not in capsys.readouterr().err


def test_asked_for_it_is_read_although_it_is_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_HOST", "old")
    path.write_text("cameras: {door: {url: 'rtsp://{MGFN_HOST}/1'}}\n")
    watcher = watching(path)
    monkeypatch.setenv("MGFN_HOST", "new")
    watcher.look(asked=True)
    (camera,) = watcher.take() or ()
    assert camera.source.url == "rtsp://new/1"


def test_a_bad_file_changes_nothing_and_every_problem_has_a_line(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = watching(path)
    path.write_text("nod: x\ncameras: {door: {url: 'http://u:hunter2@h'}}\n")
    watcher.look(asked=False)
    path.unlink()
    watcher.look(asked=True)
    assert watcher.take() is None
    said = capsys.readouterr().err
    assert f"{path}:1: nod: unknown key" in said
    assert f"{path}:2: cameras.door.url: http://***@h" in said
    assert f"{path}: cannot be read: No such file or directory" in said
    assert said.count("keeping the previous configuration") == 3
    assert "hunter2" not in said


def test_a_defect_ends_no_watching_and_shows_no_password(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("http://u:hunter2@h")

    watcher = watching(path)
    path.write_text(TWO)
    with monkeypatch.context() as patch:
        patch.setattr("stream.settings.site.watching.checked", broken)
        watcher.look(asked=True)
    said = capsys.readouterr().err
    assert f"{path}: internal error: KeyError in test_watching.py:" in said
    assert "hunter2" not in said
    watcher.look(asked=False)
    assert names(watcher.take()) == ["door", "yard"]


def test_what_waits_for_a_restart_is_named_and_the_cameras_are_taken(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = watching(path)
    path.write_text(f"mqtt: {{url: 'mqtt://u:hunter2@h'}}\nnode: other\ntime_zone: UTC\ndefaults: {{}}\n{TWO}")
    watcher.look(asked=False)
    assert names(watcher.take()) == ["door", "yard"]
    said = capsys.readouterr().err
    assert [key for key in ("mqtt", "node", "time_zone", "defaults") if f'"key": "{key}"' in said] == ["mqtt", "node"]
    assert "hunter2" not in said


@pytest.mark.slow
def test_its_thread_notices_by_itself_and_when_asked(path: Path) -> None:
    watcher = watching(path)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        path.write_text(TWO)
        until(lambda: names(watcher.take()) == ["door", "yard"], what="the changed file")
        watcher.ask()
        until(lambda: names(watcher.take()) == ["door", "yard"], what="the file read again")
    finally:
        watcher.stop()
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_file_that_lacked_resources_is_read_again_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching_module, "RETRY_AFTER", 0.2)
    watcher = watching(path)
    found: list[list[str] | None] = []

    def full(_path: Path) -> bytes:
        monkeypatch.setattr(watching_module, "read_bytes", read_bytes)
        raise SiteError(["no descriptor left"]) from OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(watching_module, "read_bytes", full)
    path.write_text(TWO)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        until(lambda: taken(watcher, found), 40, "the cameras")
    finally:
        watcher.stop()
        thread.join()
    assert found[-1] == ["door", "yard"]


def test_cameras_that_could_not_be_put_into_force_are_offered_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "RETRY_AFTER", 0.0)
    watcher = watching(path)
    watcher.retry()
    thread = threading.Thread(target=watcher.run)
    thread.start()
    found: list[list[str] | None] = []
    try:
        until(lambda: taken(watcher, found), 10, "the cameras")
    finally:
        watcher.stop()
        thread.join()
    assert found[-1] == ["door"]
