"""What an earlier run left in the data folder."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import cast

from stream.alarm.outbox import Waiting
from stream.archive.journal import Journal
from stream.archive.retention import Retention
from stream.archive.store import Store
from stream.sinks.mqtt import MqttSink
from stream.watch.recovery import recover
from tests.events import event_message


class Published:
    def __init__(self) -> None:
        self.messages: list[Waiting] = []

    def event(self, message: Waiting) -> None:
        self.messages.append(message)


def test_what_was_suppressed_is_not_published_by_the_next_run(tmp_path: Path) -> None:
    rang = event_message(id="1000.00-aaaaaa", type="end", end_time=1010.0)
    silent = event_message(id="1001.00-bbbbbb", type="end", end_time=1011.0, suppressed="lookalike")
    with Store.open(tmp_path) as store:
        for message in (silent, rang):
            store.events.add(message, 1001.0, awaits_files=False)
        mqtt = Published()
        journal = Journal(store, Retention(), queue.Queue(10), lambda _: None, lambda *_: None)
        recover(store, journal, cast(MqttSink, mqtt))
        journal.stop()
        journal.run()
        assert [message.payload.id for message in mqtt.messages] == [rang.id]
        assert [message.payload.id for message in store.events.waiting()] == [rang.id]
