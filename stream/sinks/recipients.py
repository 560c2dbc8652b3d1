"""Recipients of events beside MQTT, as configured by the user."""

from __future__ import annotations

from pathlib import Path

from stream.alarm.answer_links import AnswerLinks
from stream.sinks.courier import Recipient
from stream.sinks.frigate import FrigateBridge, FrigateSettings
from stream.sinks.notifications import NotifySettings, notify_targets
from stream.sinks.webhook import Webhook


def recipients_of(
    frigate: FrigateSettings | None, notify: NotifySettings | None, media: Path | None, links: AnswerLinks | None = None
) -> list[Recipient]:
    """Recipients for the couriers. `media` is the folder of images; `links` go into notifications.

    Raises UsageError for invalid settings.
    """
    found: list[Recipient] = []
    if frigate is not None:
        found.append(FrigateBridge(frigate))
    if notify is not None:
        found += notify_targets(notify, media, links)
        found += [Webhook(f"webhook-{n}", webhook) for n, webhook in enumerate(notify.webhooks, start=1)]
    return found
