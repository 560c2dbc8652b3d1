"""Somebody answers an alarm: while it is open, after it is over, by "latest", and twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from stream.alarm.escalation import Escalation
from stream.alarm.event import Event, Moment
from stream.alarm.requests import Acknowledge, Command, GiveVerdict
from stream.alarm.rule import AlarmSettings
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.service.couriers import make_escalation
from stream.settings.settings import CameraConfig
from stream.sinks.notifications import EscalateSettings, NotifySettings
from stream.watch.decoder_process import DecoderProcess
from stream.watch.pending_messages import PendingMessages
from stream.watch.watched_camera import WatchedCamera
from tests.stream.watch.reporting import MODEL, journal_of, reporter, settings_for

CONFIG = CameraConfig(Source("door", "rtsp://h/1", live=True), AlarmSettings(0.8, 0.6, min_duration=0.0))


class Desk:
    """A camera, and what it says."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.camera = WatchedCamera(CONFIG, MODEL, wall=store.clock.wall)
        self.decoder = cast(
            DecoderProcess,
            SimpleNamespace(
                camera=self.camera, config=CONFIG, pending_messages=PendingMessages(), order=lambda _order: None
            ),
        )
        self.posted: list[Command] = []
        self.journal = journal_of(store)
        self.report = reporter(settings_for(store.media.parent), self.journal, store, self.posted.append)

    def alarm(self) -> Event:
        """An alarm begins; its `new` has been said."""
        now = self.store.clock.now()
        clip = ClipReady(0, 0, now, now + 0.64, 0.0, 0)
        self.camera.push(clip, np.zeros((1, 8), np.float32))
        scored = self.camera.scored(clip, np.array([0.9], np.float32), lambda window: np.ones(len(window), np.float32))
        self.report.events.say(self.decoder, scored.event)
        self.decoder.pending_messages.lost()  # it has no image and no clip
        self.report.events.release(self.decoder)
        assert self.camera.alarm.event is not None
        return self.camera.alarm.event

    def acknowledge(self, event: str, by: str) -> None:
        self.posted.append(Acknowledge("door", event, by))
        self.obey()

    def obey(self) -> None:
        for _ in range(3):
            while self.posted:
                self.report.overrides.obey([self.decoder], self.posted.pop(0))
            self.written()

    def escalate(self) -> None:
        self.report.overrides.acknowledgements.escalate_due([self.decoder])
        self.written()

    def written(self) -> None:
        self.journal.stop()
        self.journal.run()

    def said(self) -> list[tuple[str, int, str | None]]:
        messages = [waiting.payload for waiting in self.store.events.waiting()]
        return [(m.type, m.seq, None if m.acknowledged is None else m.acknowledged.by) for m in messages]


def test_an_open_alarm_is_acknowledged_once_and_its_end_repeats_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        event = desk.alarm()
        desk.acknowledge("latest", "anna")
        desk.acknowledge(event.id, "ben")
        desk.report.events.close_scored(desk.decoder, "disabled")
        desk.written()
        assert desk.said() == [("new", 0, None), ("ack", 1, "anna"), ("end", 2, "anna"), ("media", 3, "anna")]


def test_an_alarm_that_is_over_is_acknowledged_from_the_database(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        event = Event.begun("door", store.clock.now() - 60, (0.8, 0.6), MODEL)
        for message in (event.new(Moment(0.9, 0.9, 32, 0.0)), event.end(None, event.start_time + 4.5, "score")):
            store.events.add(message, event.start_time, awaits_files=False)
        desk.acknowledge("latest", "anna")
        desk.acknowledge("latest", "ben")
        desk.acknowledge(event.id, "carl")
        assert desk.said() == [("new", 0, None), ("end", 1, None), ("ack", 2, "anna")]
        (listed,) = store.events.since(0.0)
        assert listed.as_json()["acknowledged"]["by"] == "anna"
        assert abs(listed.as_json()["acknowledged"]["time"] - store.clock.wall(store.clock.now())) < 30


def test_an_unknown_event_or_one_of_another_camera_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        other = Event.begun("yard", store.clock.now() - 60, (0.8, 0.6), MODEL)
        store.events.add(other.new(Moment(0.9, 0.9, 32, 0.0)), 1.0, awaits_files=False)
        for event in ("latest", "1.00-abcdef", other.id):
            desk.acknowledge(event, "anna")
        assert desk.said() == [("new", 0, None)]


def test_an_alarm_that_nobody_answers_is_escalated_while_it_is_open_and_after_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        desk.report.events.escalation = Escalation(1e-6)
        event = desk.alarm()
        desk.escalate()
        desk.report.events.close_scored(desk.decoder, "disabled")
        desk.escalate()
        desk.acknowledge(event.id, "anna")
        desk.escalate()
        steps = [(kind, seq) for kind, seq, _ in desk.said()]
        assert steps == [("new", 0), ("escalated", 1), ("end", 2), ("media", 3), ("escalated", 4), ("ack", 5)]


def test_a_verdict_is_an_answer(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        desk.report.events.escalation = Escalation(1e-6)
        desk.posted.append(GiveVerdict("door", desk.alarm().id, "false_alarm"))
        desk.obey()
        desk.escalate()
        assert desk.said() == [("new", 0, None)]


def test_what_an_earlier_run_left_unanswered_is_escalated(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        now = store.clock.now()
        ids = []
        for age in (10.0, 20.0, 30.0, 4_000.0):  # unanswered, acknowledged, judged, too long ago
            event = Event.begun("door", now - age, (0.8, 0.6), MODEL)
            store.events.add(event.new(Moment(0.9, 0.9, 32, now)), now, awaits_files=False)
            ids.append(event.id)
        store.events.judge("door", ids[2], "true")
        desk = Desk(store)
        desk.acknowledge(ids[1], "anna")
        notify = NotifySettings((), escalate=EscalateSettings(60.0, ("json://h",)))
        escalation = make_escalation(notify, store)
        assert escalation.due(store.clock.now() + 30.0) == []
        assert escalation.due(store.clock.now() + 61.0) == [("door", ids[0])]
        assert make_escalation(None, store).due(1e12) == []
