"""Acknowledgements of events that are over."""

from __future__ import annotations

from stream.alarm.event import Event, EventMessage
from stream.alarm.requests import Acknowledge
from stream.archive.store import Store
from stream.base.log import log


def acknowledgement(store: Store, given: Acknowledge, made: float) -> tuple[EventMessage, int] | None:
    """Store an acknowledgement, given at steady time `made`. Returns the message and its key in the outbox; None if
    there is no such event, or somebody has acknowledged it before.
    """
    listed = store.events.get(given.event)
    if listed is None or listed.message.camera != given.camera:
        log.warning("acknowledgement ignored: unknown event", camera=given.camera, id=given.event)
        return None
    event = Event(listed.message.corrected(store.clock.mark))
    message = event.acknowledge(store.clock.wall(made), given.by)
    if message is None:
        log.info("already acknowledged", camera=given.camera, id=given.event)
        return None
    return message, store.events.add(message, made, awaits_files=False)
