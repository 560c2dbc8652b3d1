"""Everything that the scoring loop reports. Each part is a separate object; this one has the verbs that involve
several.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from stream.archive.journal import Journal
from stream.base.log import log
from stream.camera.messages import ClipReady
from stream.watch.camera_memory import CameraMemory
from stream.watch.camera_topics import CameraTopics
from stream.watch.decoder_process import DecoderProcess
from stream.watch.event_files import EventFiles
from stream.watch.event_report import EventReport
from stream.watch.overrides import Overrides
from stream.watch.retained_pictures import RetainedPictures
from stream.watch.score_report import ScoreReport
from stream.watch.watched_camera import Scored, WatchedCamera


class Reporter:
    """Used only by the loop."""

    def __init__(
        self,
        journal: Journal,
        scores: ScoreReport,
        events: EventReport,
        files: EventFiles,
        topics: CameraTopics,
        pictures: RetainedPictures,
        memory: CameraMemory,
        overrides: Overrides,
    ) -> None:
        self.events = events
        self.topics = topics
        self.memory = memory
        self.overrides = overrides
        self.pictures = pictures
        self._journal = journal
        self._scores = scores
        self._files = files

    def introduce(self, camera: WatchedCamera) -> None:
        """A new camera: its stored state, its overrides, and its topics."""
        self.pictures.add(camera.name)
        self.memory.begin_epoch(camera, time.time())
        self.memory.recall(camera)
        self.overrides.apply(camera)
        self.overrides.snoozes.recall(camera)
        self.overrides.catch_up(camera)
        self.memory.note_rule(camera)
        self.topics.introduce(camera)
        if self._files.keeps and camera.fence is None:  # the broker may have a later one of another instance
            self._journal.files.latest_snapshot(camera.name, self.pictures.show)

    def forget(self, camera: str) -> None:
        """The camera is gone."""
        self.pictures.remove(camera)
        self._scores.flush(camera)
        self.topics.forget(camera)

    def leave(self, camera: WatchedCamera) -> None:
        """Another instance speaks for the camera from now on."""
        self.pictures.remove(camera.name)
        self._scores.flush(camera.name)
        self.topics.leave(camera.name)

    def scored(self, decoder: DecoderProcess, scored: Scored, clip: ClipReady) -> None:
        """The results of a clip: its score, and the event message that it caused."""
        camera = decoder.camera
        for message in scored.noticed.messages:
            self.events.say(decoder, message, scored.noticed.clip or clip)
        self.events.say(decoder, scored.ended, clip)
        self.events.say(decoder, scored.event, clip)
        if camera.is_self_test:
            return
        self._scores.say(camera, scored)
        if scored.explanation is not None and scored.event is not None:
            self._files.explained(scored.event, scored.explanation)
        if scored.noticed.explanation is not None:
            self._files.explained(scored.noticed.messages[0], scored.noticed.explanation)
        for change in camera.learner.changes():
            log.info(
                "threshold set" if change.why == "set" else "threshold learned", camera=camera.name,
                old=round(change.old, 4), new=round(change.new, 4), state=str(change.state), why=change.why,
            )  # fmt: skip
            self.memory.note_rule(camera)
            self.topics.settings(camera)
        self.memory.keep_learnt_now_and_then(camera, clip.end)
        self.topics.status(camera)

    def finish(self, decoders: Iterable[DecoderProcess]) -> None:
        """The last messages and scores; the decoders no longer write."""
        for decoder in decoders:
            decoder.pending_messages.lost()
            self.events.release(decoder)
            if not decoder.camera.silent:
                self.memory.keep_scene(decoder.camera)
                self.memory.keep_learnt(decoder.camera)
        self._scores.flush_all()
