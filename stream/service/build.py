"""Builds the parts of the service from its settings. Nothing runs yet: `running` starts threads and decoders."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from engine.engine import Engine
from stream.alarm.answer_links import AnswerLinks
from stream.alarm.event import ModelName
from stream.alarm.modes import BY_SCHEDULE, ModeSwitch
from stream.alarm.requests import Command
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.archive.store import Store
from stream.archive.writer import LIMIT, Line
from stream.base.addresses import SELF_TEST_CAMERA, BrokerAddress
from stream.base.ownership import ALONE
from stream.base.people import People
from stream.service.camera_search import CameraSearch
from stream.service.camera_starter import CameraStarter
from stream.service.canary import Canary
from stream.service.couriers import answer_links, make_couriers, make_escalation
from stream.service.daily_digest import DailyDigest, make_digest
from stream.service.drift_watch import DriftWatch
from stream.service.heat_maps import HeatMaps, make_heat_maps
from stream.service.mode_editor import ModeEditor
from stream.service.others import SettingsOfOthers
from stream.service.overview import Overview
from stream.service.processes import start_process
from stream.service.self_test import SelfTest
from stream.service.self_test_camera import SelfTestCamera
from stream.service.self_test_runner import SelfTestRunner
from stream.settings.bundle import alarm_of
from stream.settings.settings import ServiceSettings
from stream.sinks.command_listener import CommandListener
from stream.sinks.courier import Courier
from stream.sinks.mqtt import MqttSink
from stream.sinks.score_file import ScoresFile
from stream.watch.audit import Audit
from stream.watch.camera_memory import CameraMemory, Kept
from stream.watch.camera_topics import CameraTopics
from stream.watch.custody import Custody, Leases
from stream.watch.decoder_process import DecoderProcess
from stream.watch.drawings import Drawings
from stream.watch.event_files import EventFiles
from stream.watch.event_report import EventReport
from stream.watch.fleet import CameraChanges, Fleet
from stream.watch.intake import Intake
from stream.watch.metrics import Metrics
from stream.watch.mode_topics import ModeTopics
from stream.watch.node_topic import NodeTopic
from stream.watch.outlet import Outlet
from stream.watch.overrides import Overrides
from stream.watch.reaper import Reaper
from stream.watch.reporter import Reporter
from stream.watch.retained_pictures import RetainedPictures
from stream.watch.score_report import ScoreReport, TellPages
from stream.watch.scoring import Scorer
from stream.watch.site_mode import SiteMode
from stream.web.page.sources import PageSources
from stream.web.page_stream import Live
from stream.web.server import Pages, make_app, make_server, page_for_others

Web = tuple[socket.socket, People]  # the listening socket, and everybody with access


@dataclass(frozen=True)
class LineFiles:
    """The files named by `--scores` and `--events`, None if not given."""

    scores: ScoresFile | None
    events: ScoresFile | None

    @classmethod
    def opened(cls, settings: ServiceSettings) -> LineFiles:
        patient = settings.replay
        return cls(
            ScoresFile(settings.scores, patient=patient) if settings.scores else None,
            ScoresFile(settings.events, "--events", patient=patient) if settings.events else None,
        )

    @property
    def lost(self) -> int:
        """Lines that could not be written, since the start."""
        return sum(file.lost_in_all for file in (self.scores, self.events) if file is not None)

    def close(self) -> None:
        for file in (self.scores, self.events):
            if file is not None:
                file.close()


@dataclass(frozen=True)
class Parts:
    """The parts of the service; those that were not configured are None."""

    settings: ServiceSettings
    engine: Engine
    model: ModelName
    store: Store
    clock: Clock
    kept: Kept  # settings of earlier runs
    decoders: list[DecoderProcess]  # those in use, in the order of the configuration
    reaper: Reaper
    metrics: Metrics
    journal: Journal
    mqtt: MqttSink | None
    commands: CommandListener | None
    couriers: list[Courier]
    report: Reporter
    intake: Intake
    scorer: Scorer
    fleet: Fleet
    mode: SiteMode
    audit: Audit
    node: NodeTopic
    self_test: SelfTestRunner | None
    drift_watch: DriftWatch | None
    digest: DailyDigest | None
    heat_maps: HeatMaps | None
    canary: Canary | None
    overview: Overview
    live: Live
    server: uvicorn.Server | None
    changes: CameraChanges | None
    leases: Leases | None
    custody: Custody | None

    @property
    def names(self) -> Sequence[str]:
        """The cameras of this instance, and those that it shares with others."""
        return self.fleet.names if self.custody is None else self.custody.names


def build(
    settings: ServiceSettings,
    engine: Engine,
    store: Store,
    broker: BrokerAddress | None,
    lines: LineFiles,
    web: Web | None,
    changes: CameraChanges | None,
    stopping: Callable[[], bool],
    leases: Leases | None = None,
    canary_engine: Engine | None = None,
) -> Parts:
    """The finished parts. `broker` is None if nothing is published; `stopping` says whether a stop was requested.
    `leases` None: no other instance shares the cameras. `canary_engine`: that of `settings.canary`.
    """
    ownership = leases or ALONE
    path = str(engine.bundle.path.absolute())
    model = ModelName(engine.bundle.name, engine.bundle.sha256, engine.backend.name, path)
    kept, clock = store.settings.all(), store.clock
    metrics, live, reaper = Metrics(model), Live(), Reaper()
    decoders: list[DecoderProcess] = []
    own = None if web is None else page_for_others(web[0])
    page = own if leases is not None else settings.page or own  # workers that share cameras have pages of their own
    links = answer_links(store, kept, None if web is None else page)
    couriers = make_couriers(settings, store.media, metrics, clock, links)
    outlet = Outlet(metrics, live.tell, couriers, keeps=not settings.replay)
    mqtt = None
    if broker is not None:
        prefix, node, tls = settings.topic_prefix, settings.node, settings.tls
        mqtt = MqttSink(
            broker,
            prefix,
            node,
            tls,
            settled=outlet.settled,
            retained=outlet.retained,
            clock=clock,
            ownership=ownership,
        )
    pictures = RetainedPictures(mqtt, store.media)
    test = make_self_test(settings, kept)
    zone, manifest = settings.zone, engine.manifest
    test_camera = None if test is None else SelfTestCamera(
        test, manifest, model, start_process, reaper, clock, zone, store.media
    )  # fmt: skip
    commands = None
    if mqtt is not None and broker is not None and not settings.replay:
        heard = (lambda _payload: None) if test_camera is None else test_camera.heard
        names = [camera.name for camera in settings.cameras]
        commands = CommandListener(
            broker,
            settings.topic_prefix,
            settings.node,
            settings.tls,
            names,
            mqtt.announce_soon,
            mqtt.echo,
            heard,
        )
        mqtt.when_open(commands.start)
    setter = SettingsOfOthers(decoders, commands)
    line: Line = queue.Queue(LIMIT)
    retention = replace(settings.retention, cameras={camera.name: camera.retention for camera in settings.cameras})
    journal = Journal(store, retention, line, outlet.committed, pictures.expired, setter.changed)
    outlet.connect(journal, mqtt)
    post = _dropped if commands is None else commands.post
    report = make_reporter(settings, journal, mqtt, pictures, metrics, live.tell, kept, store, lines, page, post)
    starter = CameraStarter(settings, engine, model, reaper, clock, store.media, shared=leases is not None)
    fleet = Fleet(decoders, starter.start, report, lambda name: leases is not None and name in leases.names)
    switch = ModeSwitch(settings.modes, kept.get("", {}).get("mode", BY_SCHEDULE))
    drawings = Drawings(journal, {} if settings.replay else kept)
    mode_topics = ModeTopics(None if settings.replay else mqtt, settings.topic_prefix, settings.node, page)
    mode = SiteMode(switch, fleet, drawings, journal, mode_topics, clock, outlet.tell_only)
    node_topic = NodeTopic(None if settings.replay else mqtt, settings.node, page)
    runner = None
    if test is not None and test_camera is not None:
        runner = SelfTestRunner(test, test_camera, decoders, fleet, journal, mqtt, clock)
    digest = make_digest(settings, zone, kept, journal)
    drift_watch = None
    if not settings.replay:
        drift_watch = DriftWatch(settings.data, start_process, reaper, time.monotonic())
    audit = Audit(journal, clock, store.audit.last_of_each())
    overview = Overview(
        settings.node,
        lambda: replace(model, backend=engine.backend.name),
        decoders,
        mqtt,
        metrics,
        test,
        journal,
        commands,
        reaper,
        clock,
        lambda: lines.lost,
        mode.state,
        drawings.drawn,
        audit.last,
        zone,
        lambda: live.watchers,
        mode.disables,
    )
    server = None
    if web is not None:
        ports = {1883, 8080, web[0].getsockname()[1], *([] if broker is None else [broker.port])}
        search = CameraSearch(start_process, settings.site_file, frozenset(ports))
        server = make_web_server(settings, overview, commands, search, live, links, store.media, web[1])
    heat_maps = make_heat_maps(engine.bundle, report.events.heat_map, metrics, keeps=not settings.replay)
    canary = None
    if settings.canary is not None and canary_engine is not None:
        share, own_alarm = settings.canary.share, alarm_of(engine.bundle)
        canary = Canary(canary_engine, share, model, own_alarm, journal, metrics, clock, kept)
    ask, offer = None if heat_maps is None else heat_maps.ask, None if canary is None else canary.offer
    scorer = Scorer(engine, report, metrics, ask, offer, ownership)
    intake = Intake(decoders, report, metrics, stopping, replay=settings.replay)
    custody = None if leases is None else Custody(leases, decoders, report, mqtt, clock, retention)
    return Parts(
        settings, engine, model, store, clock, kept, decoders, reaper, metrics, journal, mqtt, commands, couriers,
        report, intake, scorer, fleet, mode, audit, node_topic, runner, drift_watch, digest, heat_maps, canary,
        overview, live, server, changes, leases, custody,
    )  # fmt: skip


def make_reporter(
    settings: ServiceSettings,
    journal: Journal,
    mqtt: MqttSink | None,
    pictures: RetainedPictures,
    metrics: Metrics,
    tell_pages: TellPages,
    kept: Kept,
    store: Store,
    lines: LineFiles,
    page: str | None,
    post: Callable[[Command], None],
) -> Reporter:
    """The reporter for these settings; `post` queues a command for the loop."""
    keeps = not settings.replay
    topics = CameraTopics(settings, mqtt, metrics, page)
    clock = store.clock
    files = EventFiles(journal, store.media, pictures, clock, keeps=keeps)
    escalation = None if settings.replay else make_escalation(settings.notify, store)
    events = EventReport(journal, files, topics, metrics, clock, lines.events, escalation)
    memory = CameraMemory(journal, kept, keeps=keeps, recalls_learnt=settings.calibration is None)
    scores = ScoreReport(journal, mqtt, lines.scores, metrics, tell_pages, clock, keeps=keeps)
    overrides = Overrides(journal, events, topics, memory, kept, clock, post)
    return Reporter(journal, scores, events, files, topics, pictures, memory, overrides)


def make_self_test(settings: ServiceSettings, kept: Kept) -> SelfTest | None:
    """The self-test with its result of an earlier run."""
    if settings.self_test is None:
        return None
    test = SelfTest(settings.self_test, time.monotonic())
    if memory := kept.get(SELF_TEST_CAMERA, {}).get("self_test"):
        test.recall(memory)
    return test


def make_web_server(
    settings: ServiceSettings,
    overview: Overview,
    commands: CommandListener | None,
    search: CameraSearch,
    live: Live,
    links: AnswerLinks,
    media: Path,
    people: People,
) -> uvicorn.Server:
    """Health and metrics, and the page, except in a replay, which stores no events to show."""
    page = None
    if not settings.replay and commands is not None:
        page = PageSources(
            overview.state,
            overview.look,
            overview.line,
            overview.view,
            commands.post,
            search,
            ModeEditor(settings.site_file),
            live,
            settings.data,
            links,
        )
    kept_media = None if settings.replay else media
    pages = Pages(overview.health, overview.missing, overview.exposition, kept_media, page)
    return make_server(make_app(pages, people), people)


def _dropped(_command: Command) -> None:
    """A replay takes no commands."""
