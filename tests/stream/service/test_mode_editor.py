"""Modes are changed in the site file as a person would, and only what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.base.errors import UsageError
from stream.service.mode_editor import ModeEditor
from stream.settings.site.reading import read_site

FILE = """# mine
cameras:
  door: {url: rtsp://h/1}   # front
  yard: {url: rtsp://h/2, enabled: false}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(FILE)
    return path


def test_modes_are_proposed_and_entered(path: Path) -> None:
    editor = ModeEditor(path)
    found = editor.shown()
    usual, none = {"door": True, "yard": False}, {"door": False, "yard": False}
    assert found == {"modes": {"away": usual, "home": usual, "night": usual, "off": none}, "proposed": True, "why": ""}
    wanted = {**found["modes"], "home": none, "away": {"door": True, "yard": True}}
    assert editor.save(wanted) == {"why": "", "yaml": ""}
    assert editor.shown() == {"modes": wanted, "proposed": False, "why": ""}
    assert (
        path.read_text()
        == FILE
        + """modes:
  away:
    cameras:
      yard:
        enabled: true
  home:
    cameras:
      door:
        enabled: false
  night: {}
  off:
    every:
      enabled: false
"""
    )


MODES = """modes:
  home:   # while somebody is in
    cameras: {door: {enabled: false, threshold_on: 0.7}, yard: {enabled: true}}
    recipients: []
  off: {every: {enabled: false}}
# what follows
"""


def test_what_else_a_mode_says_stays(path: Path) -> None:
    path.write_text(FILE + MODES)
    editor = ModeEditor(path)
    modes = editor.shown()["modes"]
    assert modes == {"home": {"door": False, "yard": True}, "off": {"door": False, "yard": False}}
    editor.save({"home": {"door": True, "yard": False}, "off": {"door": True, "yard": False}})
    text = path.read_text()
    assert "cameras: {door: {enabled: true, threshold_on: 0.7}, yard: {enabled: false}}" in text
    assert "# while somebody is in" in text
    assert "off: {cameras: {door: {enabled: true}}, every: {enabled: false}}\n# what follows\n" in text
    home = read_site(path).modes()["home"]
    assert (home.recipients, home.of("door").threshold_on) == (frozenset(), 0.7)


def test_what_is_refused(path: Path) -> None:
    editor = ModeEditor(path)
    modes = editor.shown()["modes"]
    for wrong in (
        {**modes, "holiday": modes["home"]}, {"home": modes["home"]}, {**modes, "home": {"door": True}},
        {**modes, "home": {**modes["home"], "roof": True}},
    ):  # fmt: skip
        with pytest.raises(UsageError, match="must be away, home, night, off, each with the cameras door, yard"):
            editor.save(wrong)
    shared = FILE + "modes:\n  home: &one {cameras: {door: {enabled: false}}}\n  away: *one\n"
    path.write_text(shared)
    modes = editor.shown()["modes"]
    with pytest.raises(UsageError, match="cannot be changed one by one"):
        editor.save({**modes, "home": {"door": True, "yard": False}})
    assert path.read_text() == shared
    path.write_text("cameras: [")
    with pytest.raises(UsageError, match="not YAML"):
        editor.shown()


def test_a_file_that_cannot_be_written_is_to_be_pasted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path, _text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("stream.settings.site.editing.replace_file", refused)
    editor = ModeEditor(path)
    done = editor.save(editor.shown()["modes"])
    assert done["why"] == f"{path} cannot be written: Read-only file system"
    assert done["yaml"].startswith("modes:\n  away: {}\n")
    assert path.read_text() == FILE


def test_without_a_site_file_it_says_so() -> None:
    found = ModeEditor(None).shown()
    assert (found["modes"], "start mgfn-stream with --config" in found["why"]) == ({}, True)
    with pytest.raises(UsageError, match="no site file"):
        ModeEditor(None).save({})
