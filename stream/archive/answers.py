"""Messages of events that are over: acknowledgements and escalations."""

from __future__ import annotations

from stream.alarm.event import Event, EventMessage
from stream.alarm.requests import Acknowledge
from stream.archive.store import Store
from stream.base.log import log


def escalation(store: Store, event_id: str, made: float) -> tuple[EventMessage, int] | None:
    """Store an escalation, made at that steady time, and return it as `acknowledgement` does; None if somebody has
    answered the event, or it is no longer stored.
    """
    listed = store.events.get(event_id)
    if listed is None or listed.verdict is not None or listed.message.acknowledged is not None:
        return None
    message = Event(listed.message.corrected(store.clock.mark)).escalate(store.clock.wall(made))
    return message, store.events.add(message, made, awaits_files=False)


def unanswered(store: Store, since: float) -> list[EventMessage]:
    """The last messages of events that began since that epoch time, and that nobody has answered."""
    listed = (event for event in store.events.since(since) if event.verdict is None)
    return [event.message for event in listed if event.message.acknowledged is None]


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
