"""What the decoders send, in the order in which they sent it; and decoders that hang, die or cannot be started."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast

import pytest

from stream.alarm.event import EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import Reason, StreamError
from stream.camera.messages import WIRE, CameraState, ClipReady, StateChanged
from stream.settings.settings import CameraConfig
from stream.watch.decoder_process import FIRST_RETRY, STARTED_WITHIN, DecoderProcess, hear_out
from stream.watch.fleet import Fleet
from stream.watch.intake import Intake
from stream.watch.metrics import Metrics
from stream.watch.reaper import Reaper
from stream.watch.reporter import Reporter
from stream.watch.watched_camera import WatchedCamera
from tests.bundles import tiny_manifest

MODEL = ModelName("tiny", "0" * 64, "openvino")


class StuckProcess:
    """A process in an uninterruptible disk wait: `kill` does nothing, and joining it would never return."""

    def __init__(self) -> None:
        self.killed = False
        self.pid = 0

    def kill(self) -> None:
        self.killed = True

    def is_alive(self) -> bool:
        return True

    def join(self, _timeout: float | None = None) -> None:
        raise AssertionError("the loop waits for a process")


class Machine:
    """Starts stuck processes, or refuses to while `full`; keeps the processes' ends of the pipes."""

    def __init__(self) -> None:
        self.full = False
        self.started: list[StuckProcess] = []
        self.pipes: list[Connection] = []

    def start(self, _target: Callable[..., None], _args: Sequence[Any], _name: str) -> tuple[SpawnProcess, Connection]:
        if self.full:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        ours, theirs = multiprocessing.Pipe()
        self.pipes.append(theirs)
        self.started.append(StuckProcess())
        return cast(SpawnProcess, self.started[-1]), ours


class Report:
    """Is told and does nothing."""

    def __init__(self) -> None:
        self.events = self.topics = self

    def say(self, _decoder: DecoderProcess, message: EventMessage | None) -> None: ...

    def close_scored(self, decoder: DecoderProcess, reason: str) -> None:
        for message in decoder.camera.close_scored(reason):
            self.say(decoder, message)

    def status(self, _camera: WatchedCamera) -> None: ...

    def introduce(self, _camera: WatchedCamera) -> None: ...


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    for pipe in machine.pipes:
        pipe.close()


def config_of(name: str) -> CameraConfig:
    return CameraConfig(Source(name, "rtsp://127.0.0.1:9/cam", live=True), AlarmSettings(0.5, 0.4))


def watched(name: str, machine: Machine, reaper: Reaper) -> DecoderProcess:
    config = config_of(name)
    return DecoderProcess(
        config,
        WatchedCamera(config, MODEL),
        tiny_manifest(),
        False,
        machine.start,
        reaper,
        SteadyClock(0.0),
    )


@pytest.fixture
def decoders(machine: Machine) -> Iterator[list[DecoderProcess]]:
    found = [watched("door", machine, Reaper()), watched("yard", machine, Reaper())]
    yield found
    for decoder in found:
        if decoder.pipe is not None:
            decoder.pipe.close()
        decoder.ring.close()


def make(decoders: list[DecoderProcess], report: Report) -> Intake:
    return Intake(decoders, cast(Reporter, report), Metrics(MODEL), lambda: False, replay=False)


def clip(number: int) -> ClipReady:
    now = time.monotonic()
    return ClipReady(0, number, now + number, now + number + 0.64, now, 0)


def test_a_camera_is_lost_only_after_the_clips_that_came_before(
    machine: Machine, decoders: list[DecoderProcess]
) -> None:
    intake, door = make(decoders, Report()), decoders[0]
    for message in (
        StateChanged(CameraState.ONLINE, 0),
        clip(0),
        clip(1),
        StateChanged(CameraState.OFFLINE, 0, Reason.STALLED),
        StateChanged(CameraState.ONLINE, 1),
    ):
        machine.pipes[0].send_bytes(WIRE.packed(message))
    intake.receive()
    seen = []
    for _ in range(3):
        intake.look_after(door, time.monotonic())
        seen.append((len(door.pending_clips), door.camera.presence.state, len(door.camera.presence._losses)))
        if door.pending_clips:
            door.pending_clips.popleft()  # it is scored
    assert seen == [(2, CameraState.ONLINE, 0), (1, CameraState.ONLINE, 0), (0, CameraState.ONLINE, 1)]


