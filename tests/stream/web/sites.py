"""The page, served over a data folder."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from engine.arrays import UInt8Array
from stream.alarm.answer_links import AnswerLinks
from stream.alarm.event import ModelName
from stream.alarm.requests import Command, TakePicture
from stream.archive.explanation import jpeg
from stream.archive.media import look_path
from stream.base.errors import StreamError
from stream.base.people import People
from stream.camera.live_picture import Shown
from stream.web.page.sources import PageSources
from stream.web.page_stream import Live
from stream.web.server import NOBODY, Pages, make_app, make_server

METRICS = b"""# TYPE mgfn_score gauge
mgfn_score{camera="door"} 0.5
mgfn_score{camera="yard"} 0.25
mgfn_camera_problem{camera="yard",problem="x camera=\\"roof\\" y"} 1.0
mgfn_mqtt_outbox_messages 3.0
"""
LINKS = AnswerLinks("a key", "http://192.168.1.5:8080/")
MODEL = ModelName("b", "0" * 64, "openvino")


YARD = {
    "number": 0, "name": "Yard", "known": None, "shown": "Yard", "maker": "M", "host": "192.168.1.9", "sizes": "1x2"
}  # fmt: skip


class NoSearch:
    """Finds one camera at once, and adds nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str, str]] = []

    def start(self, hosts: Sequence[str], user: str, password: str) -> None:
        if self.asked:
            raise StreamError("a search is running already")
        self.asked.append((list(hosts), user, password))

    def state(self) -> dict[str, Any]:
        return {"state": "done", "cameras": [YARD], "problems": []}

    def picture(self, number: int) -> bytes | None:
        return b"jpeg" if number == 0 else None

    def add(self, chosen: Mapping[int, str]) -> dict[str, Any]:
        return {"added": list(chosen.values())}


class NoModes:
    """Proposes two modes, and keeps what is saved."""

    def __init__(self) -> None:
        self.watched: Mapping[str, Mapping[str, bool]] = {"home": {"door": True}, "off": {"door": False}}

    def shown(self) -> dict[str, Any]:
        return {"modes": self.watched, "proposed": True, "why": ""}

    def save(self, watched: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]:
        self.watched = watched
        return {"why": "", "yaml": ""}


class Site:
    """A served page over a data folder; what it posts is kept."""

    def __init__(self, folder: Path, people: People = NOBODY) -> None:
        self.posted: list[Command] = []
        self.search = NoSearch()
        self.modes = NoModes()
        self.live = Live(kept=64)
        self.picture: np.ndarray | None = np.full((224, 224, 3), 90, np.uint8)
        self.whole: UInt8Array | None = None  # the picture to draw on
        self.cameras: tuple[str, ...] = ("door",)
        self.camera: dict[str, Any] = {"status": "online"}
        self.rest: dict[str, Any] = {}
        self.changes: dict[str, dict[str, Any]] = {}
        self.view: dict[str, Any] = {"view": {"region": None, "masks": [], "only_here": []}, "drawn": False}
        self.line: list[tuple[float, float]] = []
        self.look: Callable[[str, float, bool], Shown | None] = self._still
        self._folder, self._people = folder, people

    def sources(self) -> PageSources:
        state: Callable[[], dict[str, Any]] = lambda: {  # noqa: E731
            "cameras": {name: {**self.camera, "changes": self.changes.get(name, {})} for name in self.cameras},
            **self.rest,
            "delivery": {"proof": "failed", "failed": {"mgfn/yard/status": "forbidden"}},
            "mode": {"name": "home", "chosen": "auto", "options": ["home", "away", "auto"]},
        }
        return PageSources(
            state, self.look, lambda _camera: self.line, lambda _camera: self.view,
            self.post, self.search, self.modes, self.live, self._folder, LINKS,
        )  # fmt: skip

    def _still(self, _camera: str, _until: float, still: bool) -> Shown | None:
        return Shown(2, jpeg(self.picture), time.monotonic()) if still and self.picture is not None else None

    def post(self, command: Command) -> None:
        self.posted.append(command)
        if isinstance(command, TakePicture) and self.whole is not None:  # as the decoder does
            path = look_path(self._folder / "media", command.event)
            path.with_suffix(".new").write_bytes(jpeg(self.whole))
            path.with_suffix(".new").rename(path)

    def health(self) -> dict[str, Any]:
        return {"loop_age": 0.0, "cameras": {name: {} for name in self.cameras}}

    def whole_state(self) -> None:
        """Everything that the page itself needs of the state."""
        self.camera = {"status": "online", "window": 32, "score": 0.1, "threshold": 0.8, "alarm": False, "fps": 25.0}
        self.rest = {
            "node": "desk", "version": "1", "model": {"bundle": "b", "backend": "openvino"}, "uptime": 60.0,
            "outbox": 0, "events_lost": 0, "loop_age": 0.1, "broker_connected": True, "self_test": None,
            "time_zone": "America/New_York",
        }  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        pages = Pages(self.health, lambda: "", lambda: METRICS, self._folder / "media", self.sources())
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(listener.getsockname()[1])
        self.app = make_app(pages, self._people)
        server = make_server(self.app, self._people)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
                yield client
        finally:
            self.live.close()
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
            listener.close()
