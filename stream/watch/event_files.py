"""The picture, clip and window of each event: asked of the decoder, noted once they are written."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from stream.alarm.event import EventMessage
from stream.archive.explanation import Explanation
from stream.archive.journal import Journal
from stream.archive.media import Kind, media_path
from stream.base.log import log
from stream.camera.messages import ClipClosed, ClipReady, EndClip, SnapshotTaken, StartClip, TakeSnapshot
from stream.watch.decoder_process import DecoderProcess
from stream.watch.retained_pictures import RetainedPictures


class EventFiles:
    """Used by the loop alone. `media` is the folder they go to; where `keeps` is False (a replay) none are made."""

    def __init__(self, journal: Journal, media: Path, pictures: RetainedPictures, *, keeps: bool) -> None:
        self._journal = journal
        self._media = media
        self._pictures = pictures
        self._untold: set[str] = set()  # events whose picture is awaited and not published
        self.keeps = keeps

    def order(self, decoder: DecoderProcess, message: EventMessage, clip: ClipReady | None) -> None:
        """Ask for what goes with the message of an alarm; `clip` is the one that caused it and is to be shown."""
        if not self.keeps:
            return
        rolls = decoder.config.clip
        if message.type == "new":
            filmed = message.suppressed != "hourly_cap"  # a flood of alarms must not fill the disk
            decoder.pending_messages.expect_files(message.id, time.monotonic(), clip=filmed)
            if message.suppressed is not None:
                self._untold.add(message.id)
            seen = time.time() if clip is None else clip.end
            zone = decoder.config.schedule.zone
            at = datetime.fromtimestamp(seen).astimezone(zone).isoformat(sep=" ", timespec="seconds")
            text = f"{message.camera}  {at}  score {message.score:.2f}{'  TEST' if message.test else ''}"
            taken_of = None if clip is None else (clip.connection, clip.clip)
            decoder.order(TakeSnapshot(message.id, media_path(self._media, message.id, "snapshot"), text, taken_of))
            if filmed:
                begin = message.start_time - rolls.pre_roll
                decoder.order(StartClip(message.id, media_path(self._media, message.id, "clip"), begin, rolls.longest))
        elif message.type == "end" and message.end_time is not None:
            decoder.order(EndClip(message.id, message.end_time + rolls.post_roll))

    def explained(self, message: EventMessage, explanation: Explanation) -> None:
        """The window of an alarm goes beside its picture and clip."""
        if self.keeps:
            self._journal.explained(message.id, explanation)

    def written(self, decoder: DecoderProcess, written: SnapshotTaken | ClipClosed) -> None:
        """A decoder wrote a picture or clip, or could not."""
        camera, kept = decoder.camera.name, written.bytes > 0
        kind: Kind = "snapshot" if isinstance(written, SnapshotTaken) else "clip"
        if kind == "snapshot":
            decoder.pending_messages.pictured(written.event, taken=kept)
        else:
            decoder.pending_messages.closed(written.event, kept=kept)
        told = written.event not in self._untold
        if kind == "snapshot":
            self._untold.discard(written.event)
        if not kept:
            log.warning(f"no {kind} of the event", camera=camera, id=written.event, reason=written.problem)
            return
        show = (lambda: self._pictures.show(camera, written.event)) if kind == "snapshot" and told else None
        self._journal.file_kept(written.event, kind, written.bytes, show)
