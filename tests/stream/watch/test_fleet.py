"""Cameras come and go: here the fault that a real machine shows only when it is full."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from engine.bundle import Bundle
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import StreamError
from stream.service.processes import start_process
from stream.settings.settings import CameraConfig
from stream.watch.decoder_process import DecoderProcess
from stream.watch.fleet import Fleet
from stream.watch.reaper import Reaper
from stream.watch.reporter import Reporter
from stream.watch.watched_camera import WatchedCamera
from tests.servers.processes import free_port


def camera(name: str) -> CameraConfig:
    return CameraConfig(Source(name, f"rtsp://127.0.0.1:{free_port()}/cam", live=True), AlarmSettings(0.8, 0.6))


def test_without_room_for_all_new_cameras_none_is_begun(tiny_bundle: Path) -> None:
    manifest = Bundle.open(tiny_bundle).manifest
    begun: list[DecoderProcess] = []
    reaper = Reaper()

    def begin(config: CameraConfig, _waits: bool) -> DecoderProcess:
        if begun:
            raise StreamError("shared memory: no room")
        begun.append(
            DecoderProcess(
                config,
                WatchedCamera(config, ModelName("b", "0", "x")),
                manifest,
                False,
                start_process,
                reaper,
                SteadyClock(0.0),
            )
        )
        return begun[0]

    decoders: list[DecoderProcess] = []
    fleet = Fleet(decoders, begin, cast(Reporter, None))  # nothing may be reported
    with pytest.raises(StreamError, match="no room"):
        fleet.configure([camera("door"), camera("yard")])
    assert decoders == []
    assert fleet.leaving == []
    reaper.wait(10)
    assert (begun[0].process, len(reaper)) == (None, 0)
    assert not hasattr(begun[0].ring, "clips")  # closed


@dataclass
class Watched:
    """A decoder that does nothing."""

    config: CameraConfig
    camera: WatchedCamera
    pending_clips: list[Any] = field(default_factory=list)

    def stop(self) -> None: ...

    def __hash__(self) -> int:
        return id(self)


@dataclass
class Told:
    """A reporter that notes which cameras were left, and which forgotten."""

    left: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    @property
    def events(self) -> Told:
        return self

    def close(self, _decoder: DecoderProcess, _reason: str) -> None: ...

    def leave(self, camera: WatchedCamera) -> None:
        self.left.append(camera.name)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


def test_topics_of_a_camera_that_another_instance_may_have_are_left_as_they_are() -> None:
    decoders = [
        cast(DecoderProcess, Watched(config, WatchedCamera(config, ModelName("b", "0", "x"))))
        for config in (camera("door"), camera("yard"))
    ]
    report = Told()

    def begin(_config: CameraConfig, _waits: bool) -> DecoderProcess:
        raise AssertionError("nothing is to be begun")

    # yard is not in the site file any more
    fleet = Fleet(decoders, begin, cast(Reporter, report), lambda name: name == "door")
    fleet.configure([])
    assert (report.left, report.forgotten) == (["door"], ["yard"])
