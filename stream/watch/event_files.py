"""The image, clip and window of each event: requested from the decoder, recorded when they are written."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.event_urls import heat_map_url
from stream.archive.clock import Clock
from stream.archive.explanation import Explanation
from stream.archive.journal import Journal
from stream.archive.media import Kind, look_path, media_path
from stream.base.log import log
from stream.camera.messages import ClipClosed, ClipReady, EndClip, SnapshotTaken, StartClip, TakeSnapshot
from stream.watch.decoder_process import DecoderProcess
from stream.watch.retained_pictures import RetainedPictures

_HEATED: Final = 1_000  # the last alarms, of which some still wait for their clips


class EventFiles:
    """Used only by the loop. `media` is their folder. If `keeps` is False (in a replay), none are made."""

    def __init__(self, journal: Journal, media: Path, pictures: RetainedPictures, clock: Clock, *, keeps: bool) -> None:
        self._clock = clock
        self._journal = journal
        self._media = media
        self._pictures = pictures
        self._unpublished: set[str] = set()  # events whose image is awaited, but does not go to `anomaly/snapshot`
        self._heated: deque[str] = deque(maxlen=_HEATED)  # events with a heat map
        self._looks: set[str] = set()  # images that were asked for by somebody, rather than by an event
        self.keeps = keeps

    def look(self, decoder: DecoderProcess, name: str) -> None:
        """Have the whole image, without masks, written for somebody who waits for the file."""
        if self.keeps:
            self._looks.add(name)
            decoder.order(TakeSnapshot(name, look_path(self._media, name), "", None, whole=True))

    def order(self, decoder: DecoderProcess, message: EventMessage, clip: ClipReady | None) -> None:
        """Request the files for the message of an alarm; `clip` is the one that caused it and is shown."""
        if not self.keeps:
            return
        rolls = decoder.config.clip
        if message.type == "new":
            filmed = message.suppressed != "hourly_cap"  # a flood of alarms must not fill the disk
            decoder.pending_messages.expect_files(message.id, time.monotonic(), clip=filmed)
            if message.suppressed is not None or message.severity == "notice":
                self._unpublished.add(message.id)
            seen = self._clock.now() if clip is None else clip.end
            zone = decoder.config.schedule.zone
            at = datetime.fromtimestamp(self._clock.wall(seen)).astimezone(zone).isoformat(sep=" ", timespec="seconds")
            text = f"{message.camera}  {at}  score {message.score:.2f}{'  TEST' if message.test else ''}"
            taken_of = None if clip is None else (clip.connection, clip.clip)
            decoder.order(
                TakeSnapshot(
                    message.id, media_path(self._media, message.id, "snapshot"), text, taken_of, message.focus_region
                )
            )
            if filmed:
                begin = message.start_time - rolls.pre_roll
                decoder.order(StartClip(message.id, media_path(self._media, message.id, "clip"), begin, rolls.longest))
        elif message.type == "end" and message.end_time is not None:
            decoder.order(EndClip(message.id, message.end_time + rolls.post_roll))

    def explained(self, message: EventMessage, explanation: Explanation) -> None:
        """Store the window of an alarm beside its image and clip."""
        if self.keeps:
            self._journal.files.explained(message.id, explanation)

    def heat_map(self, event_id: str, content: bytes) -> None:
        """Store the heat map of an alarm. Called by the thread that computes them."""
        self._journal.files.heat_map(event_id, content)
        self._heated.append(event_id)

    def with_heat_map(self, message: EventMessage) -> EventMessage:
        """The `media` message of an alarm, with the address of its heat map, if there is one."""
        heated = message.type == "media" and message.snapshot is not None and message.id in self._heated
        return replace(message, heat_map=heat_map_url(message.id)) if heated else message

    def written(self, decoder: DecoderProcess, written: SnapshotTaken | ClipClosed) -> None:
        """A decoder wrote an image or clip, or failed to."""
        if written.event in self._looks:
            self._looks.discard(written.event)
            return
        camera, kept = decoder.camera.name, written.bytes > 0
        kind: Kind = "snapshot" if isinstance(written, SnapshotTaken) else "clip"
        if kind == "snapshot":
            decoder.pending_messages.pictured(written.event, taken=kept)
        else:
            decoder.pending_messages.closed(written.event, kept=kept)
        published = written.event not in self._unpublished
        if kind == "snapshot":
            self._unpublished.discard(written.event)
        if not kept:
            log.warning(f"event has no {kind}", camera=camera, id=written.event, reason=written.problem)
            return
        show = (lambda: self._pictures.show(camera, written.event)) if kind == "snapshot" and published else None
        self._journal.files.kept(written.event, kind, written.bytes, show)
