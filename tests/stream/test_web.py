"""The HTTP address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stream.errors import UsageError
from stream.web import Health, bind, make_app, make_server


@contextmanager
def serving(health: Health, token: str | None) -> Iterator[httpx.Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(make_app(health, token))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def test_health_tells_a_turning_loop_from_a_stuck_one() -> None:
    age = 0.1
    with serving(lambda: {"loop_age": age, "cameras": {}}, None) as client:
        assert client.get("/healthz").status_code == 200
        age = 31.0
        assert client.get("/healthz").status_code == 503


def test_with_a_token_every_route_refuses_without_it() -> None:
    with serving(lambda: {"loop_age": 0.0, "cameras": {}}, "s" * 16) as client:
        assert client.get("/healthz").status_code == 401
        assert client.get("/anything").status_code == 401
        assert client.get("/healthz", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/healthz", headers={"Authorization": f"Bearer {'s' * 16}"}).status_code == 200


def test_the_default_port_moves_on_and_a_named_one_does_not() -> None:
    first, _ = bind(None, None)
    second, _ = bind(None, None)
    with first, second:
        assert second.getsockname()[1] > first.getsockname()[1]
        with pytest.raises(UsageError, match="Address already in use"):
            bind(f"127.0.0.1:{first.getsockname()[1]}", None)


def test_other_addresses_need_a_token_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="requires --http-token-file"):
        bind("0.0.0.0:0", None)
    token = tmp_path / "token"
    token.write_text("short\n")
    with pytest.raises(UsageError, match="at least 16"):
        bind("127.0.0.1:0", token)
    token.write_text("long-enough-to-be-one\n")
    listener, found = bind("127.0.0.1:0", token)
    listener.close()
    assert found == "long-enough-to-be-one"
    with pytest.raises(UsageError, match="No such file"):
        bind("127.0.0.1:0", tmp_path / "none")


def test_ipv6_loopback() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener, _ = bind("[::1]:0", None)
    except UsageError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    listener.close()
