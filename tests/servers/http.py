"""A real HTTP server on a free loopback port, whose responses a function returns; it records the requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class HttpServer:
    """`answer` is called in the server's threads: status, JSON and headers for a request."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        kept = self.asked

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                raw = self.rfile.read(length)
                body = json.loads(raw) if raw else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
                kept.append(asked)
                status, value, more = answer(asked)
                content = json.dumps(value).encode()
                try:
                    self.send_response(status)
                    for name, text in {"Content-Type": "application/json", **more}.items():
                        self.send_header(name, text)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client has gone

            do_GET = do_POST = do_PUT = _serve  # noqa: N815 -- the names of the library

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    @contextmanager
    def running(self) -> Iterator[HttpServer]:
        with serving(self._server):
            yield self


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """The server answers, in a thread of its own, until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class FrigateServer:
    """The published part of Frigate's HTTP API that we use. A stand-in for Frigate, written to its documentation."""

    def __init__(self, cameras: set[str], login: tuple[str, str] | None = None) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.answering = threading.Event()
        self.answering.set()
        self.away = False
        self.broken_for = 0  # so many events are created, and their responses are lost
        self.token = "first"
        self._cameras = cameras
        self._login = login
        self.http = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.port}"

    def open(self) -> list[str]:
        return [event["id"] for event in self.events.values() if event["end_time"] is None]

    def _answer(self, asked: Asked) -> Answer:
        self.answering.wait(30)
        if self.away:
            return 503, {}, {}
        parts = asked.path.strip("/").split("/")
        if asked.path == "/api/login":
            right = self._login == (asked.body["user"], asked.body["password"])
            return (200, {}, {"Set-Cookie": f"frigate_token={self.token}"}) if right else (401, {}, {})
        if self._login is not None and f"frigate_token={self.token}" not in asked.headers.get("cookie", ""):
            return 401, {"message": "Unauthorized"}, {}
        if asked.method == "POST" and parts[:2] == ["api", "events"] and parts[-1] == "create":
            return self._create(parts[2], parts[3], asked.body)
        if asked.method == "PUT" and parts[:2] == ["api", "events"] and parts[-1] == "end":
            if parts[2] not in self.events:
                return 404, {"success": False, "message": "unknown event"}, {}
            self.events[parts[2]]["end_time"] = asked.body.get("end_time", -1.0)
            return 200, {"success": True, "message": "Event successfully ended."}, {}
        if asked.path == "/api/version":
            return 200, "0.17.0-stand-in", {}
        if asked.method == "GET" and asked.path == "/api/events":
            camera, label = asked.query["cameras"][0], asked.query["labels"][0]
            assert asked.query["in_progress"] == ["1"]
            found = [e for e in self.events.values() if (e["camera"], e["label"]) == (camera, label)]
            return 200, [e for e in found if e["end_time"] is None], {}
        return 404, {"success": False}, {}

    def _create(self, camera: str, label: str, body: dict[str, Any]) -> Answer:
        if camera not in self._cameras:
            return 404, {"success": False, "message": f"{camera} is not a valid camera."}, {}
        event_id = f"{1000 + len(self.events)}.5-abcdef"
        self.events[event_id] = {"id": event_id, "camera": camera, "label": label, "end_time": None, **body}
        if self.broken_for:
            self.broken_for -= 1
            return 502, {}, {}
        return 200, {"success": True, "message": "Successfully created event.", "event_id": event_id}, {}
