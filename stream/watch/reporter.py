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
from typing import Any, Literal

from engine.default_bundle import project_version
from stream.alarm.event import Payload
from stream.alarm.outbox import Waiting
from stream.alarm.requests import Command, GiveVerdict, SetEnabled, SetThreshold
from stream.alarm.rule import Change
from stream.archive.journal import Journal
from stream.archive.media import Kind, media_path
from stream.archive.score_log import LoggedScore, ScoreBook
from stream.archive.store import Store
from stream.base.addresses import HIDDEN_CAMERA
from stream.base.log import log
from stream.camera.messages import ClipClosed, ClipReady, EndClip, SnapshotTaken, StartClip, TakeSnapshot
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.courier import Courier
from stream.sinks.home_assistant import discovery, discovery_topic
from stream.sinks.mqtt import MqttSink
from stream.sinks.score_file import ScoresFile
from stream.watch.decoder_process import DecoderHandle
from stream.watch.metrics import Metrics
from stream.watch.recovery import recover
from stream.watch.watched_camera import CameraTrack, Scored


class Reporter:
    """Tells `journal`, `mqtt`, `scores` (None: not asked for), `couriers` and pages what happens.

    `page` is the address of the web page if others reach it.
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
    ) -> None:
        self._settings = settings
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

    def introduce(self, track: CameraTrack) -> None:
        """A camera: what was set for it earlier, and its retained topics."""
        self._cameras.add(track.name)
        self._note_rule(track)
        self._apply_kept(track)
        model, _, scene = self._kept.get(track.name, {}).get("scene", "").partition(" ")
        if model == track.model.sha256:
            track.scene.recall(scene)
        self.status(track)
        if self._mqtt is None:
            return
        self._say_settings(track)
        self._mqtt.camera_anomaly(track.name, active=False)
        if self._settings.replay:
            return
        self._journal.latest_snapshot(track.name, self._show)
        prefix, node = self._settings.topic_prefix, self._settings.node
        payload = discovery(prefix, node, track.name, project_version(), self._page)
        self._mqtt.announce(discovery_topic(node, track.name), payload)

    def remember_scene(self, track: CameraTrack) -> None:
        """Keep what the camera usually sees over a restart; another model's features say nothing of it."""
        scene = track.scene.memory()
        if self._keeps and scene is not None and not track.hidden:
            self._journal.setting(track.name, "scene", f"{track.model.sha256} {scene}")

    def _note_rule(self, track: CameraTrack) -> None:
        """For what-if, which knows neither flags nor site file nor bundle."""
        if self._keeps:
            self._journal.setting(track.name, "alarm", json.dumps(asdict(track.rule.settings)))
            self._journal.setting(track.name, "schedule", track.schedule.as_text())

    def _apply_kept(self, track: CameraTrack) -> None:
        """What was set over MQTT goes before any other setting."""
        found = self._kept.get(track.name, {})
        kept = {name: found[name] for name in ("threshold", "enabled") if name in found}
        if "threshold" in kept:
            track.set_threshold(float(kept["threshold"]))
        if "enabled" in kept:
            track.set_enabled(kept["enabled"] == "ON", time.monotonic())
        if kept:
            log.info("set over MQTT earlier, still in force; `reset` takes it back", camera=track.name, **kept)

    def configure(self, decoder: DecoderHandle, config: CameraConfig) -> None:
        """Other settings of a camera whose process and window stay."""
        track = decoder.track
        decoder.config = config
        track.configure(config)
        self._note_rule(track)
        if "enabled" not in self._kept.get(track.name, {}):
            self._enable(decoder, config.enabled)
        self._apply_kept(track)
        self._say_settings(track)
        self.status(track)

    def close_events(self, decoder: DecoderHandle, reason: str) -> None:
        """The `end` of everything that is open."""
        track, epoch = decoder.track, time.time()
        self.event(decoder, track.close_alarm(reason))
        self.event(decoder, track.end_test(epoch, stopping=reason))
        self.event(decoder, track.end_loss(epoch, stopping=reason))

    def forget(self, camera: str) -> None:
        """The camera is gone."""
        self._cameras.discard(camera)
        self._shown.pop(camera, None)
        self._flush(camera)
        self._metrics.forget(camera)
        if self._mqtt is not None:
            self._mqtt.forget(camera, discovery_topic(self._settings.node, camera))

    # from the loop

    def scored(self, track: CameraTrack, scored: Scored) -> None:
        """One clip's score, to everybody."""
        if track.hidden:
            return
        threshold, clip = track.rule.settings.threshold_on, scored.clip
        if self._mqtt is not None:
            self._mqtt.score(track.name, scored.score, threshold, clip.end, scored.window)
        told = {"camera": track.name, "score": round(scored.score, 4), "threshold": threshold, "time": clip.end}
        self._tell_pages("score", told | {"window": scored.window})
        if self._scores is not None:
            self._scores.write(track.name, clip.clip, clip.start, clip.end, scored.score, threshold, scored.window)
        if self._keeps:
            logged = LoggedScore(clip.start, clip.end, scored.score, scored.window, scored.connects)
            chunk = self._books[track.name].add(logged)
            if chunk is not None:
                self._journal.scores(track.name, chunk)
        if self._keeps and scored.explanation is not None and scored.event is not None:
            self._journal.explained(scored.event["id"], scored.explanation)
        if scored.change is Change.CAPPED:
            log.warning("alarm left out: the hour's cap is reached", camera=track.name, score=round(scored.score, 4))
        self._metrics.scored(track.name, scored.score)
        self.status(track)

    def event(self, decoder: DecoderHandle, payload: Payload | None, clip: ClipReady | None = None) -> None:
        """The next message of an event; `clip` is the one that brought it about, whose picture it should carry."""
        if payload is None:
            return
        kind, track = payload["type"], decoder.track
        alarm = payload["label"] == "anomaly"
        if kind != "update":
            what = "test" if payload["test"] else "alarm" if alarm else "camera lost"
            log.info(f"{what} {kind}", camera=track.name, id=payload["id"], score=payload["score"])
        if kind == "new" and alarm and not payload["test"]:
            self._metrics.alarm(track.name)
        if alarm and self._keeps:
            self._order_files(decoder, payload, clip)
        if alarm and self._mqtt is not None and not track.hidden:
            self._mqtt.camera_anomaly(track.name, active=track.alarming)
        decoder.desk.say(payload)
        self.release(decoder)

    def _order_files(self, decoder: DecoderHandle, payload: Payload, clip: ClipReady | None) -> None:
        event_id, rolls = payload["id"], decoder.config.clip
        if payload["type"] == "new":
            decoder.desk.expect_files(event_id, time.monotonic())
            media = self._store.media
            seen = time.time() if clip is None else clip.end
            zone = decoder.config.schedule.zone
            at = datetime.fromtimestamp(seen).astimezone(zone).isoformat(sep=" ", timespec="seconds")
            text = f"{payload['camera']}  {at}  score {payload['score']:.2f}{'  TEST' if payload['test'] else ''}"
            shown = None if clip is None else (clip.connection, clip.clip)
            decoder.order(TakeSnapshot(event_id, media_path(media, event_id, "snapshot"), text, shown))
            begin = payload["start_time"] - rolls.pre_roll
            decoder.order(StartClip(event_id, media_path(media, event_id, "clip"), begin, rolls.longest))
        elif payload["type"] == "end":
            decoder.order(EndClip(event_id, payload["end_time"] + rolls.post_roll))

    def file_written(self, decoder: DecoderHandle, message: SnapshotTaken | ClipClosed) -> None:
        """A decoder wrote a picture or clip, or could not."""
        camera, kept = decoder.track.name, message.bytes > 0
        kind: Kind = "snapshot" if isinstance(message, SnapshotTaken) else "clip"
        if kind == "snapshot":
            decoder.desk.pictured(message.event, taken=kept)
        else:
            decoder.desk.closed(message.event, kept=kept)
        if not kept:
            log.warning(f"no {kind} of the event", camera=camera, id=message.event, reason=message.problem)
        else:
            show = (lambda: self._show(camera, message.event)) if kind == "snapshot" else None
            self._journal.file_kept(message.event, kind, message.bytes, show)
        self.release(decoder)

    def release(self, decoder: DecoderHandle) -> None:
        """Let go what waits for files no longer."""
        for payload in decoder.desk.due(time.monotonic()):
            files = self._keeps and payload["label"] == "anomaly"
            self._journal.message(payload, time.time(), awaits_files=files)

    def status(self, track: CameraTrack) -> None:
        """Status and availability of a camera."""
        if track.hidden:
            return
        if self._mqtt is not None:
            now = time.monotonic()
            problem = track.problem(now)
            self._mqtt.camera_status(track.name, track.status(now), available=track.available, problem=problem)
        self._metrics.camera(track)

    def obey(self, decoders: Iterable[DecoderHandle], command: Command) -> None:
        """A command from MQTT or the page; a verdict may be on a camera that is gone."""
        if isinstance(command, GiveVerdict):
            self._journal.verdict(command.camera, command.event, command.verdict)
            return
        decoder = next((d for d in decoders if d.track.name == command.camera), None)
        if decoder is None:  # gone since it was given
            return
        track = decoder.track
        if isinstance(command, SetEnabled):
            self._enable(decoder, decoder.config.enabled if command.enabled is None else command.enabled)
            self._keep(track.name, "enabled", {None: None, True: "ON", False: "OFF"}[command.enabled])
        elif isinstance(command, SetThreshold):
            before = track.rule.settings.threshold_on
            track.set_threshold(command.threshold)
            if (now := track.rule.settings.threshold_on) != before:
                log.info("threshold set", camera=track.name, threshold=now)
            self._keep(track.name, "threshold", None if command.threshold is None else repr(command.threshold))
        else:
            self.event(decoder, track.begin_test(time.time()))
        self._say_settings(track)
        self.status(track)

    def _enable(self, decoder: DecoderHandle, enabled: bool) -> None:
        track = decoder.track
        if enabled == track.enabled:
            return
        track.set_enabled(enabled, time.monotonic())
        log.info("enabled" if enabled else "disabled", camera=track.name)
        if not enabled:
            decoder.shed_pending()
            self.event(decoder, track.close_alarm("disabled"))

    def _keep(self, camera: str, name: Literal["enabled", "threshold"], value: str | None) -> None:
        kept = self._kept.setdefault(camera, {})
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
        self._journal.setting(camera, name, value)

    def finish(self, decoders: Iterable[DecoderHandle]) -> None:
        """The last messages and scores; no decoder writes any more."""
        for decoder in decoders:
            decoder.desk.lost()
            self.release(decoder)
            self.remember_scene(decoder.track)
        for camera in list(self._books):
            self._flush(camera)

    def _flush(self, camera: str) -> None:
        if camera in self._books and (chunk := self._books.pop(camera).flush()) is not None:
            self._journal.scores(camera, chunk)

    # from the journal's and the sink's threads

    def committed(self, message: Waiting) -> None:
        """A message is in the database, or the disk refused it: off to the broker, the page and the others."""
        self._tell_pages("event", message.payload)
        if message.payload["camera"] != HIDDEN_CAMERA:  # it is nobody's alarm, once a day
            for courier in self._couriers:
                courier.offer(message.payload)
        if self._mqtt is not None:
            self._mqtt.event(message)
        elif message.key is not None:
            self._journal.delivered(message.key)

    def settled(self, message: Waiting, said: Payload | None) -> None:
        """The broker has a message as it was `said`, or it was given up."""
        if message.key is not None:
            self._journal.delivered(message.key, said)
        if said is not None and said["type"] == "new" and said["label"] == "anomaly" and not said["test"]:
            self._metrics.published(said["latency_ms"])

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

    def _say_settings(self, track: CameraTrack) -> None:
        if self._mqtt is not None:
            threshold = track.rule.settings.threshold_on
            self._mqtt.camera_settings(track.name, enabled=track.enabled, threshold=threshold)
