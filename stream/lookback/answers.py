"""Answers to alarms that are given by another process than mgfn-stream."""

from __future__ import annotations

import time

from stream.alarm.event import Event
from stream.alarm.requests import Acknowledge, Origin
from stream.archive.store import Store
from stream.lookback.audit import note


def acknowledge(store: Store, event_id: str, by: str) -> bool:
    """Acknowledge an event in a store opened `beside` mgfn-stream; False if there is no such event.

    A running mgfn-stream is told, because it numbers the messages of open events. Otherwise the message is stored, and
    published at the next start.
    """
    listed = store.events.get(event_id)
    if listed is None:
        return False
    given = Acknowledge(listed.message.camera, event_id, by, origin=Origin(by, "command line"))
    with store.transaction():
        if store.in_use():  # it hears of settings; the time tells two answers apart
            store.settings.set(listed.message.camera, "ack", f"{event_id} {time.time():.3f} {by}")
            note(store, given)
        elif (message := Event(listed.message).acknowledge(time.time(), by)) is not None:
            kept = store.clocks.kept()
            store.events.add(message, time.time() if kept is None else kept.steady, awaits_files=False)
            note(store, given)
    return True
