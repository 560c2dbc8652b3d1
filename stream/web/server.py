"""The HTTP server: health, readiness, metrics, images and clips of events, and the web page."""

from __future__ import annotations

import errno
import socket
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from stream.alarm.event import EVENT_ID
from stream.archive.media import Kind, media_path
from stream.archive.store import Store
from stream.base.addresses import is_loopback
from stream.base.errors import StreamError, UsageError
from stream.base.people import People
from stream.web.access import Asking, Guard, peer_kept
from stream.web.page.routes import page_routes
from stream.web.page.sources import PageSources
from stream.web.rules import Admission
from stream.web.sight import seen_metrics, seen_state

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
LOOP_STUCK_AFTER: Final = 4.0  # /healthz says so within five seconds
NOBODY: Final = People()


@dataclass(frozen=True)
class Pages:
    """The content that is served. Called from the threads of the web server.

    health: a JSON object with `loop_age` in seconds and `cameras`.
    ready: what is still missing, or "".
    metrics: the text for Prometheus.
    media: the folder of images and clips, None if none are stored.
    page: the data of the web page, None if there is no page.
    """

    health: Callable[[], Mapping[str, Any]]
    ready: Callable[[], str]
    metrics: Callable[[], bytes]
    media: Path | None
    page: PageSources | None = None


def check_address(address: str | None, token_file: Path | None, people: People = NOBODY) -> tuple[str, int, People]:
    """Host, port and everybody with access: `people`, and who holds the token of the file. Nothing is opened.

    `address` is `HOST:PORT`; None means the default. Raises UsageError for a malformed address, and for an address
    other than loopback without a token file or people.
    """
    everybody = people.with_token(_read_token(token_file))
    host, port = (DEFAULT_HOST, DEFAULT_PORT) if address is None else _split(address)
    if not is_loopback(host) and everybody.nobody:
        raise UsageError(
            f"--http {address}: addresses other than loopback require --http-token-file (`token_file` or `people` in "
            "the site file)"
        )
    return host, port, everybody


def bind(
    address: str | None, token_file: Path | None, people: People = NOBODY, *, next_free: bool = False
) -> tuple[socket.socket, People]:
    """A listening socket and everybody with access, as in `check_address`. Without an address, and with `next_free`, a
    port that is in use leads to the next one.

    Raises UsageError for an address that is already in use, too.
    """
    host, port, everybody = check_address(address, token_file, people)
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            taken = next_free and error.errno == errno.EADDRINUSE
            if not (address is None or taken) or port == 65535:
                raise UsageError(f"--http {address}: {error.strerror}; name a free port or off") from None
            port += 1
        else:
            return listener, everybody


def page_address(listener: socket.socket) -> str:
    """The address of the page, for a browser on this machine or, if other machines can reach it, on those."""
    return page_at(*listener.getsockname()[:2])


def page_at(host: str, port: int) -> str:
    """The address of a page that is served at this host (a name or an address) and port."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        host = _own_address()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def page_for_others(listener: socket.socket) -> str | None:
    """The address of the page for other machines, or None if only this machine can reach it."""
    return None if ip_address(listener.getsockname()[0]).is_loopback else page_address(listener)


def _own_address() -> str:
    """The address of this machine on its default route. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that belongs to nobody (RFC 5737)
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise UsageError(f"--http {address}: must be HOST:PORT or off")
    return host.strip("[]"), int(port)


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--http-token-file {path}: {getattr(error, 'strerror', 'not UTF-8 text')}") from None
    if len(token) < 16:
        raise UsageError(f"--http-token-file {path}: holds {len(token)} characters, at least 16 are required")
    return token


def make_app(pages: Pages, people: People = NOBODY) -> FastAPI:
    """The application. With `people`, every request must send a token, or the cookie that it was exchanged for."""
    admission = Admission(partial(_camera_of, pages.page))
    app = FastAPI(
        title="mgfn-stream", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(admission.admit)]
    )
    app.add_middleware(Guard, people=people, links=None if pages.page is None else pages.page.links)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(sqlite3.Error, _no_database)
    if pages.page is not None:
        app.include_router(page_routes(pages.page))

    @app.get("/healthz")
    def healthz(person: Asking) -> JSONResponse:
        state = seen_state(person, pages.health())
        return JSONResponse(state, 200 if state["loop_age"] < LOOP_STUCK_AFTER else 503)

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        missing = pages.ready()
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @app.get("/metrics")
    def metrics(person: Asking) -> Response:
        return Response(seen_metrics(person, pages.metrics()), media_type=METRICS_CONTENT_TYPE)

    @app.get("/api/events/{event_id}/snapshot.jpg")
    def snapshot(event_id: str) -> Response:
        return _file(pages.media, event_id, "snapshot", "image/jpeg")

    @app.get("/api/events/{event_id}/clip.mp4")
    def clip(event_id: str) -> Response:
        return _file(pages.media, event_id, "clip", "video/mp4")

    return app


def _camera_of(page: PageSources | None, event_id: str) -> str | None:
    if page is None or not EVENT_ID.fullmatch(event_id):
        return None
    try:
        with Store.read_only(page.folder) as store:
            found = store.events.get(event_id)
    except StreamError:
        return None
    return None if found is None else found.message.camera


async def _refused(_request: Request, error: Exception) -> Response:
    """One line that names each invalid value. The value itself is not repeated, because a NaN is not valid JSON."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- the type it is registered for
    found = (f"{'.'.join(map(str, e['loc'][1:])) or e['loc'][0]}: {e['msg']}" for e in error.errors())
    return JSONResponse({"detail": "; ".join(found).encode("ascii", "backslashreplace").decode()}, 422)


async def _no_database(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"the database does not respond: {error}"}, 503)


def _file(folder: Path | None, event_id: str, kind: Kind, media_type: str) -> Response:
    """A file of an event; ranges of it if requested, as players do."""
    try:
        path = None if folder is None else media_path(folder, event_id, kind)
    except ValueError:
        path = None
    if path is None or not path.is_file():
        return JSONResponse({"detail": f"this event has no {kind}"}, 404)
    return FileResponse(path, media_type=media_type)


def make_server(app: FastAPI, people: People = NOBODY) -> uvicorn.Server:
    """A server, to be run with `run(sockets=[...])` in a thread; ends when its `should_exit` is set."""
    proxies = ["127.0.0.1", *([] if people.proxy is None else map(str, people.proxy.trusted))]
    outer = peer_kept(ProxyHeadersMiddleware(app, trusted_hosts=proxies))  # type: ignore[arg-type] # uvicorn's own types
    config = uvicorn.Config(
        outer, http="h11", ws="none", log_config=None, lifespan="off", timeout_graceful_shutdown=1, proxy_headers=False
    )
    return uvicorn.Server(config)
