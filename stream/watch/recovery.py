"""What an earlier run left in the data folder: unsent messages, open events, expected files."""

from __future__ import annotations

from typing import Final

from stream.alarm.event import Event
from stream.archive.journal import Journal
from stream.archive.media import Kind, media_path
from stream.archive.store import Store
from stream.base.log import log
from stream.sinks.mqtt import MqttSink

_KINDS: Final[tuple[Kind, ...]] = ("snapshot", "clip")


def recover(store: Store, journal: Journal, mqtt: MqttSink | None) -> None:
    """Its outbox first, then the ends of open events, and their files. The store is not used elsewhere yet."""
    for message in store.events.waiting():
        if mqtt is None or message.payload.suppressed is not None:
            journal.delivered(message.key or 0)
        else:
            mqtt.event(message)
    now = store.clock.now()
    for left, awaits_files in store.events.unfinished():
        payload = left.corrected(store.clock.mark)
        event = Event(payload)
        if payload.end_time is None:
            at = event.last_time if payload.label == "anomaly" else store.clock.wall(now)
            log.warning("ended an event that an earlier run left open", camera=event.camera, id=event.id)
            journal.message(event.end(None, at, "restart"), now, awaits_files=False)
        if awaits_files:
            there = {kind: media_path(store.media, event.id, kind) for kind in _KINDS}
            sizes = {kind: path.stat().st_size if path.exists() else 0 for kind, path in there.items()}
            for kind in _KINDS:
                journal.files.kept(event.id, kind, sizes[kind])
            media = event.media(snapshot=sizes["snapshot"] > 0, clip=sizes["clip"] > 0)
            journal.message(media, now, awaits_files=False)
