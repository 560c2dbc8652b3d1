"""Entries of the audit log for what another process than mgfn-stream changes."""

from __future__ import annotations

import time

from stream.alarm.audit import change_of
from stream.alarm.requests import Command
from stream.archive.store import Store


def note(store: Store, command: Command) -> None:
    """Note a change in a store opened `beside` mgfn-stream, within the transaction that makes it."""
    change = change_of(command, round(time.time(), 3))
    if change is not None:
        kept = store.clocks.kept()
        store.audit.add(change, time.time() if kept is None else kept.steady)
