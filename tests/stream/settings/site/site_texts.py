"""Reads texts as site files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.alarm.rule import AlarmSettings
from stream.settings.settings import CameraConfig
from stream.settings.site.reading import Site, SiteError, checked

BUNDLE = AlarmSettings(0.8, 0.6)


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
