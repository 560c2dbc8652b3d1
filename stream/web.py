"""The service's HTTP address. So far `/healthz`: whether the scoring loop turns, and the state of each camera."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from stream.errors import UsageError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
LOOP_STUCK_AFTER: Final = 30.0

Health = Callable[[], Mapping[str, Any]]


def bind(address: str | None, token_file: Path | None) -> tuple[socket.socket, str | None]:
    """A listening socket and the token that requests must bring, if any.

    `address` is `HOST:PORT`; None takes the default port or the next free one. Raises UsageError for a malformed
    or taken address, and for one that is not loopback without a token file.
    """
    token = _read_token(token_file)
    host, port = (DEFAULT_HOST, DEFAULT_PORT) if address is None else _split(address)
    if not _is_loopback(host) and token is None:
        raise UsageError(f"--http {host}:{port}: any address but loopback requires --http-token-file")
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if address is not None or port == 65535:
                raise UsageError(f"--http {host}:{port}: {error.strerror}; name a free port or off") from None
            port += 1
        else:
            return listener, token


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise UsageError(f"--http {address}: allowed is HOST:PORT or off")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"--http-token-file {path}: {error.strerror}") from None
    if len(token) < 16:
        raise UsageError(f"--http-token-file {path}: holds {len(token)} characters, at least 16 are required")
    return token


def make_app(health: Health, token: str | None) -> FastAPI:
    """The application. `health` gives a JSON object with `loop_age` in seconds and `cameras`."""
    app = FastAPI(title="mgfn-stream", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def require_token(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if token is not None and not hmac.compare_digest(given, token.encode()):
            return JSONResponse({"detail": "token required"}, 401, {"WWW-Authenticate": "Bearer"})
        return await call_next(request)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        state = health()
        return JSONResponse(dict(state), 200 if state["loop_age"] < LOOP_STUCK_AFTER else 503)

    return app


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server to be `run(sockets=[...])` in a thread; ends when its `should_exit` is set."""
    config = uvicorn.Config(app, http="h11", ws="none", log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    return uvicorn.Server(config)
