"""Drawings over restarts, and which camera they concern."""

from __future__ import annotations

import json
from typing import cast

import pytest

from stream.alarm.drawing import Drawing
from stream.alarm.rule import AlarmSettings
from stream.archive.journal import Journal
from stream.base.addresses import Source
from stream.camera.view import Region, View
from stream.settings.settings import CameraConfig
from stream.watch.drawings import Drawings, drawing_in_force, view_of

TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
DOOR = CameraConfig(
    Source("door", "rtsp://h/1", live=True), AlarmSettings(0.8, 0.6), view=View(Region(0.0, 0.0, 0.5, 0.5))
)


class Kept:
    """A journal that keeps the settings only."""

    def __init__(self) -> None:
        self.settings: dict[str, dict[str, str]] = {}

    def setting(self, camera: str, name: str, value: str | None) -> None:
        self.settings.setdefault(camera, {})[name] = value or ""
        if value is None:
            del self.settings[camera][name]


def test_a_drawing_replaces_the_view_until_it_is_removed() -> None:
    journal = Kept()
    drawing = Drawing((0.1, 0.2, 0.3, 0.4), (TRIANGLE,), (TRIANGLE,))
    drawings = Drawings(cast(Journal, journal), {})
    assert drawings.applied(DOOR) is DOOR
    drawings.set("door", drawing)
    for these in (drawings, Drawings(cast(Journal, journal), journal.settings)):  # and after a restart
        assert these.drawn("door")
        assert not these.drawn("hall")
        assert these.applied(DOOR).view == View(Region(0.1, 0.2, 0.3, 0.4), (TRIANGLE,), (TRIANGLE,))
        assert drawing_in_force(these.applied(DOOR).view) == drawing
    drawings.set("door", Drawing())
    assert drawings.applied(DOOR).view == View()
    drawings.set("door", None)
    assert drawings.applied(DOOR) is DOOR
    assert journal.settings == {"door": {}}


def test_a_stored_drawing_that_cannot_be_used_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    crossed = json.dumps({"masks": [[[0, 0], [1, 1], [1, 0], [0, 1]]]})
    kept = {"a": {"view": crossed}, "b": {"view": "{"}, "c": {"threshold": "0.5"}}
    drawings = Drawings(cast(Journal, Kept()), kept)
    assert not any(drawings.drawn(camera) for camera in kept)
    assert view_of(Drawing()) == View()
