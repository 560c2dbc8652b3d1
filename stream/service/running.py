"""Starts the parts, and stops them in reverse order: each closer gets a share of the deadline."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from functools import partial
from typing import Final

from stream.service.build import Parts
from stream.service.stopping import ENDED_WITHIN, StopClock
from stream.service.threads import Threads
from stream.sinks.mqtt import MqttSink
from stream.watch.decoder_process import DecoderProcess, hear_out
from stream.watch.recovery import recover

# Shares of the stop in seconds: the maximum for each part, and together what `stream.service.stopping` allows.
_CLIPS_CLOSED_WITHIN, _WRITTEN_WITHIN, _DELIVERED_WITHIN = 1.2, 0.5, 1.2
_REPLAY_WAITS: Final = 15.0  # for the broker to acknowledge the next message


class Runner:
    """Starts the parts. `start` pushes a closer for each one, so that a start that fails halfway is undone."""

    def __init__(self, parts: Parts, threads: Threads, clock: StopClock, closers: ExitStack) -> None:
        self._parts = parts
        self._threads = threads
        self._clock = clock
        self._closers = closers

    def start(self, listener: socket.socket | None) -> None:
        """Recover what an earlier run left, then start decoders, threads, and the web server on `listener`."""
        parts, closers, threads = self._parts, self._closers, self._threads
        recover(parts.store, parts.journal, parts.mqtt)
        closers.callback(self._end_decoders)
        parts.mode.configure(() if parts.leases else parts.settings.cameras)
        if parts.commands is not None:
            parts.commands.watch(parts.names, parts.mode.options)
        if parts.mqtt is not None and not parts.settings.replay:
            parts.mqtt.empty(filter(self._may_empty, parts.store.settings.retained_topics()))
        if parts.leases is not None:
            closers.callback(parts.leases.end, lambda seconds: self._join("leases", seconds))
            threads.start(parts.leases.renew, "leases")
        closers.callback(self._join, "web", ENDED_WITHIN)
        # last: from here on the store belongs to the journal
        closers.callback(self._stop_journal)
        threads.start(parts.journal.run, "journal")
        closers.callback(self._join, "canary", _WRITTEN_WITHIN)  # it has had as long as the sinks took
        closers.callback(self._stop_sinks)
        for courier in parts.couriers:
            threads.start(courier.run, courier.name)
        if parts.mqtt is not None:
            threads.start(parts.mqtt.deliver, "mqtt")
        if (server := parts.server) is not None and listener is not None:
            closers.callback(self._stop_web)
            threads.start(partial(server.run, [listener]), "web")
        closers.callback(self._close_cameras)
        if parts.commands is not None:
            closers.callback(parts.commands.stop)  # the sink starts it once it has found the broker
        if parts.heat_maps is not None:
            closers.callback(parts.heat_maps.stop)
            threads.start(parts.heat_maps.run, "heat maps")
        if parts.canary is not None:
            parts.canary.choose(parts.names)
            closers.callback(parts.canary.stop)
            threads.start(parts.canary.run, "canary")
        if parts.digest is not None:
            closers.callback(parts.digest.stop)
            threads.start(parts.digest.run, "digest")
        if parts.changes is not None:
            closers.callback(parts.changes.stop)
            threads.start(parts.changes.run, "changes")

    def _may_empty(self, topic: str) -> bool:
        """Whether a topic of an earlier run can be emptied: those of shared cameras may be another instance's."""
        if self._parts.leases is None:
            return True
        name, _, below = topic.removeprefix(f"{self._parts.settings.topic_prefix}/").partition("/")
        return (
            topic.startswith(self._parts.settings.topic_prefix) and below != "" and name not in self._parts.leases.names
        )

    def _join(self, thread: str, at_most: float) -> None:
        self._threads.join(thread, self._clock.left(at_most))

    # closers, from the last that runs to the first

    def _end_decoders(self) -> None:
        """End decoders. Their files are closed; only the interpreter is left to end."""
        for decoder in self._decoders():
            decoder.close()
        self._parts.reaper.wait(self._clock.left(ENDED_WITHIN))

    def _stop_journal(self) -> None:
        self._parts.journal.stop()
        self._join("journal", _WRITTEN_WITHIN)

    def _stop_sinks(self) -> None:
        parts = self._parts
        for courier in parts.couriers:
            courier.stop()
        if parts.mqtt is not None:
            patient = parts.settings.replay and not self._clock.asked
            parts.mqtt.stop(patient=patient)
            if patient:
                self._deliver_replay(parts.mqtt)
            self._join("mqtt", _DELIVERED_WITHIN)
        for courier in parts.couriers:
            self._join(courier.name, _DELIVERED_WITHIN)

    def _deliver_replay(self, mqtt: MqttSink) -> None:
        """A replay that has ended may take its time, as long as the broker acknowledges one message after the other."""
        waiting, until = mqtt.waiting, time.monotonic() + _REPLAY_WAITS
        while mqtt.waiting and time.monotonic() < until and not self._clock.asked:
            self._threads.join("mqtt", 0.2)
            if mqtt.waiting < waiting:
                waiting, until = mqtt.waiting, time.monotonic() + _REPLAY_WAITS

    def _stop_web(self) -> None:
        self._parts.live.close()
        if self._parts.server is not None:
            self._parts.server.should_exit = True

    def _close_cameras(self) -> None:
        """End every open event, let the decoders close their files, and write everything."""
        report, decoders = self._parts.report, self._decoders()
        for decoder in decoders:
            decoder.stop()
            report.events.close(decoder, "stopped")
        hear_out(decoders, self._clock.left(_CLIPS_CLOSED_WITHIN), report.events.file_written)
        report.finish(decoders)
        if self._parts.custody is not None:
            self._parts.custody.keep_all()
        self._parts.journal.written(self._clock.left(_WRITTEN_WITHIN))

    def _decoders(self) -> list[DecoderProcess]:
        """Those in use, and those that are closing."""
        return [*self._parts.decoders, *self._parts.fleet.leaving]
