"""The service: startup, main loop, shutdown. Threads, processes and queues are created only in this package.

One decoder process for each camera writes clips into its shared ring. The main loop takes clips that are ready, oldest
first, at most one of each camera and no more than the engine processes efficiently at once. It runs them through the
engine together, and acts on the scores. It never waits for a camera, a disk or a broker. Limits:

| queue | limit | when full |
|---|---|---|
| finished clips of a camera | PENDING_CLIPS | the oldest is dropped, counted, status `degraded` |
| finished clips of all cameras | `scheduling.LONGEST_WAIT` seconds | the oldest are dropped, in turn, counted,
`degraded` |
| a camera's ring | PENDING_CLIPS + 2 | its decoder drops the whole new clip, counted |
| a camera's packets | seconds, 64 MiB | the oldest are dropped |
| a camera's packets that wait for a disk | 64 MiB | open clips end, packets are skipped, logged |
| what is to be written | `journal.LIMIT` | from half of it on, scores are omitted; then events are published from
memory |
| messages to Frigate and notification targets | `courier.LIMIT` each | the oldest is dropped, counted; MQTT is not
affected |
| events to the broker | `outbox.LIMIT`, `outbox.LONGEST_WAIT` | oldest `update`, else oldest message, counted |
| log lines | 1,000 | the new line is lost, counted |
| clips for the canary | 4 with frames, 1,000 in all | a clip is skipped, counted |
| commands | the newest for each camera and kind | the older one is replaced |

Objects shared between threads, and what guards them:

| object | used by | guarded by |
|---|---|---|
| decoders, `WatchedCamera` | loop; others read | readers copy the list; histories are tuples that are replaced |
| queue of `Journal` | all | `queue.Queue` |
| `MqttSink`, `Courier`, `Herald` | all | a condition each |
| `Inbox` of commands | loop, MQTT, web server, journal | the listener's lock |
| `RetainedPictures`, `Live`, `Metrics` | loop, journal, web server | a lock each |
| `SelfTest.result` | loop and MQTT write, web server reads | a frozen object that is replaced |
"""

from __future__ import annotations

from contextlib import ExitStack

from engine.engine import Engine
from stream.archive.store import Store
from stream.base.addresses import BrokerAddress
from stream.base.errors import StreamError
from stream.base.log import log
from stream.service.build import LineFiles, Parts, Web, build
from stream.service.loop import MainLoop
from stream.service.processes import start_process
from stream.service.running import Runner
from stream.service.stopping import ENDED_WITHIN, StopClock
from stream.service.supervisor import Supervisor
from stream.service.threads import Threads
from stream.settings.calibration_file import write_calibration
from stream.settings.settings import ServiceSettings
from stream.sinks.embedded_broker import EmbeddedBroker
from stream.watch.custody import Leases
from stream.watch.fleet import CameraChanges


class Service:
    """Watches cameras until stopped, or recordings until their end. `run` does everything."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        store: Store,
        web: Web | None,
        changes: CameraChanges | None = None,
        leases: Leases | None = None,
        canary: Engine | None = None,
    ) -> None:
        self._leases = leases
        self._canary = canary
        self._settings = settings
        self._engine = engine
        self._store = store
        self._web = web
        self._changes = changes
        self._threads = Threads()
        self._clock = StopClock(self._save)
        self.parts: Parts | None = None

    def obey_signals(self) -> None:
        """Let SIGINT and SIGTERM stop the service, by force if it takes too long. Call from the main thread of the
        process.
        """
        self._clock.hear_signals(self.stop)
        self._threads.start(self._clock.run, "clock")

    def leave(self) -> None:
        """After a stop by signal, when everything around the service is closed, too: end the process at once."""
        self._clock.leave()

    def stop(self) -> None:
        """Ask the main loop to end; safe in a signal handler."""
        self._clock.start()

    def run(self) -> None:
        """Startup, main loop, shutdown. Raises UsageError if a recording cannot be read."""
        supervisor = Supervisor()
        with ExitStack() as closers:
            lines = LineFiles.opened(self._settings)
            closers.callback(lines.close)
            broker, address = self._broker(closers)
            parts = build(
                self._settings, self._engine, self._store, address, lines, self._web, self._changes, self._stopping,
                self._leases, self._canary,
            )  # fmt: skip
            self.parts = parts
            Runner(parts, self._threads, self._clock, closers).start(None if self._web is None else self._web[0])
            closers.callback(supervisor.stopping)
            supervisor.ready()
            MainLoop(parts, self._threads, broker, supervisor, self._stopping).run()
        self._save_calibration(parts)
        if not self._clock.asked:
            _check_outcome(parts)

    def _stopping(self) -> bool:
        return self._clock.asked

    def _broker(self, closers: ExitStack) -> tuple[EmbeddedBroker | None, BrokerAddress | None]:
        """The embedded broker if no other one is configured, and the address to publish to. A replay starts none."""
        if self._settings.broker is not None or self._settings.replay:
            return None, self._settings.broker
        broker = EmbeddedBroker(start_process)
        closers.callback(lambda: broker.end(self._clock.left(ENDED_WITHIN)))
        log.info("embedded broker", broker=broker.address.shown)
        return broker, broker.address

    def _save_calibration(self, parts: Parts) -> None:
        if self._settings.save_calibration is not None:
            cameras = [decoder.camera for decoder in parts.decoders if not decoder.config.is_self_test]
            learnt = {camera.name: camera.learner.to_json() for camera in cameras}
            write_calibration(self._settings.save_calibration, parts.model.sha256, learnt)

    def _save(self) -> None:
        """Save events that were decided before an end by force; the next start recovers the rest."""
        if self.parts is None:
            return
        if self._threads.alive("journal"):
            self.parts.journal.written(0.2)
        for decoder in tuple(self.parts.decoders):
            if decoder.process is not None:
                decoder.process.kill()


def _check_outcome(parts: Parts) -> None:
    """Raise the errors of recordings that have ended."""
    if parts.intake.fault is not None:
        raise parts.intake.fault
    mqtt = parts.mqtt
    if parts.settings.replay and mqtt is not None and (lost := mqtt.waiting + mqtt.events_lost):
        raise StreamError(f"--mqtt {mqtt.shown}: {lost} event messages were not delivered")
