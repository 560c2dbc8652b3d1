"""The log: secrets never pass, and a log that cannot be written stops nothing."""

from __future__ import annotations

import io
import json
import sys

import pytest

from stream.base.errors import Reason
from stream.base.log import configure, log


class _FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_on_a_full_disk_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    monkeypatch.setattr(sys, "stderr", _FullDisk())
    log.info("one")
    log.error("two", camera="door")
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    log.warning("three")
    assert json.loads(said.getvalue())["event"] == "three"


def test_a_traceback_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure(["hunter2"])
    try:
        raise ValueError("cannot open 'rtsp://viewer:hunter2@cam/1'")
    except ValueError:
        log.exception("a defect")
    assert "Traceback" in said.getvalue()
    assert "hunter2" not in said.getvalue()


def test_a_password_that_is_a_common_word_tears_no_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure([*map(str, range(2020, 2100)), "camera", "wrong", "door"])
    log.warning("camera offline", camera="door", reason=Reason.UNAUTHORIZED, detail="wrong: camera at rtsp://u:x@h")
    told = json.loads(said.getvalue())
    assert told["timestamp"].startswith("20")
    assert (told["event"], told["camera"], told["reason"]) == ("camera offline", "door", "wrong user or password")
    assert told["detail"] == "***: *** at rtsp://***@h"
