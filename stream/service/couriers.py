"""Who is told of events beside MQTT, and who is told of those that nobody answers."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from stream.alarm.answer_links import AnswerLinks
from stream.alarm.escalation import MOST, Escalation
from stream.archive.answers import unanswered
from stream.archive.clock import Clock
from stream.archive.store import Store
from stream.settings.settings import ServiceSettings
from stream.sinks.courier import Courier
from stream.sinks.notifications import NotifySettings
from stream.sinks.recipients import recipients_of
from stream.watch.camera_memory import Kept
from stream.watch.metrics import Metrics

_KEY: Final = "answer_key"


def answer_links(store: Store, kept: Kept, page: str | None) -> AnswerLinks:
    """Links to the page at the address `page`; their key is made at the first start, and stored."""
    key = kept.get("", {}).get(_KEY)
    if key is None:
        key = secrets.token_hex(16)
        with store.transaction():
            store.settings.set("", _KEY, key)
    return AnswerLinks(key, page)


def make_escalation(notify: NotifySettings | None, store: Store) -> Escalation:
    """With the alarms of an earlier run that nobody has answered."""
    escalate = None if notify is None else notify.escalate
    escalation = Escalation(None if escalate is None else escalate.after)
    if escalate is not None:
        now = store.clock.now()
        since = store.clock.wall(now) - MOST * escalate.after
        for message in unanswered(store, since):
            escalation.open(message, now)
    return escalation


def make_couriers(
    settings: ServiceSettings, media: Path, metrics: Metrics, clock: Clock, links: AnswerLinks
) -> list[Courier]:
    """One courier for each recipient beside MQTT; a replay has none."""
    recipients = [] if settings.replay else recipients_of(settings.frigate, settings.notify, media, links)
    couriers = [
        Courier(recipient, metrics.notified, correct=lambda message: message.corrected(clock.mark))
        for recipient in recipients
    ]
    for courier in couriers:
        metrics.recipient(courier.name)
    return couriers
