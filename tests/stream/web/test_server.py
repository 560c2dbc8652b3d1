"""The HTTP server: web page, API, metrics, health."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.base.errors import UsageError
from stream.web.server import NOBODY, Pages, bind, check_address, make_app, make_server, page_address, page_for_others


@contextmanager
def serving(
    health: Callable[[], Mapping[str, Any]], token: str | None, media: Path | None = None, missing: str = ""
) -> Iterator[httpx.Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(
        make_app(Pages(health, lambda: missing, lambda: b"mgfn_score 0.5\n", media), NOBODY.with_token(token))
    )
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


def test_ready_says_what_is_missing() -> None:
    with serving(lambda: {}, None, missing="the broker is not connected") as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, "the broker is not connected")
    with serving(lambda: {}, None) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/metrics").text == "mgfn_score 0.5\n"


def test_only_files_of_events_leave_the_media_folder(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (media / "1000.00-abcdef.jpg").write_bytes(b"a picture")
    with serving(lambda: {}, None, media) as client:
        picture = client.get("/api/events/1000.00-abcdef/snapshot.jpg", headers={"Range": "bytes=2-4"})
        assert (picture.status_code, picture.content) == (206, b"pic")
        assert client.get("/api/events/1000.00-abcdef/clip.mp4").status_code == 404
        for name in ("..%2Fsecret", "%2e%2e/secret", "..%5Csecret", "1000.00-abcdef%00"):
            assert client.get(f"/api/events/{name}/snapshot.jpg").status_code == 404


def test_the_default_port_moves_on_and_a_named_one_does_not() -> None:
    first, _ = bind(None, None)
    second, _ = bind(None, None)
    with first, second:
        assert second.getsockname()[1] > first.getsockname()[1]
        with pytest.raises(UsageError, match="Address already in use"):
            bind(f"127.0.0.1:{first.getsockname()[1]}", None)
        third, _ = bind(f"127.0.0.1:{first.getsockname()[1]}", None, next_free=True)
        assert third.getsockname()[1] > first.getsockname()[1]
        third.close()


def test_where_a_browser_finds_the_page(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s" * 16)
    for address, shown, others in (
        ("127.0.0.1:0", r"http://127\.0\.0\.1:\d+/", False),
        ("[::1]:0", r"http://\[::1\]:\d+/", False),
        ("0.0.0.0:0", r"http://(?!0\.0\.0\.0)[\w.-]+:\d+/", True),
    ):
        try:
            listener, _ = bind(address, tmp_path / "token")
        except UsageError:
            assert "::" in address  # a machine without IPv6
            continue
        with listener:
            assert re.fullmatch(shown, page_address(listener))
            assert page_for_others(listener) == (page_address(listener) if others else None)


def test_an_address_is_checked_without_taking_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert check_address(f"127.0.0.1:{port}", None) == ("127.0.0.1", port, NOBODY)
    with pytest.raises(UsageError, match=r"--http 127\.0\.0\.1:99999: must be HOST:PORT or off"):
        check_address("127.0.0.1:99999", None)


def test_a_token_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff" * 32)
    with pytest.raises(UsageError, match="token: not UTF-8 text"):
        bind("127.0.0.1:0", tmp_path / "token")


def test_other_addresses_need_a_token_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="require --http-token-file"):
        bind("0.0.0.0:0", None)
    token = tmp_path / "token"
    token.write_text("short\n")
    with pytest.raises(UsageError, match="at least 16"):
        bind("127.0.0.1:0", token)
    token.write_text("long-enough-to-be-one\n")
    listener, found = bind("127.0.0.1:0", token)
    listener.close()
    assert [person.token for person in found.people] == ["long-enough-to-be-one"]
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
