"""What leaves the loop, and to whom."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from stream.alarm.event import Event, EventMessage, Moment
from stream.alarm.outbox import Waiting
from stream.alarm.requests import Command, SetEnabled, SetThreshold
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period, Schedule, kept_schedule
from stream.archive.store import Store
from stream.base.addresses import SELF_TEST_CAMERA, Source
from stream.lookback.history import rule_of
from stream.settings.settings import CameraConfig
from stream.sinks.courier import Courier
from stream.sinks.delivery import stamped
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import Metrics
from stream.watch.outlet import Outlet
from stream.watch.watched_camera import WatchedCamera
from stream.web.page_stream import Live
from tests.events import event_message
from tests.stream.watch.reporting import MODEL, journal_of, reporter, settings_for


class Box:
    """A recipient that wants everything."""

    name = "box"

    def __init__(self) -> None:
        self.offered: list[str] = []

    def wants(self, payload: EventMessage, now: float) -> bool:  # noqa: ARG002 -- the protocol
        self.offered.append(payload.camera)
        return False

    def worth(self, payload: EventMessage) -> float:  # noqa: ARG002 -- the protocol
        return 0.0

    def deliver(self, payload: EventMessage) -> None:  # noqa: ARG002 -- the protocol
        raise AssertionError


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"test": True}, True),
        ({"camera": SELF_TEST_CAMERA, "test": True}, False),
        ({"severity": "notice"}, False),
        ({"suppressed": "hourly_cap"}, False),
    ],
)
def test_self_tests_notices_and_suppressed_alarms_reach_neither_frigate_nor_people(
    tmp_path: Path, changes: dict[str, Any], told: bool
) -> None:
    box, metrics = Box(), Metrics(MODEL)
    with Store.in_memory(tmp_path) as store:
        journal = journal_of(store)
        outlet = Outlet(metrics, Live().tell, [Courier(box, metrics.notified)], keeps=True)
        outlet.connect(journal, None)
        outlet.committed(Waiting(event_message(**changes), 1.0))
    assert box.offered == (["front_door"] if told else [])


def test_what_the_broker_has_is_listed_as_it_left(tmp_path: Path) -> None:
    payload = Event.begun("door", 1_000.0, (0.8, 0.6), MODEL).new(Moment(0.9, 0.9, 32, 1_000.0))
    with Store.open(tmp_path) as store:
        key = store.events.add(payload, 1_000.5, awaits_files=False)
        journal = journal_of(store)
        outlet = Outlet(Metrics(MODEL), Live().tell, (), keeps=True)
        outlet.connect(journal, None)
        outlet.settled(Waiting(payload, 1_000.5, key), stamped(payload, 0.25, 1_000.75))
        journal.stop()
        journal.run()
        (listed,) = store.events.since(0.0)
        assert (listed.message.published_time, listed.message.latency_ms) == (1_000.75, 750)
        assert store.events.waiting() == []


def test_the_last_message_of_an_alarm_names_its_heat_map(tmp_path: Path) -> None:
    found = {}
    heated, plain, unseen = "1000.00-aaaaaa", "1000.00-bbbbbb", "1000.00-cccccc"  # the last one has no image
    for event in (heated, plain, unseen):
        with Store.open(tmp_path / event) as store:
            journal = journal_of(store)
            report = reporter(settings_for(tmp_path), journal, store)
            for each in (heated, unseen):
                report.events.heat_map(each, b"{}")
            image = None if event == unseen else "/api/events/x/snapshot.jpg"
            waiting = [
                event_message(id=event, seq=seq, type=kind, snapshot=image)
                for seq, kind in enumerate(("new", "end", "media"))
            ]
            for message in waiting:
                due = SimpleNamespace(due=lambda _now, message=message: [message])
                camera = SimpleNamespace(is_self_test=False)
                report.events.release(cast(DecoderProcess, SimpleNamespace(pending_messages=due, camera=camera)))
            journal.stop()
            journal.run()
            found[event] = [waiting.payload.heat_map for waiting in store.events.waiting()]
    assert found == {
        heated: [None, None, f"/api/events/{heated}/heat.jpg"],
        plain: [None, None, None],
        unseen: [None, None, None],
    }


def test_what_was_set_is_taken_back_for_this_run_and_the_next(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    config = CameraConfig(Source("door", "rtsp://h/1", live=True), AlarmSettings(0.8, 0.6), enabled=False)

    def after(*commands: Command) -> tuple[float, bool, dict[str, str]]:
        """What is in force once a run has obeyed, and what the next one will find."""
        camera = WatchedCamera(config, MODEL)
        decoder = cast(DecoderProcess, SimpleNamespace(camera=camera, config=config, shed_pending=lambda: None))
        with Store.open(tmp_path) as store:
            journal = journal_of(store)
            report = reporter(settings, journal, store)
            report.introduce(camera)
            for command in commands:
                report.overrides.obey([decoder], command)
            writer = threading.Thread(target=journal.run)
            writer.start()
            journal.stop()
            writer.join(10)
            found = store.settings.all()["door"]
        return (
            camera.alarm.rule.settings.threshold_on,
            camera.presence.enabled,
            {n: v for n, v in found.items() if n in ("enabled", "threshold")},
        )

    assert after(SetThreshold("door", 0.5), SetEnabled("door", True)) == (
        0.5,
        True,
        {"threshold": "0.5", "enabled": "ON"},
    )
    assert after() == (0.5, True, {"threshold": "0.5", "enabled": "ON"})
    assert after(SetThreshold("door", None), SetEnabled("door", None)) == (0.8, False, {})
    assert after() == (0.8, False, {})


def test_what_if_learns_the_rule_and_the_schedule_in_force(tmp_path: Path) -> None:
    nights = Schedule((Period(0, 360),), ZoneInfo("Europe/Berlin"))
    rule = AlarmSettings(0.7, 0.5, min_duration=2.0)
    camera = CameraConfig(Source("door", "rtsp://door/1", live=True), rule, schedule=nights)
    settings = settings_for(tmp_path, camera)
    with Store.in_memory(tmp_path) as store:
        journal = journal_of(store)
        report = reporter(settings, journal, store)
        report.introduce(WatchedCamera(camera, MODEL))
        journal.stop()
        journal.run()
        assert rule_of(store, "door") == rule
        assert kept_schedule(store.settings.all()["door"]["schedule"]) == nights
