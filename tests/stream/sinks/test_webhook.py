"""Webhooks: a real HTTP receiver checks the signature, fails, redirects, and comes back."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading

import pytest

from stream.sinks.courier import Courier, UndeliveredError
from stream.sinks.webhook import Webhook, WebhookSettings
from tests.events import event_message
from tests.servers.http import Asked, HttpServer
from tests.servers.processes import free_port, until

SECRET = "correct horse battery"


def hook(port: int, path: str = "/in?key=hunter2") -> Webhook:
    return Webhook("webhook-1", WebhookSettings(f"http://127.0.0.1:{port}{path}", SECRET))


def test_the_event_arrives_with_the_signature_of_its_body() -> None:
    server = HttpServer(lambda _asked: (200, {}, {}))
    with server.running():
        hook(server.port).deliver(event_message(type="ack", seq=3))
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/in", {"key": ["hunter2"]})
    assert (asked.body["type"], asked.body["seq"], asked.body["camera"]) == ("ack", 3, "front_door")
    assert asked.body["published_time"] is not None
    expected = hmac.new(SECRET.encode(), json.dumps(asked.body).encode(), hashlib.sha256).hexdigest()
    assert asked.headers["x-mgfn-signature"] == f"sha256={expected}"
    assert asked.headers["content-type"] == "application/json"


def test_a_redirect_is_not_followed() -> None:
    elsewhere = HttpServer(lambda _asked: (200, {}, {}))
    with elsewhere.running():
        server = HttpServer(lambda _asked: (307, {}, {"Location": f"http://127.0.0.1:{elsewhere.port}/"}))
        with (
            server.running(),
            pytest.raises(UndeliveredError, match=r"redirect .307., which is not followed") as caught,
        ):
            hook(server.port).deliver(event_message())
    assert caught.value.lasting
    assert not elsewhere.asked


@pytest.mark.parametrize(("status", "lasting"), [(500, False), (429, False), (401, False), (404, True), (410, True)])
def test_what_is_tried_again(status: int, lasting: bool) -> None:
    server = HttpServer(lambda _asked: (status, {}, {}))
    with server.running(), pytest.raises(UndeliveredError, match=f"refused: {status}") as caught:
        hook(server.port).deliver(event_message())
    assert caught.value.lasting == lasting


def test_nobody_there_shows_no_address() -> None:
    with pytest.raises(UndeliveredError, match=r"no response \(ConnectError\)") as caught:
        hook(free_port()).deliver(event_message())
    assert "hunter2" not in str(caught.value)
    assert not caught.value.lasting


@pytest.mark.slow
def test_a_receiver_that_fails_once_gets_the_event_later() -> None:
    answers = iter((503, 200))

    def answer(_asked: Asked) -> tuple[int, dict[str, str], dict[str, str]]:
        return next(answers), {}, {}

    outcomes: list[tuple[str, str]] = []
    server = HttpServer(answer)
    with server.running():
        courier = Courier(hook(server.port), lambda name, outcome: outcomes.append((name, outcome)))
        thread = threading.Thread(target=courier.run)
        thread.start()
        courier.offer(event_message())
        until(lambda: bool(outcomes), 30, "the second attempt")
        courier.stop()
        thread.join(10)
    assert outcomes == [("webhook-1", "delivered")]
    assert [asked.body["id"] for asked in server.asked] == [event_message().id] * 2
