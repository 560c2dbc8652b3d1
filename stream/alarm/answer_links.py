"""Links to an event on the page, and links that acknowledge one event without a login: for notifications. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

_PATH: Final = re.compile(r"/api/events/([^/]+)/answer/([^/]+)/([0-9a-f]{32})")


@dataclass(frozen=True)
class AnswerLinks:
    """`page`: the address of the page for other machines; None: they cannot reach it, and there are no links.

    `key`: a secret of this installation. Whoever has the link of an event can acknowledge this event, and nothing else.
    """

    key: str = field(repr=False)
    page: str | None = None

    def event(self, event_id: str) -> str | None:
        """The event on the page."""
        return None if self.page is None else f"{self.page}#event/{event_id}"

    def answer(self, event_id: str, by: str) -> str | None:
        """A POST to it acknowledges the event in the name of `by`, the recipient who got it."""
        if self.page is None:
            return None
        return f"{self.page}api/events/{event_id}/answer/{quote(by, safe='')}/{self._code(event_id, by)}"

    def right(self, event_id: str, by: str, code: str) -> bool:
        """Whether the link is one of ours."""
        return hmac.compare_digest(self._code(event_id, by).encode(), code.encode())

    def named_by(self, path: str) -> str | None:
        """Who acknowledges by a POST to this path; None if it is not the path of a link of ours."""
        found = _PATH.fullmatch(path)
        return found[2] if found is not None and self.right(*found.groups()) else None

    def _code(self, event_id: str, by: str) -> str:
        return hmac.new(self.key.encode(), f"{event_id}/{by}".encode(), hashlib.sha256).hexdigest()[:32]
