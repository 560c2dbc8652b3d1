"""The service: startup, main loop, shutdown. Threads, processes and queues are created here and nowhere else.

One decoder process for each camera writes clips into its shared ring; the main loop takes ready clips, one of each
camera at most and no more than the engine takes with profit, oldest first, runs them through the engine together, and
acts on the scores. It never waits for a camera, a disk or a broker. What bounds what:

| queue | bound | when full |
|---|---|---|
| finished clips of a camera | PENDING_CLIPS | the oldest is dropped, counted, status `degraded` |
| finished clips of all | `turns.LONGEST_WAIT` seconds | the oldest are dropped, in turn, counted, `degraded` |
| a camera's ring | PENDING_CLIPS + 2 | its decoder drops the new clip whole, counted |
| a camera's packets | seconds, 64 MiB | the oldest go |
| what is to be written | `journal.LIMIT` | scores are left out from half of it on; then events go out from memory |
| messages to Frigate and people | `courier.LIMIT` each | the oldest, counted; none is lost to MQTT by it |
| events to the broker | `outbox.LIMIT`, `outbox.LONGEST_WAIT` | oldest `update`, else oldest message, counted |
| commands | the newest for each camera and kind | the older one is forgotten |
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

import uvicorn

from engine.engine import Engine
from stream.alarm.event import ModelName
from stream.alarm.requests import AUTO, Command, SetThreshold
from stream.archive.journal import LIMIT, Journal, Task
from stream.archive.store import Store
from stream.base.addresses import SELF_TEST_CAMERA
from stream.base.errors import StreamError
from stream.base.log import log
from stream.service.drift_watch import DriftWatch
from stream.service.overview import Overview
from stream.service.self_test import Result, SelfTest
from stream.service.self_test_camera import SelfTestCamera
from stream.service.stopping import StopClock
from stream.service.supervisor import Supervisor
from stream.settings.calibration_file import write_calibration
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.command_listener import CommandListener
from stream.sinks.courier import Courier
from stream.sinks.embedded_broker import EmbeddedBroker
from stream.sinks.mqtt import MqttSink
from stream.sinks.recipients import recipients_of
from stream.sinks.score_file import ScoresFile
from stream.watch.decoder_process import DecoderProcess, hear_out
from stream.watch.fleet import CameraChanges, Fleet
from stream.watch.intake import Intake
from stream.watch.learnt_score import calibration_of
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter
from stream.watch.scheduling import next_batch
from stream.watch.scoring import score
from stream.watch.watched_camera import WatchedCamera
from stream.web.page.routes import PageSources
from stream.web.page_stream import Live
from stream.web.server import Pages, make_app, make_server, page_for_others

_STATS_EVERY: Final = 60.0
_SCENES_EVERY: Final = 3_600.0
# The parts of a stop, in seconds: each at most, and together what `stream.service.stopping` allows.
_CLIPS_CLOSED_WITHIN, _WRITTEN_WITHIN, _DELIVERED_WITHIN, _ENDED_WITHIN = 1.2, 0.5, 1.2, 0.5
_REPLAY_WAITS: Final = 15.0  # for the broker to take the next of what it found

_spawn = multiprocessing.get_context("spawn")


def start_process(target: Callable[..., None], args: Sequence[Any], name: str) -> tuple[SpawnProcess, Connection]:
    """A process that runs `target(*args, pipe)`, and the other end of its pipe; it ends with this process."""
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=target, args=(*args, theirs), name=name, daemon=True)
    # Ctrl-C reaches the whole group, also while the child still imports; the service decides
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    theirs.close()
    return process, ours


def check_threads(threads: Mapping[str, threading.Thread]) -> None:
    """Raise StreamError if one has died without which no alarm leaves: better started anew than deaf."""
    for name in ("journal", "mqtt"):
        if name in threads and not threads[name].is_alive():
            raise StreamError(f"the thread {name!r} died, see above: no alarm would leave any more")


class Service:
    """Watches cameras until stopped, or recordings until their end. `run` is the whole life."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        store: Store,
        web: tuple[socket.socket, str | None] | None,
        changes: CameraChanges | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._store = store
        self._web = web
        self._changes = changes
        self._supervisor = Supervisor()
        self._stopping = False
        self._clock = StopClock(self._save)
        self._model = ModelName(
            engine.bundle.name, engine.bundle.sha256, engine.backend.name, str(engine.bundle.path.absolute())
        )
        self._calibration = calibration_of(engine.manifest)
        self._metrics = Metrics(self._model)
        self._decoders: list[DecoderProcess] = []
        self._fleet = Fleet(self._decoders, self._begin_camera, lambda: self._report)
        self._intake = Intake(
            self._decoders, lambda: self._report, self._metrics, lambda: self._stopping, replay=settings.replay
        )
        self._mqtt: MqttSink | None = None
        self._commands: CommandListener | None = None
        self._server: uvicorn.Server | None = None
        self._broker: EmbeddedBroker | None = None
        self._threads: dict[str, threading.Thread] = {}
        patient = bool(settings.replay)
        self._scores = ScoresFile(settings.scores, patient=patient) if settings.scores else None
        self._events = ScoresFile(settings.events, "--events", patient=patient) if settings.events else None
        self._self_test: SelfTest | None = None
        self._said_result: Result | None = None
        self._self_test_camera: SelfTestCamera | None = None
        self._drift_watch: DriftWatch | None = None
        self._live = Live()
        self._next_stats = time.monotonic()
        self._next_scenes = self._next_stats + _SCENES_EVERY
        recipients = [] if settings.replay else recipients_of(settings.frigate, settings.notify, store.media)
        self._couriers = [Courier(recipient, self._metrics.notified) for recipient in recipients]
        for courier in self._couriers:
            self._metrics.recipient(courier.name)
        self._journal = Journal(
            store,
            settings.retention,
            queue.Queue[Task | None](LIMIT),
            say=lambda message: self._report.committed(message),
            expired=lambda event_id, kind: self._report.expired(event_id, kind),
            changed=self._set_by_others,
        )

    def obey_signals(self) -> None:
        """SIGINT and SIGTERM stop it, by force where it does not obey in time. From the process's main thread."""
        self._clock.hear_signals(self.stop)
        self._start_thread(self._clock.run, "clock")

    def leave(self) -> None:
        """After a stop by signal, with everything around the service closed, too: end the process at once."""
        self._clock.leave()

    def stop(self) -> None:
        """Ask the main loop to end; safe in a signal handler."""
        self._stopping = True
        self._clock.start()

    def run(self) -> None:
        """Startup, main loop, shutdown. Raises UsageError if a recording cannot be read."""
        try:
            self._startup()
            self._supervisor.ready()
            self._main_loop()
        finally:
            self._shutdown()
        if self._settings.save_calibration is not None:
            learnt = {d.camera.name: d.camera.learner.to_json() for d in self._decoders if not d.config.is_self_test}
            write_calibration(self._settings.save_calibration, self._model.sha256, learnt)
        if self._stopping:
            return
        if self._intake.fault is not None:
            raise self._intake.fault
        if self._settings.replay and self._mqtt is not None and (lost := self._mqtt.waiting + self._mqtt.events_lost):
            raise StreamError(f"--mqtt {self._mqtt.shown}: {lost} messages of events were not delivered")

    def _startup(self) -> None:
        settings = self._settings
        broker = settings.broker
        if broker is None and not settings.replay:
            self._broker = EmbeddedBroker(start_process)
            broker = self._broker.address
            log.info("embedded broker", broker=broker.shown)
        if broker is not None:
            self._mqtt = MqttSink(
                broker,
                settings.topic_prefix,
                settings.node,
                settings.tls,
                settled=lambda message, said: self._report.settled(message, said),
                retained=lambda topic, kept: self._report.retained(topic, kept),
            )
        self._report = Reporter(
            settings, self._store, self._journal, self._mqtt, self._scores, self._metrics, self._live.tell,
            self._couriers, None if self._web is None else page_for_others(self._web[0]), self._events,
        )  # fmt: skip
        if settings.self_test is not None:
            self._self_test = SelfTest(settings.self_test, time.monotonic())
            if memory := self._store.settings().get(SELF_TEST_CAMERA, {}).get("self_test"):
                self._self_test.recall(memory)
            zone = settings.cameras[0].schedule.zone
            self._self_test_camera = SelfTestCamera(
                self._self_test, self._engine.manifest, self._model, start_process, zone
            )
        self._overview = Overview(
            settings.node,
            self._model,
            self._decoders,
            self._mqtt,
            self._metrics,
            self._self_test,
            lambda: self._journal.oldest_unwritten,
        )
        self._report.recover()
        self._fleet.configure(settings.cameras)
        if not settings.replay:
            self._drift_watch = DriftWatch(settings.data, start_process, time.monotonic())
        self._report.forget_others()
        # only now: from here on the store is the journal's
        self._start_thread(self._journal.run, "journal")
        for courier in self._couriers:
            self._start_thread(courier.run, courier.name)
        if self._mqtt is not None and broker is not None:
            self._start_thread(self._mqtt.deliver, "mqtt")
            if not settings.replay:
                names = [camera.name for camera in settings.cameras]
                self._commands = CommandListener(
                    broker,
                    settings.topic_prefix,
                    settings.node,
                    settings.tls,
                    names,
                    self._mqtt.announce_soon,
                    None if self._self_test_camera is None else self._self_test_camera.heard,
                )
                self._commands.start()
        if self._web is not None:
            listener, token = self._web
            media = None if settings.replay else self._store.media
            view = self._overview
            page = None
            if media is not None:
                page = PageSources(view.state, view.picture, view.line, self._post, self._live, settings.data)
            app = make_app(Pages(view.health, view.missing, view.exposition, media, page), token)
            self._server = make_server(app)
            server = self._server
            self._start_thread(lambda: server.run([listener]), "web")

        if self._changes is not None:
            self._start_thread(self._changes.run, "changes")

    def _begin_camera(self, config: CameraConfig) -> DecoderProcess:
        camera = WatchedCamera(config, self._model, time.monotonic(), self._calibration)
        if self._settings.calibration is not None and config.name in self._settings.calibration:
            camera.learner.recall(self._settings.calibration[config.name])
        return DecoderProcess(config, camera, self._engine.manifest, self._settings.replay, start_process)

    def _set_by_others(self, camera: str, name: str, value: str) -> None:
        """`mgfn-events suggest-threshold --apply` wrote a setting; heard by the journal's thread."""
        if name == "threshold" and any(decoder.camera.name == camera for decoder in self._decoders):
            self._post(SetThreshold(camera, AUTO if value == AUTO else float(value)))

    def _post(self, command: Command) -> None:
        """A command for the main loop; from any thread."""
        if self._commands is not None:
            self._commands.post(command)

    def _start_thread(self, body: Callable[[], None], name: str) -> None:
        self._threads[name] = threading.Thread(target=body, name=name, daemon=True)
        self._threads[name].start()

    def _join_thread(self, name: str, timeout: float) -> None:
        if name in self._threads:
            self._threads[name].join(timeout)

    def _main_loop(self) -> None:
        while not self._stopping:
            self._intake.receive()
            if lines := next_batch(self._decoders, self._engine.backend.batch):
                batch = [(line, line.pending_clips.popleft()) for line in lines]
                score(batch, self._engine, self._report, self._metrics)
                self._overview.scored()
                if self._self_test_camera is not None:
                    self._self_test_camera.seen(batch)
            self._supervise()
            self._overview.turned()
            self._supervisor.alive()
            if all(d.finished and not d.pending_clips for d in self._decoders if not d.config.is_self_test):
                return

    def _reconfigure(self) -> None:
        """Take other cameras, if there are any, and see those off that go."""
        if self._changes is not None and (cameras := self._changes.take()) is not None:
            try:
                self._fleet.configure(cameras)
            except StreamError as error:
                log.error("cameras not reconfigured; trying again later", reason=str(error))
                self._changes.retry()
            if self._commands is not None:
                self._commands.watch(self._fleet.names)
        self._fleet.see_off()

    def _supervise(self) -> None:
        self._reconfigure()
        check_threads(self._threads)
        now, epoch = time.monotonic(), time.time()
        if self._broker is not None and not self._stopping:
            self._broker.look_after(now)
        for command in self._commands.take() if self._commands is not None else ():
            self._report.obey(self._decoders, command)
        for decoder in self._decoders:
            camera = decoder.camera
            self._intake.replace_silent(decoder, now)
            if decoder.finished and not decoder.pending_clips:
                decoder.pending_messages.lost()
                self._report.event(decoder, camera.close_alarm("stopped"))
            if not (decoder.finished or self._settings.replay):
                self._report.event(decoder, camera.begin_loss(now, epoch))
            self._report.event(decoder, camera.end_loss(epoch))
            self._report.event(decoder, camera.end_test(epoch))
            self._report.release(decoder)
        if self._self_test_camera is not None:
            self._test_oneself(self._self_test_camera, now, epoch)
        if self._drift_watch is not None:
            self._report_drift(self._drift_watch.turn(now, self._fleet.names))
        if now >= self._next_scenes:
            self._next_scenes = now + _SCENES_EVERY
            for decoder in self._decoders:
                self._report.remember_scene(decoder.camera)
        if now >= self._next_stats and self._mqtt is not None:
            self._next_stats = now + _STATS_EVERY
            self._mqtt.stats(self._overview.stats())
            self._say_self_test(epoch)

    def _report_drift(self, found: dict[str, str]) -> None:
        for decoder in self._decoders:
            drift = found.get(decoder.camera.name, decoder.camera.drift)
            if drift and not decoder.camera.drift:
                log.warning("the threshold no longer fits", camera=decoder.camera.name, reason=drift)
            decoder.camera.drift = drift

    def _say_self_test(self, epoch: float) -> None:
        if self._self_test is not None and self._mqtt is not None:
            self._said_result = self._self_test.result
            self._mqtt.self_test(self._self_test.as_json(epoch))

    def _test_oneself(self, self_test_camera: SelfTestCamera, now: float, epoch: float) -> None:
        if (decoder := self_test_camera.arrives(now, epoch)) is not None:
            self._decoders.append(decoder)
        if (decoder := self_test_camera.leaves(now, epoch)) is not None:
            self._decoders.remove(decoder)
            self._fleet.dismiss(decoder, "stopped")
        if self._self_test is not None and self._self_test.result is not self._said_result:
            self._journal.setting(SELF_TEST_CAMERA, "self_test", self._self_test.memory())
            self._say_self_test(epoch)

    def _save(self) -> None:
        """What can be saved before an end by force: events that were decided; the rest a next start makes good."""
        if "journal" in self._threads and self._threads["journal"].is_alive():
            self._journal.written(0.2)
        for decoder in self._decoders:
            decoder.process.kill()

    def _deliver_replay(self, mqtt: MqttSink) -> None:
        """A replay that came to its end has the time, as long as the broker takes one message after the other."""
        waiting, until = mqtt.waiting, time.monotonic() + _REPLAY_WAITS
        while mqtt.waiting and time.monotonic() < until and not self._stopping:
            self._join_thread("mqtt", 0.2)
            if mqtt.waiting < waiting:
                waiting, until = mqtt.waiting, time.monotonic() + _REPLAY_WAITS

    def _shutdown(self) -> None:
        left = self._clock.left
        self._supervisor.stopping()
        if self._changes is not None:
            self._changes.stop()
        self._decoders.extend(self._fleet.leaving)
        for decoder in self._decoders:
            decoder.stop()
            self._report.close_events(decoder, "stopped")
        if self._commands is not None:
            self._commands.stop()
        if self._decoders:  # else it may not have come as far as to have a reporter
            hear_out(self._decoders, left(_CLIPS_CLOSED_WITHIN), self._report.file_written)
        if "journal" in self._threads:
            self._report.finish(self._decoders)
            self._journal.written(left(_WRITTEN_WITHIN))
        if self._server is not None:
            self._live.close()
            self._server.should_exit = True
        for courier in self._couriers:
            courier.stop()
        if self._mqtt is not None:
            patient = self._settings.replay and not self._stopping
            self._mqtt.stop(patient=patient)
            if patient:
                self._deliver_replay(self._mqtt)
            self._join_thread("mqtt", left(_DELIVERED_WITHIN))
        for courier in self._couriers:
            self._join_thread(courier.name, left(_DELIVERED_WITHIN))
        if "journal" in self._threads:
            self._journal.stop()
            self._join_thread("journal", left(_WRITTEN_WITHIN))
        self._join_thread("web", left(_ENDED_WITHIN))
        if self._broker is not None:
            self._broker.end(left(_ENDED_WITHIN))
        for decoder in self._decoders:
            decoder.process.kill()  # its files are closed; what is left is the interpreter's own end
        for decoder in self._decoders:
            decoder.end()
            decoder.ring.close()
        for file in (self._scores, self._events):
            if file is not None:
                file.close()
