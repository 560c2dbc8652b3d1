"""Notifications through Apprise: phones, chats, e-mail. The URL of a target is a secret and is never shown."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from stream.alarm.answer_links import AnswerLinks
from stream.alarm.event import UNKNOWN, EventMessage, MessageType
from stream.archive.media import media_path
from stream.base.errors import UsageError
from stream.base.log import log
from stream.sinks.courier import UndeliveredError
from stream.sinks.webhook import WebhookSettings

if TYPE_CHECKING:
    import apprise

_WORTH: Final = 600.0
_HOUR: Final = 3600.0


@dataclass(frozen=True)
class EscalateSettings:
    """Who is told of an alarm that nobody has answered, every `after` seconds. `to`: URLs for Apprise, all secrets."""

    after: float
    to: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class NotifySettings:
    """Notifications through Apprise, and webhooks.

    targets: URLs for Apprise; all of them are secrets. per_hour: maximum number of messages to each target per hour.
    camera_lost: whether lost cameras are reported too (webhooks always get them).
    """

    targets: tuple[str, ...] = field(repr=False)
    per_hour: int = 20
    camera_lost: bool = False
    webhooks: tuple[WebhookSettings, ...] = ()
    escalate: EscalateSettings | None = None
    digest: str | None = None  # "HH:MM" at which the targets get the digest of a day

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not appear in any output."""
        hooks = (text for hook in self.webhooks for text in (hook.url, hook.secret))
        return (*self.targets, *hooks, *(() if self.escalate is None else self.escalate.to))


def notify_targets(
    settings: NotifySettings, media: Path | None, links: AnswerLinks | None = None
) -> list[NotifyTarget]:
    """One recipient for each target. `media` is the folder of images, None if none are stored. `links` go into the
    messages.

    Raises UsageError if there are targets, and Apprise is not installed or does not support one of them.
    """
    escalate = settings.escalate
    if not settings.targets and escalate is None:
        return []
    try:
        import apprise
    except ImportError:
        raise UsageError("notify: needs the package apprise; run: pip install 'mgfn-stream[notify]'") from None
    # their log lines may contain a target's URL
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if settings.per_hour < 1:
        raise UsageError(f"notify.per_hour: {settings.per_hour}: must be 1 or more")
    # No images from Apprise's site in messages, and no state on disk. Without a service timeout Apprise runs in our
    # thread; its plugins have timeouts of their own.
    asset = apprise.AppriseAsset(
        app_id="mgfn-stream", app_desc="mgfn-stream", app_url="", image_url_mask="", image_url_logo="",
        storage_mode="memory", async_mode=False, service_timeout=0,
    )  # fmt: skip
    targets = []
    lists: list[tuple[str, str, tuple[str, ...], MessageType]] = [("notify", "targets", settings.targets, "new")]
    if escalate is not None:
        lists.append(("escalate", "escalate.to", escalate.to, "escalated"))
    for name, key, urls, about in lists:
        for position, url in enumerate(urls, start=1):
            box = apprise.Apprise(asset=asset)
            if "://" not in url or not box.add(url):
                raise UsageError(f"notify.{key}[{position - 1}]: must be a URL that Apprise supports")
            targets.append(NotifyTarget(f"{name}-{position}", url, box, settings, media, about, links))
    return targets


