"""Everything that leaves the scoring loop: events, states, scores, pictures and clips, on their way to MQTT and disk.

It creates no thread: the service runs the journal and the sink that it is given.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Literal

from engine.default_bundle import project_version
from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.alarm.requests import AUTO, Command, GiveVerdict, SetEnabled, SetThreshold
from stream.alarm.rule import Change
from stream.archive.journal import Journal
from stream.archive.media import Kind, media_path
from stream.archive.score_log import LoggedScore, ScoreBook
from stream.archive.store import Store
from stream.base.addresses import SELF_TEST_CAMERA
from stream.base.log import log
from stream.camera.messages import ClipClosed, ClipReady, EndClip, SnapshotTaken, StartClip, TakeSnapshot
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.courier import Courier
from stream.sinks.home_assistant import discovery, discovery_topic
from stream.sinks.mqtt import MqttSink
from stream.sinks.score_file import ScoresFile
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import Metrics
from stream.watch.recovery import recover
from stream.watch.watched_camera import Scored, WatchedCamera

LEARNT_KEPT_EVERY: Final = 600.0  # seconds


class Reporter:
    """Tells `journal`, `mqtt`, `scores` (None: not asked for), `couriers` and pages what happens.

    `page` is the address of the web page if others reach it, `events` the file that `--events` names.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: Store,
        journal: Journal,
        mqtt: MqttSink | None,
        scores: ScoresFile | None,
        metrics: Metrics,
        tell_pages: Callable[[Literal["score", "event"], Mapping[str, Any]], None],
        couriers: Sequence[Courier] = (),
        page: str | None = None,
        events: ScoresFile | None = None,
    ) -> None:
        self._settings = settings
        self._events = events
        self._learnt_kept: dict[str, float] = {}  # camera -> end of the clip after which it was written last
        self._store = store
        self._journal = journal
        self._mqtt = mqtt
        self._scores = scores
        self._metrics = metrics
        self._couriers = couriers
        self._page = page
        self._tell_pages = tell_pages
        self._keeps = not settings.replay
        self._books: defaultdict[str, ScoreBook] = defaultdict(ScoreBook)
        self._cameras: set[str] = set()
        self._kept: dict[str, dict[str, str]] = {}  # camera -> what was set over MQTT
        self._shown: dict[str, str] = {}  # camera -> event whose picture is retained

    # at the start; nothing else uses the store yet

    def recover(self) -> None:
        """What an earlier run left."""
        self._kept = self._store.settings()
        recover(self._store, self._journal, self._mqtt)

    def forget_others(self) -> None:
        """Empty the topics of cameras that an earlier run had."""
        if self._mqtt is not None and self._keeps:
            self._mqtt.empty(self._store.retained_topics())

    # cameras come, change and go

    def introduce(self, camera: WatchedCamera) -> None:
        """A camera: what was set for it earlier, and its retained topics."""
        self._cameras.add(camera.name)
        self._recall_learnt(camera)
        self._apply_kept(camera)
        self._note_rule(camera)
        model, _, scene = self._kept.get(camera.name, {}).get("scene", "").partition(" ")
        if model == camera.model.sha256:
            camera.scene.recall(scene)
        self.status(camera)
        if self._mqtt is None:
            return
        self._say_settings(camera)
        self._mqtt.camera_anomaly(camera.name, active=False)
        if self._settings.replay:
            return
        self._journal.latest_snapshot(camera.name, self._show)
        prefix, node = self._settings.topic_prefix, self._settings.node
        payload = discovery(prefix, node, camera.name, project_version(), self._page)
        self._mqtt.announce(discovery_topic(node, camera.name), payload)

    def _recall_learnt(self, camera: WatchedCamera) -> None:
        """What an earlier run learnt, unless another bundle scored then or a calibration was given."""
        bundle, _, text = self._kept.get(camera.name, {}).get("learnt", "").partition(" ")
        if bundle != camera.model.sha256 or not camera.learner.learns or self._settings.calibration is not None:
            return
        try:
            camera.learner.recall(json.loads(text))
        except ValueError as error:  # a defect of the file costs what was learnt, not the camera
            log.warning("what the camera had learnt cannot be used", camera=camera.name, reason=str(error))

    def remember_scene(self, camera: WatchedCamera) -> None:
        """Keep what the camera usually sees over a restart; another model's features say nothing of it."""
        scene = camera.scene.memory()
        if self._keeps and scene is not None and not camera.is_self_test:
            self._journal.setting(camera.name, "scene", f"{camera.model.sha256} {scene}")

    def _note_rule(self, camera: WatchedCamera) -> None:
        """For what-if, which knows neither flags nor site file nor bundle."""
        if self._keeps:
            self._journal.setting(camera.name, "alarm", json.dumps(asdict(camera.rule.settings)))
            self._journal.setting(camera.name, "schedule", camera.schedule.as_text())

    def _apply_kept(self, camera: WatchedCamera) -> None:
        """What was set over MQTT goes before any other setting."""
        found = self._kept.get(camera.name, {})
        kept = {name: found[name] for name in ("threshold", "enabled") if name in found}
        if "threshold" in kept:
            self._set_threshold(camera, AUTO if kept["threshold"] == AUTO else float(kept["threshold"]))
        if "enabled" in kept:
            camera.set_enabled(kept["enabled"] == "ON", time.monotonic())
        if kept:
            log.info("set over MQTT earlier, still in force; `reset` takes it back", camera=camera.name, **kept)

    def configure(self, decoder: DecoderProcess, config: CameraConfig) -> None:
        """Other settings of a camera whose process and window stay."""
        camera = decoder.camera
        decoder.config = config
        camera.configure(config)
        self._note_rule(camera)
        if "enabled" not in self._kept.get(camera.name, {}):
            self._enable(decoder, config.enabled)
        self._apply_kept(camera)
        self._say_settings(camera)
        self.status(camera)

    def close_events(self, decoder: DecoderProcess, reason: str) -> None:
        """The `end` of everything that is open."""
        camera, epoch = decoder.camera, time.time()
        self.event(decoder, camera.close_alarm(reason))
        self.event(decoder, camera.end_test(epoch, stopping=reason))
        self.event(decoder, camera.end_loss(epoch, stopping=reason))

    def forget(self, camera: str) -> None:
        """The camera is gone."""
        self._cameras.discard(camera)
        self._shown.pop(camera, None)
        self._flush(camera)
        self._metrics.forget(camera)
        if self._mqtt is not None:
            self._mqtt.forget(camera, discovery_topic(self._settings.node, camera))

    # from the loop

    def scored(self, camera: WatchedCamera, scored: Scored) -> None:
        """One clip's score, to everybody."""
        if camera.is_self_test:
            return
        threshold, clip = camera.rule.settings.threshold_on, scored.clip
        if self._mqtt is not None:
            self._mqtt.score(camera.name, scored.score, threshold, clip.end, scored.window)
        told = {"camera": camera.name, "score": round(scored.score, 4), "threshold": threshold, "time": clip.end}
        self._tell_pages("score", told | {"window": scored.window})
        if self._scores is not None:
            self._scores.write(
                camera.name, clip.clip, clip.start, clip.end, scored.score, scored.raw, threshold, scored.window
            )
        if self._keeps:
            logged = LoggedScore(clip.start, clip.end, scored.score, scored.window, scored.connects)
            chunk = self._books[camera.name].add(logged)
            if chunk is not None:
                self._journal.scores(camera.name, chunk)
        if self._keeps and scored.explanation is not None and scored.event is not None:
            self._journal.explained(scored.event.id, scored.explanation)
        if scored.change is Change.CAPPED:
            log.warning("alarm suppressed: hourly_cap reached", camera=camera.name, score=round(scored.score, 4))
        self._learnt(camera, clip.end)
        self._metrics.scored(camera.name, scored.score)
        self.status(camera)

    def _learnt(self, camera: WatchedCamera, time_of_clip: float) -> None:
        """What the camera has learnt, where it changed: to the log, the broker, and once in a while to the disk."""
        for change in camera.learner.changes():
            log.info(
                "threshold learnt", camera=camera.name, old=round(change.old, 4), new=round(change.new, 4),
                state=str(change.state), why=change.why,
            )  # fmt: skip
            self._note_rule(camera)
            self._say_settings(camera)
        if self._keeps and time_of_clip >= self._learnt_kept.get(camera.name, float("-inf")) + LEARNT_KEPT_EVERY:
            self.keep_learnt(camera)
            self._learnt_kept[camera.name] = time_of_clip

    def keep_learnt(self, camera: WatchedCamera) -> None:
        """What the camera has learnt goes to the data folder; another bundle's says nothing of it."""
        kept = camera.learner.to_json()
        if self._keeps and kept is not None and not camera.is_self_test:
            self._journal.setting(camera.name, "learnt", f"{camera.model.sha256} {json.dumps(kept)}")

    def event(self, decoder: DecoderProcess, payload: EventMessage | None, clip: ClipReady | None = None) -> None:
        """The next message of an event; `clip` is the one that brought it about, whose picture it should carry."""
        if payload is None:
            return
        kind, camera = payload.type, decoder.camera
        alarm = payload.label == "anomaly"
        if kind != "update":
            what = "test" if payload.test else "alarm" if alarm else "camera lost"
            said = {} if payload.suppressed is None else {"suppressed": payload.suppressed}
            log.info(f"{what} {kind}", camera=camera.name, id=payload.id, score=payload.score, **said)
        if kind == "new" and alarm and not payload.test and payload.suppressed is None:
            self._metrics.alarm(camera.name)
        if alarm and self._keeps:
            self._order_files(decoder, payload, clip)
        if alarm and self._mqtt is not None and not camera.is_self_test:
            self._mqtt.camera_anomaly(camera.name, active=camera.alarming)
        decoder.pending_messages.say(payload)
        self.release(decoder)

    def _order_files(self, decoder: DecoderProcess, payload: EventMessage, clip: ClipReady | None) -> None:
        event_id, rolls = payload.id, decoder.config.clip
        if payload.type == "new":
            decoder.pending_messages.expect_files(event_id, time.monotonic())
            media = self._store.media
            seen = time.time() if clip is None else clip.end
            zone = decoder.config.schedule.zone
            at = datetime.fromtimestamp(seen).astimezone(zone).isoformat(sep=" ", timespec="seconds")
            text = f"{payload.camera}  {at}  score {payload.score:.2f}{'  TEST' if payload.test else ''}"
            shown = None if clip is None else (clip.connection, clip.clip)
            decoder.order(TakeSnapshot(event_id, media_path(media, event_id, "snapshot"), text, shown))
            begin = payload.start_time - rolls.pre_roll
            decoder.order(StartClip(event_id, media_path(media, event_id, "clip"), begin, rolls.longest))
        elif payload.type == "end" and payload.end_time is not None:
            decoder.order(EndClip(event_id, payload.end_time + rolls.post_roll))

    def file_written(self, decoder: DecoderProcess, message: SnapshotTaken | ClipClosed) -> None:
        """A decoder wrote a picture or clip, or could not."""
        name, kept = decoder.camera.name, message.bytes > 0
        kind: Kind = "snapshot" if isinstance(message, SnapshotTaken) else "clip"
        if kind == "snapshot":
            decoder.pending_messages.pictured(message.event, taken=kept)
        else:
            decoder.pending_messages.closed(message.event, kept=kept)
        if not kept:
            log.warning(f"no {kind} of the event", camera=name, id=message.event, reason=message.problem)
        else:
            show = (lambda: self._show(name, message.event)) if kind == "snapshot" else None
            self._journal.file_kept(message.event, kind, message.bytes, show)
        self.release(decoder)

    def release(self, decoder: DecoderProcess) -> None:
        """Let go what waits for files no longer."""
        for payload in decoder.pending_messages.due(time.monotonic()):
            files = self._keeps and payload.label == "anomaly"
            if self._events is not None and not decoder.camera.is_self_test:
                self._events.write_line(payload.as_json())
            self._journal.message(payload, time.time(), awaits_files=files)

    def status(self, camera: WatchedCamera) -> None:
        """Status and availability of a camera."""
        if camera.is_self_test:
            return
        if self._mqtt is not None:
            now = time.monotonic()
            problem = camera.problem(now)
            self._mqtt.camera_status(camera.name, camera.status(now), available=camera.available, problem=problem)
        self._metrics.camera(camera)

    def obey(self, decoders: Iterable[DecoderProcess], command: Command) -> None:
        """A command from MQTT or the page; a verdict may be on a camera that is gone."""
        decoder = next((d for d in decoders if d.camera.name == command.camera), None)
        if isinstance(command, GiveVerdict):
            self._journal.verdict(command.camera, command.event, command.verdict)
            if decoder is not None:
                self._teach(decoder.camera, command)
            return
        if decoder is None:  # gone since it was given
            return
        camera = decoder.camera
        if isinstance(command, SetEnabled):
            self._enable(decoder, decoder.config.enabled if command.enabled is None else command.enabled)
            self._keep(camera.name, "enabled", {None: None, True: "ON", False: "OFF"}[command.enabled])
        elif isinstance(command, SetThreshold):
            before = camera.rule.settings
            self._set_threshold(camera, command.threshold)
            if (now := camera.rule.settings) != before:
                log.info("threshold set", camera=camera.name, threshold=now.threshold_on, learnt=now.learnt)
            self._keep(camera.name, "threshold", None if command.threshold is None else str(command.threshold))
        else:
            self.event(decoder, camera.begin_test(time.time()))
        self._say_settings(camera)
        self.status(camera)

    @staticmethod
    def _set_threshold(camera: WatchedCamera, threshold: float | Literal["auto"] | None) -> None:
        if threshold == AUTO:
            camera.learn_threshold()
        else:
            camera.set_threshold(threshold)

    def _teach(self, camera: WatchedCamera, verdict: GiveVerdict) -> None:
        """The camera learns from a verdict on one of its last alarms."""
        if camera.learner.judged(verdict.event, verdict.verdict, time.time(), camera.rule.top_score):
            log.info("verdict learnt", camera=camera.name, id=verdict.event, verdict=verdict.verdict)
            self.keep_learnt(camera)

    def _enable(self, decoder: DecoderProcess, enabled: bool) -> None:
        camera = decoder.camera
        if enabled == camera.enabled:
            return
        camera.set_enabled(enabled, time.monotonic())
        log.info("enabled" if enabled else "disabled", camera=camera.name)
        if not enabled:
            decoder.shed_pending()
            self.event(decoder, camera.close_alarm("disabled"))

    def _keep(self, camera: str, name: Literal["enabled", "threshold"], value: str | None) -> None:
        kept = self._kept.setdefault(camera, {})
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
        self._journal.setting(camera, name, value)

    def finish(self, decoders: Iterable[DecoderProcess]) -> None:
        """The last messages and scores; no decoder writes any more."""
        for decoder in decoders:
            decoder.pending_messages.lost()
            self.release(decoder)
            self.remember_scene(decoder.camera)
            self.keep_learnt(decoder.camera)
        for camera in list(self._books):
            self._flush(camera)

    def _flush(self, camera: str) -> None:
        if camera in self._books and (chunk := self._books.pop(camera).flush()) is not None:
            self._journal.scores(camera, chunk)

    # from the journal's and the sink's threads

    def committed(self, message: Waiting) -> None:
        """A message is in the database, or the disk refused it: off to the broker, the page and the others."""
        self._tell_pages("event", message.payload.as_json())
        if message.payload.suppressed is not None:  # listed and shown; nobody is told
            if message.key is not None:
                self._journal.delivered(message.key)
            return
        if message.payload.camera != SELF_TEST_CAMERA:  # it is nobody's alarm, once a day
            for courier in self._couriers:
                courier.offer(message.payload)
        if self._mqtt is not None:
            self._mqtt.event(message)
        elif message.key is not None:
            self._journal.delivered(message.key)
        else:
            self._journal.delivered_early(message.payload, None)

    def settled(self, message: Waiting, said: EventMessage | None) -> None:
        """The broker has a message as it was `said`, or it was given up."""
        if message.key is not None:
            self._journal.delivered(message.key, said)
        else:
            self._journal.delivered_early(message.payload, said)
        if said is None or said.type != "new" or said.label != "anomaly" or said.test:
            return
        if said.latency_ms is not None:
            self._metrics.published(said.latency_ms)

    def retained(self, topic: str, kept: bool) -> None:
        """The broker keeps a message of ours, or no longer."""
        if self._keeps:
            self._journal.retained(topic, kept=kept)

    def expired(self, event_id: str, kind: Kind) -> None:
        """A file is gone."""
        if kind == "snapshot" and self._mqtt is not None:
            for camera, shown in list(self._shown.items()):
                if shown == event_id:
                    del self._shown[camera]
                    self._mqtt.camera_snapshot(camera, b"")

    def _show(self, camera: str, event_id: str) -> None:
        if self._mqtt is None or camera not in self._cameras:
            return
        try:
            jpeg = media_path(self._store.media, event_id, "snapshot").read_bytes()
        except OSError:
            return
        self._shown[camera] = event_id
        self._mqtt.camera_snapshot(camera, jpeg)

    def _say_settings(self, camera: WatchedCamera) -> None:
        if self._mqtt is not None:
            threshold = camera.rule.settings.threshold_on
            self._mqtt.camera_settings(camera.name, enabled=camera.enabled, threshold=threshold)
            self._mqtt.camera_calibration(camera.name, camera.learner.state())
