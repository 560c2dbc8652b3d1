"""Answers to alarms: somebody acknowledges one, or nobody does, and it is escalated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from stream.alarm.event import Event, EventMessage
from stream.alarm.requests import Acknowledge, Command
from stream.archive.answers import acknowledgement, escalation
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.log import log
from stream.watch.decoder_process import DecoderProcess
from stream.watch.event_report import EventReport


class Acknowledgements:
    """Used only by the loop. `post` queues a command, from any thread."""

    def __init__(self, journal: Journal, events: EventReport, clock: Clock, post: Callable[[Command], None]) -> None:
        self._journal = journal
        self._events = events
        self._clock = clock
        self._post = post

    def escalate_due(self, decoders: Iterable[DecoderProcess]) -> None:
        """Escalate the alarms that nobody has answered in time."""
        now = self._clock.now()
        for camera, event_id in self._events.escalation.due(now):
            decoder = next((d for d in decoders if d.camera.name == camera), None)
            event = None if decoder is None else _live(decoder, event_id)
            if decoder is None or event is None:
                self._journal.add(partial(escalation, event_id=event_id, made=now), now, self._events.said_by_journal)
            else:
                self._events.say(decoder, event.escalate(now))

    def take(self, decoder: DecoderProcess | None, given: Acknowledge, noted: Callable[[], None]) -> None:
        """Acknowledge an event, which may be over, or of a removed camera (`decoder` None). `noted` is called if nobody
        has acknowledged it before, also by the writer's thread.
        """
        now = self._clock.now()
        event = None if decoder is None else _live(decoder, given.event)
        if decoder is not None and event is not None:  # its messages are numbered here
            message = event.acknowledge(now, given.by)
            self._events.say(decoder, message)
            if message is None:
                log.info("already acknowledged", camera=given.camera, id=event.id)
            else:
                noted()
        elif given.event == "latest":
            self._journal.latest_alarm(given.camera, lambda found: self._post(replace(given, event=found)))
        else:

            def said(message: EventMessage) -> None:
                noted()
                self._events.said_by_journal(message)

            self._journal.add(lambda store: acknowledgement(store, given, now), now, said)


def _live(decoder: DecoderProcess, event_id: str) -> Event | None:
    """An event that is open or awaits its files; "latest": the open alarm."""
    alarm = decoder.camera.alarm
    if event_id == "latest":
        return alarm.event if alarm.active else None
    found = (event for event in decoder.camera.open_events if event.id == event_id)
    return next(found, None) or decoder.pending_messages.ended(event_id)