class NotifyTarget:
    """One target, as a recipient for the courier."""

    def __init__(
        self,
        name: str,
        url: str,
        box: apprise.Apprise,
        settings: NotifySettings,
        media: Path | None,
        about: MessageType = "new",
        links: AnswerLinks | None = None,
    ) -> None:
        self.name = name
        self._url = url
        self._links = links
        self.about = about
        self._box = box
        self._settings = settings
        self._media = media
        self._lately: deque[float] = deque()
        self._left_out = 0

    def wants(self, payload: EventMessage, now: float) -> bool:
        """Only `new` (or only `escalated`) messages, and only within the limit per hour."""
        lost = payload.label == "camera_lost"
        if payload.type != self.about or (lost and not self._settings.camera_lost):
            return False
        while self._lately and now - self._lately[0] >= _HOUR:
            self._lately.popleft()
        if len(self._lately) >= self._settings.per_hour:
            if not self._left_out:
                log.warning("notifications suppressed: `per_hour` reached", to=self.name)
            self._left_out += 1
            return False
        self._lately.append(now)
        return True

    def worth(self, payload: EventMessage) -> float:  # noqa: ARG002 -- the courier's protocol
        return _WORTH

    def deliver(self, payload: EventMessage) -> None:
        """Send the message, with its image if there is one. Raises UndeliveredError."""
        left_out, self._left_out = self._left_out, 0
        try:
            page = None if self._links is None else self._links.event(payload.id)
            self._send(self._with_buttons(payload, page), *wording(payload, left_out, page), self._picture(payload))
        except UndeliveredError:
            self._left_out += left_out
            raise

    def tell(self, title: str, body: str) -> None:
        """Send a text. Raises UndeliveredError."""
        self._send(self._box, title, body, None)

    def _with_buttons(self, payload: EventMessage, page: str | None) -> apprise.Apprise:
        """The target, with what its service needs for the buttons of this event, if it has buttons."""
        answer = None if self._links is None else self._links.answer(payload.id, self.name)
        if page is None or answer is None or payload.label != "anomaly":
            return self._box
        url = with_buttons(self._url, page, answer)
        if url == self._url:  # its service has none; the target keeps its session and its pace
            return self._box
        box = type(self._box)(asset=self._box.asset)
        box.add(url)
        return box

    def _send(self, box: apprise.Apprise, title: str, body: str, picture: str | None) -> None:
        try:
            done = box.notify(title=title, body=body, body_format="text", attach=picture)
        except Exception as error:  # noqa: BLE001 -- third-party plugins raise anything, and the text may hold the URL
            raise UndeliveredError(type(error).__name__) from None
        if not done:
            raise UndeliveredError("Apprise could not deliver the message")

    def _picture(self, payload: EventMessage) -> str | None:
        if self._media is None or payload.snapshot is None:
            return None
        path = media_path(self._media, payload.id, "snapshot")
        return str(path) if path.is_file() else None


def with_buttons(url: str, page: str, answer: str) -> str:
    """The URL of a target at ntfy, the one service of Apprise with buttons, with a link to the page and a button that
    posts to `answer`. What the URL sets itself stays. Other URLs are returned as they are.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("ntfy", "ntfys"):
        return url
    buttons = f"view, Open, {page}; http, Acknowledge, {answer}, method=POST, clear=true"
    added = {key: value for key, value in (("click", page), ("actions", buttons)) if key not in parse_qs(parts.query)}
    return f"{url}{'&' if parts.query else '?'}{urlencode(added, quote_via=quote)}"


def wording(payload: EventMessage, left_out: int, page: str | None = None) -> tuple[str, str]:
    """Title and text: camera, score, time, where it is on the page."""
    kind = "anomaly" if payload.kind == UNKNOWN else payload.kind.replace("_", " ")
    what = "camera lost" if payload.label == "camera_lost" else f"{kind}, score {payload.score:.2f}"
    urgent = "NOT ANSWERED: " if payload.type == "escalated" else ""
    title = f"{'TEST: ' if payload.test else ''}{urgent}{payload.camera}: {what}"
    when = payload.local_time.replace("T", " ")
    lines: Sequence[str] = [f"{payload.camera} at {when}"]
    if payload.label == "anomaly":
        lines = [*lines, f"score {payload.score:.2f} (threshold {payload.threshold_on:.2f})"]
    lines = [*lines, *([] if page is None else [page])]
    if left_out:
        lines = [*lines, f"{left_out} earlier messages were left out: the limit per hour was reached"]
    return title, "\n".join(lines)
