"""Passes event messages from the loop to the journal, in order. Each message waits for its files first."""

from __future__ import annotations

import time
from dataclasses import replace

from stream.alarm.escalation import Escalation
from stream.alarm.event import EventMessage
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.log import log
from stream.camera.messages import ClipClosed, ClipReady, SnapshotTaken
from stream.sinks.score_file import ScoresFile
from stream.watch.camera_topics import CameraTopics
from stream.watch.decoder_process import DecoderProcess
from stream.watch.event_files import EventFiles
from stream.watch.metrics import Metrics


class EventReport:
    """Used only by the loop. `lines` is the file of `--events`.

    Messages arrive with steady times and leave with wall-clock times.
    """

    def __init__(
        self,
        journal: Journal,
        files: EventFiles,
        topics: CameraTopics,
        metrics: Metrics,
        clock: Clock,
        lines: ScoresFile | None = None,
        escalation: Escalation | None = None,
    ) -> None:
        self.escalation = escalation or Escalation(None)
        self._clock = clock
        self._journal = journal
        self._files = files
        self._topics = topics
        self._metrics = metrics
        self._lines = lines

    def say(self, decoder: DecoderProcess, message: EventMessage | None, clip: ClipReady | None = None) -> None:
        """The next message of an event, if there is one; `clip` is the one that caused it."""
        if message is None:
            return
        message = replace(message, fence=decoder.camera.fence)
        alarm, published = message.label == "anomaly", message.suppressed is None
        if message.type != "update":
            self._log(decoder, message)
        if message.type == "new" and alarm and published and message.severity == "alarm" and not message.test:
            self._metrics.alarm(decoder.camera.name)
        if alarm:
            self._files.order(decoder, message, clip)
            self._topics.anomaly(decoder.camera)
        self.escalation.said(message, self._clock.now())
        decoder.pending_messages.say(message)
        self.release(decoder)

    @staticmethod
    def _log(decoder: DecoderProcess, message: EventMessage) -> None:
        what = "test" if message.test else message.severity if message.label == "anomaly" else "camera lost"
        more = {} if message.suppressed is None else {"suppressed": message.suppressed}
        log.info(f"{what} {message.type}", camera=decoder.camera.name, id=message.id, score=message.score, **more)

    def release(self, decoder: DecoderProcess) -> None:
        """Send messages whose files are complete, or that have waited long enough."""
        for due in decoder.pending_messages.due(time.monotonic()):
            message = self._files.with_heat_map(due.by_the_wall(self._clock.mark))
            if self._lines is not None and not decoder.camera.is_self_test:
                self._lines.write_line(message.as_json())
            awaits_files = self._files.keeps and message.label == "anomaly"
            self._journal.message(message, self._clock.now(), awaits_files=awaits_files)

    def said_by_journal(self, message: EventMessage) -> None:
        """The journal has stored and published a message itself. Called by its thread."""
        self.escalation.said(message, self._clock.now())
        if self._lines is not None:
            self._lines.write_line(message.as_json())

    def heat_map(self, event_id: str, content: bytes) -> None:
        """Store the heat map of an alarm; see `EventFiles.heat_map`."""
        self._files.heat_map(event_id, content)

    def look(self, decoder: DecoderProcess, name: str) -> None:
        """Have the whole image of the camera written; see `EventFiles.look`."""
        self._files.look(decoder, name)

    def file_written(self, decoder: DecoderProcess, written: SnapshotTaken | ClipClosed) -> None:
        """A decoder wrote an image or clip, or failed to; messages may have waited for it."""
        self._files.written(decoder, written)
        self.release(decoder)

    def close_scored(self, decoder: DecoderProcess, reason: str) -> None:
        """Send the `end` of an open alarm and of an open notice."""
        for message in decoder.camera.close_scored(reason):
            self.say(decoder, message)

    def close(self, decoder: DecoderProcess, reason: str) -> None:
        """The `end` of everything that is open."""
        for message in decoder.camera.close(reason, self._clock.now()):
            self.say(decoder, message)
