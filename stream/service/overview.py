"""The state of the service for `/healthz`, `/readyz`, `/metrics` and `stats`. Read from other threads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from engine.default_bundle import project_version
from stream.alarm.event import ModelName
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.log import standard_error
from stream.camera.live_picture import Shown
from stream.camera.view import View
from stream.service.self_test import SelfTest
from stream.sinks.command_listener import CommandListener
from stream.sinks.echo import Proof
from stream.sinks.mqtt import MqttSink
from stream.watch.decoder_process import DecoderProcess
from stream.watch.drawings import drawing_in_force
from stream.watch.metrics import Metrics
from stream.watch.reaper import Reaper


class Overview:
    """The main loop calls `turned` and `scored`. `mqtt` is None if nothing is published.

    `lines_lost` counts lines of `--scores` and `--events`.
    """

    def __init__(
        self,
        node: str,
        model: Callable[[], ModelName],
        decoders: Sequence[DecoderProcess],
        mqtt: MqttSink | None,
        metrics: Metrics,
        self_test: SelfTest | None,
        journal: Journal,
        commands: CommandListener | None,
        reaper: Reaper,
        clock: Clock,
        lines_lost: Callable[[], int],
        mode: Callable[[], dict[str, Any] | None] = lambda: None,
        drawn: Callable[[str], bool] = lambda _camera: False,
        last_changes: Callable[[str], dict[str, Any]] = lambda _camera: {},
        zone: tzinfo | None = None,
        watchers: Callable[[], int] = lambda: 0,
        mode_disables: Callable[[str], bool] = lambda _camera: False,
    ) -> None:
        self._mode_disables = mode_disables
        self._watchers = watchers
        self._zone = zone
        self._last_changes = last_changes
        self._drawn = drawn
        self._mode = mode
        self._lines_lost = lines_lost
        self._clock = clock
        self._reaper = reaper
        self._journal = journal
        self._commands = commands
        self._node = node
        self._model = model
        self._decoders = decoders
        self._mqtt = mqtt
        self._metrics = metrics
        self._self_test = self_test
        self._began = self._last_turn = time.monotonic()
        self._scored = False

    def turned(self) -> None:
        """The main loop has completed a turn."""
        self._last_turn = time.monotonic()

    def scored(self) -> None:
        """Clips have been scored."""
        self._scored = True

    def health(self) -> dict[str, Any]:
        """Whether the loop is running, and the state of each camera."""
        return {
            "loop_age": round(time.monotonic() - self._last_turn, 3),
            "pid": os.getpid(),
            "broker_connected": self._mqtt is not None and self._mqtt.connected,
            "delivery": self._delivery(),
            "oldest_unwritten": round(self._journal.oldest_unwritten, 3),
            "live_watchers": self._watchers(),
            **self._lost(),
            "cameras": self._cameras(),
        }

    def _delivery(self) -> dict[str, Any]:
        """Whether what is published comes back from the broker, and which topics do not get through, and why."""
        if self._mqtt is None:
            return {"proof": Proof.WAITING, "failed": {}}
        return {"proof": self._mqtt.echo.proof(), "failed": self._mqtt.echo.failed()}

    def state(self) -> Mapping[str, Any]:
        """What the web page shows beside scores and events."""
        mode = self._mode()
        if mode is not None:
            mode = mode | {"changes": self._last_changes("")}
        found = self.stats() | self.health() | {"self_test": self._tested(), "mode": mode}
        found["time_zone"] = zone_name(self._zone)
        for name, camera in found["cameras"].items():
            camera["changes"] = self._last_changes(name)
            camera["disabled_by_mode"] = self._mode_disables(name)
        for decoder in tuple(self._decoders):
            if (shown := found["cameras"].get(decoder.camera.name)) is not None:
                shown["calibration"] = decoder.camera.learner.state()
        if found["self_test"] is not None and self._self_test is not None:
            found["self_test"]["due_in"] = round(self._self_test.due_in(time.monotonic()))
        return found

    def look(self, camera: str, until: float, still: bool = False) -> Shown | None:
        """Somebody looks at a camera until this monotonic time, or with `still` now and then: its newest image."""
        decoder = next((d for d in tuple(self._decoders) if d.camera.name == camera), None)
        return None if decoder is None else decoder.look(until, still=still)

    def line(self, camera: str) -> list[tuple[float, float]]:
        """When each of a camera's newest clips ended (epoch seconds), and its score; at least two minutes of them."""
        line = next((d.camera.line for d in tuple(self._decoders) if d.camera.name == camera), ())
        return [(self._clock.wall(at), score) for at, score in line]

    def missing(self) -> str:
        """What is still missing, or "" if the service is ready: alarms can be raised and published."""
        if self._mqtt is not None and not self._mqtt.connected:
            return "the broker is not connected"
        return "" if self._scored else "no camera has been scored yet"

    def exposition(self) -> bytes:
        """The text for Prometheus."""
        if (tested := self._tested()) is not None:
            self._metrics.self_tested(tested["age"])
        delivery = self._delivery()
        self._metrics.delivery(proven=delivery["proof"] is Proof.PROVEN, failed=len(delivery["failed"]))
        return self._metrics.exposition(0 if self._mqtt is None else self._mqtt.waiting, self._lost())

    def _tested(self) -> dict[str, Any] | None:
        if self._self_test is None:
            return None
        return self._self_test.as_json(self._clock.now(), self._clock.mark.shift)

    def _lost(self) -> dict[str, int]:
        """What queues have lost since the start, and the number of processes that could not be killed."""
        return {
            "events_lost": 0 if self._mqtt is None else self._mqtt.events_lost,
            "score_chunks_lost": self._journal.scores_lost,
            "lines_lost": self._lines_lost(),
            "log_lines_lost": standard_error.lost,
            "commands_dropped": 0 if self._commands is None else self._commands.dropped,
            "processes_stuck": len(self._reaper),
        }

    def view(self, camera: str) -> dict[str, Any]:
        """The region, masks and zones in force, and whether they were drawn on the page."""
        found = next((d.config.view for d in tuple(self._decoders) if d.camera.name == camera), View())
        return {"view": drawing_in_force(found).as_json(), "drawn": self._drawn(camera)}

    def stats(self) -> dict[str, Any]:
        """The payload of the `stats` topic."""
        model = self._model()
        return {
            "time": round(time.time(), 3),
            "uptime": round(time.monotonic() - self._began, 1),
            "node": self._node,
            "version": project_version(),
            "model": {"bundle": model.bundle, "sha256": model.sha256, "backend": model.backend},
            "outbox": 0 if self._mqtt is None else self._mqtt.waiting,
            **self._lost(),
            "cameras": self._cameras(),
        }

    def _cameras(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            decoder.camera.name: dict(decoder.camera.health(now))
            for decoder in tuple(self._decoders)
            if not decoder.config.is_self_test
        }


def zone_name(zone: tzinfo | None, of_machine: Path = Path("/etc/localtime")) -> str:
    """The name of a time zone for a browser; None means that of the machine. Without a name, its offset now."""
    name = getattr(zone, "key", None)
    if name is None and zone is None and "TZ" not in os.environ:
        name = str(of_machine.resolve()).partition("/zoneinfo/")[2]
    return name or datetime.now(zone).astimezone(zone).isoformat()[-6:]
