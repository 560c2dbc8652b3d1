"""Overrides set over MQTT or the page: they take precedence over flags and site file, and survive a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Literal

from stream.alarm.requests import (
    AUTO,
    Acknowledge,
    Command,
    GiveVerdict,
    JudgedEvent,
    Note,
    RunTest,
    SetEnabled,
    SetSnooze,
    SetThreshold,
    TakePicture,
)
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.archive.score_epoch import kept_threshold
from stream.base.log import log
from stream.base.ownership import Settings
from stream.settings.settings import CameraConfig
from stream.watch.acknowledgements import Acknowledgements
from stream.watch.camera_memory import CameraMemory, Kept
from stream.watch.camera_topics import CameraTopics
from stream.watch.decoder_process import DecoderProcess
from stream.watch.event_report import EventReport
from stream.watch.snoozes import Snoozes
from stream.watch.watched_camera import WatchedCamera

_OVERRIDES: Final[tuple[Literal["enabled", "threshold", "threshold_scale"], ...]] = (
    "enabled",
    "threshold",
    "threshold_scale",
)


class Overrides:
    """Used only by the loop. `kept`: the overrides of earlier runs; `post` queues a command, from any thread."""

    def __init__(
        self,
        journal: Journal,
        events: EventReport,
        topics: CameraTopics,
        memory: CameraMemory,
        kept: Kept,
        clock: Clock,
        post: Callable[[Command], None],
    ) -> None:
        self.snoozes = Snoozes(journal, topics, kept, clock)
        self._post = post
        self.acknowledgements = Acknowledgements(journal, events, clock, post)
        self._clock = clock
        self._journal = journal
        self._events = events
        self._topics = topics
        self._memory = memory
        self._kept = {camera: dict(settings) for camera, settings in kept.items()}

    def kept(self, camera: str) -> dict[str, str]:
        """What is stored of the camera's overrides."""
        found = self._kept.get(camera, {})
        return {name: found[name] for name in _OVERRIDES if name in found} | self.snoozes.kept(camera)

    def adopt(self, camera: str, kept: Settings) -> None:
        """Take what another instance stored of the camera, instead of our own."""
        for name in _OVERRIDES:
            self._keep(camera, name, kept.get(name))
        self.snoozes.adopt(camera, kept.get("snooze"))

    def apply(self, camera: WatchedCamera) -> None:
        """Apply the camera's stored overrides."""
        found = self._kept.get(camera.name, {})
        kept = {name: found[name] for name in ("threshold", "enabled") if name in found}
        if "threshold" in kept and kept_threshold(found, camera.learner.scale) is None:
            log.warning(
                "stored threshold not applied: it was set for scores on another scale; set it again, or publish `auto`",
                camera=camera.name, threshold=kept.pop("threshold"), in_force=camera.alarm.rule.settings.threshold_on,
            )  # fmt: skip
        if "threshold" in kept:
            _set_threshold(camera, AUTO if kept["threshold"] == AUTO else float(kept["threshold"]))
        if "enabled" in kept:
            camera.set_enabled(kept["enabled"] == "ON", time.monotonic())
        if kept:
            log.info("override from an earlier run applied; `reset` removes it", camera=camera.name, **kept)

    def catch_up(self, camera: WatchedCamera) -> None:
        """The camera learns from verdicts that were given while the program did not run."""
        if camera.learner.learns and not camera.is_self_test:
            self._journal.missed_verdicts(camera.name, camera.learner.verdicts, self._post)

    def configure(self, decoder: DecoderProcess, config: CameraConfig) -> None:
        """Change the settings of a camera whose process and window stay."""
        camera = decoder.camera
        decoder.config = config
        camera.configure(config)
        if "enabled" not in self._kept.get(camera.name, {}):
            self._enable(decoder, config.enabled)
        self.apply(camera)
        self._memory.note_rule(camera)
        self._topics.settings(camera)
        self._topics.status(camera)

    def obey(
        self,
        decoders: Iterable[DecoderProcess],
        command: Command,
        noted: Callable[[bool], None] = lambda _changed: None,
    ) -> None:
        """Carry out a command; a verdict or acknowledgement may concern a removed camera.

        `noted` is told of what a person asked for, and whether that has changed anything; also by the writer's thread.
        """
        decoder = next((d for d in decoders if d.camera.name == command.camera), None)
        if isinstance(command, GiveVerdict):
            self._journal.verdict(command, self._post, partial(noted, True))
            return
        if isinstance(command, Acknowledge):
            self.acknowledgements.take(decoder, command, partial(noted, True))
            return
        if isinstance(command, Note):
            noted(True)
            return
        if decoder is None or decoder.camera.silent:  # gone since it was given, or another's
            return
        if isinstance(command, SetEnabled):
            noted(self._set_enabled(decoder, command))
        elif isinstance(command, SetThreshold):
            noted(self._set_threshold(decoder.camera, command))
        elif isinstance(command, SetSnooze):
            noted(self.snoozes.set(decoder.camera, command.minutes))
        elif isinstance(command, JudgedEvent):
            self._teach(decoder.camera, command)
        elif isinstance(command, TakePicture):
            self._events.look(decoder, command.event)
            return
        elif isinstance(command, RunTest):
            message = decoder.camera.begin_test(self._clock.now())
            self._events.say(decoder, message)
            noted(message is not None)
        self._topics.settings(decoder.camera)
        self._topics.status(decoder.camera)

    def _set_enabled(self, decoder: DecoderProcess, command: SetEnabled) -> bool:
        self._enable(decoder, decoder.config.enabled if command.enabled is None else command.enabled)
        return self._keep(command.camera, "enabled", {None: None, True: "ON", False: "OFF"}[command.enabled])

    def _set_threshold(self, camera: WatchedCamera, command: SetThreshold) -> bool:
        before = camera.alarm.rule.settings
        _set_threshold(camera, command.threshold)
        if (now := camera.alarm.rule.settings) != before:
            log.info("threshold set", camera=camera.name, threshold=now.threshold_on, learned=now.learnt)
        changed = self._keep(camera.name, "threshold", None if command.threshold is None else str(command.threshold))
        self._keep(camera.name, "threshold_scale", None if command.threshold is None else camera.learner.scale)
        self._memory.note_rule(camera)
        return changed

    def _teach(self, camera: WatchedCamera, judged: JudgedEvent) -> None:
        """The camera learns from a verdict."""
        if judged.verdict is not None:
            self._events.escalation.answered(judged.event)
        if judged.bundle == camera.model.sha256 and camera.learner.judged(judged):
            log.info("verdict learned", camera=camera.name, id=judged.event, verdict=judged.verdict or "withdrawn")
            self._memory.keep_learnt(camera)

    def _enable(self, decoder: DecoderProcess, enabled: bool) -> None:
        camera = decoder.camera
        if enabled == camera.presence.enabled:
            return
        camera.set_enabled(enabled, time.monotonic())
        log.info("enabled" if enabled else "disabled", camera=camera.name)
        if not enabled:
            decoder.shed_pending()
            self._events.close_scored(decoder, "disabled")

    def _keep(self, camera: str, name: Literal["enabled", "threshold", "threshold_scale"], value: str | None) -> bool:
        """Returns whether it is another value than before."""
        kept = self._kept.setdefault(camera, {})
        changed = kept.get(name) != value
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
        self._journal.setting(camera, name, value)
        return changed


def _set_threshold(camera: WatchedCamera, threshold: float | Literal["auto"] | None) -> None:
    if threshold == AUTO:
        camera.learn_threshold()
    else:
        camera.set_threshold(threshold)