def test_replacing_a_decoder_that_no_kill_ends_waits_for_nothing(
    machine: Machine, decoders: list[DecoderProcess]
) -> None:
    intake, door = make(decoders, Report()), decoders[0]
    now = door.last_sign + STARTED_WITHIN + 1
    intake.look_after(door, now)  # StuckProcess.join would fail the test
    assert [process.killed for process in machine.started] == [True, False, False]
    assert door.process is cast(SpawnProcess, machine.started[2])
    assert door.camera.presence.state is CameraState.OFFLINE


def test_a_decoder_that_cannot_be_started_is_offline_and_tried_again(
    machine: Machine, decoders: list[DecoderProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    intake, (door, yard) = make(decoders, Report()), decoders
    machine.pipes[0].send_bytes(WIRE.packed(StateChanged(CameraState.ONLINE, 0)))
    intake.receive()
    assert door.camera.presence.state is CameraState.ONLINE
    machine.full = True
    machine.pipes[0].close()  # it died
    began = time.monotonic()
    intake.receive()
    assert (door.process, door.pipe, door.camera.presence.state) == (None, None, CameraState.OFFLINE)
    assert door.camera.problem(0.0) == "no decoder process can be started"
    assert "Resource temporarily unavailable" in "".join(capsys.readouterr())
    # the other one is still heard
    machine.pipes[1].send_bytes(WIRE.packed(StateChanged(CameraState.ONLINE, 0)))
    intake.receive()
    assert yard.camera.presence.state is CameraState.ONLINE
    # after 1 s, 2 s, 4 s: three attempts in vain
    at = time.monotonic()
    assert not door.start_due(began + 0.9 * FIRST_RETRY)
    for pause in (1.0, 2.0, 4.0):
        at += pause
        assert door.start_due(at)
        intake.look_after(door, at)
        assert not door.start_due(at + 0.01)
    machine.full = False
    intake.look_after(door, at + 8.0)
    assert door.process is not None
    assert not door.start_due(at + 1e6)
    machine.pipes[-1].send_bytes(WIRE.packed(StateChanged(CameraState.ONLINE, 0)))
    intake.receive()
    assert door.camera.problem(0.0) == ""


def test_a_stop_with_no_process_is_clean(machine: Machine, decoders: list[DecoderProcess]) -> None:
    intake, door = make(decoders, Report()), decoders[0]
    machine.full = True
    intake.look_after(door, door.last_sign + STARTED_WITHIN + 1)
    assert door.pipe is None
    door.stop()
    hear_out([door], 0.1, lambda *_: None)
    door.end()
    assert door.process is None


def test_cameras_that_cannot_be_started_at_first_wait_and_take_no_other_along(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(config: CameraConfig, waits: bool) -> DecoderProcess:
        machine.full = config.name == "door"
        return DecoderProcess(
            config, WatchedCamera(config, MODEL), tiny_manifest(), False, machine.start, Reaper(), SteadyClock(0.0),
            waits=waits,
        )  # fmt: skip

    decoders: list[DecoderProcess] = []
    fleet = Fleet(decoders, begin, cast(Reporter, Report()))
    fleet.configure([config_of("door"), config_of("yard")])
    door, yard = decoders
    intake = make(decoders, Report())
    for decoder in decoders:
        intake.look_after(decoder, time.monotonic())
    assert door.camera.problem(0.0) == "no decoder process can be started"
    assert "no process for door: Resource temporarily unavailable" in "".join(capsys.readouterr())
    assert yard.process is not None
    with pytest.raises(StreamError, match="no process for door: Resource"):  # later, all or none
        fleet.configure([replace(config_of("door"), fps=5), config_of("yard")])
    assert decoders == [door, yard]
    machine.full = False
    intake.look_after(door, time.monotonic() + FIRST_RETRY)
    machine.pipes[-1].send_bytes(WIRE.packed(StateChanged(CameraState.ONLINE, 0)))
    intake.receive()
    assert door.camera.presence.state is CameraState.ONLINE
    for decoder in decoders:
        decoder.close()
