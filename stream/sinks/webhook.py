"""Posts events to web addresses, signed with a secret that both sides know."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field, replace
from typing import Final

import httpx

from stream.alarm.event import EventMessage
from stream.sinks.courier import UndeliveredError

SIGNATURE: Final = "X-MGFN-Signature"
_TIMEOUT: Final = 10.0
_WORTH: Final = 600.0
_MAY_PASS: Final = (401, 403, 408, 425, 429)  # refusals after which another attempt makes sense


@dataclass(frozen=True)
class WebhookSettings:
    """`url` may hold a token: it is a secret, like `secret`."""

    url: str = field(repr=False)
    secret: str = field(repr=False)


class Webhook:
    """One address, as a recipient for the courier. Redirects are not followed: the event could reach anybody."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self.name = name
        self._settings = settings
        # ignore proxies from the environment: connect exactly where the user said
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)

    def wants(self, payload: EventMessage, now: float) -> bool:  # noqa: ARG002 -- the courier's protocol
        """Every message."""
        return True

    def worth(self, payload: EventMessage) -> float:  # noqa: ARG002 -- the courier's protocol
        return _WORTH

    def deliver(self, payload: EventMessage) -> None:
        """Post the event's JSON. Raises UndeliveredError."""
        body = json.dumps(replace(payload, published_time=round(time.time(), 3)).as_json()).encode()
        headers = {"Content-Type": "application/json", SIGNATURE: signature(self._settings.secret, body)}
        try:
            answer = self._client.post(self._settings.url, content=body, headers=headers)
        except httpx.HTTPError as error:  # its text may contain the address
            raise UndeliveredError(f"no response ({type(error).__name__})") from None
        status = answer.status_code
        if answer.is_redirect:
            raise UndeliveredError(f"the answer is a redirect ({status}), which is not followed", lasting=True)
        if not answer.is_success:
            lasting = status < 500 and status not in _MAY_PASS
            raise UndeliveredError(f"refused: {status} {answer.reason_phrase}", lasting=lasting)


def signature(secret: str, body: bytes) -> str:
    """The signature of a request: HMAC-SHA-256 of its body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
