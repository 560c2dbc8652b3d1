"""`mgfn-stream` with simulated cameras: python -m recipes.drills.simulated ARGUMENTS.

No decoder process runs: a thread sends the clips of all cameras, 1.56 a second each, and answers orders. The features,
and so the scores, are chosen by the drill: the file named by MGFN_DRILL_ALARMS holds two numbers, alarms in all and
alarms a second; each new content starts such a burst, spread over the cameras. The head runs once for each clip,
but its scores are not used.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from engine.backends.openvino import OpenVinoBackend
from engine.engine import Engine
from stream.camera.camera_settings import CameraSettings
from stream.camera.decoder import STOP, run_camera
from stream.camera.messages import (
    WIRE,
    CameraState,
    ClipClosed,
    ClipReady,
    Counters,
    EndClip,
    SnapshotTaken,
    StateChanged,
    TakeSnapshot,
)
from stream.cli.mgfn_stream import main
from stream.service import build
from stream.service.processes import start_process

ALARMS: Final = "MGFN_DRILL_ALARMS"
CLIP: Final = 0.64
CALM, HIGH = 0.1, 0.95
_scores = OpenVinoBackend.scores


class Simulated:
    """One camera."""

    def __init__(self, settings: CameraSettings, pipe: Connection) -> None:
        self._settings, self._pipe = settings, pipe
        self._free = list(range(settings.ring.slots))
        self._clip = 0
        self.closed = False
        self.alarming = False  # between the two clips of an alarm
        self._send(StateChanged(CameraState.CONNECTING, 0))
        self._send(StateChanged(CameraState.ONLINE, 0, detail="simulated"))

    def _send(self, message: Any) -> None:
        try:
            self._pipe.send_bytes(WIRE.packed(message))
        except OSError:
            self.closed = True

    def listen(self) -> None:
        """Take back slots, and answer orders."""
        try:
            while self._pipe.poll():
                told = self._pipe.recv()
                if told == STOP:
                    self.closed = True
                elif isinstance(told, int):
                    self._free.append(told)
                elif isinstance(told, TakeSnapshot):
                    self._send(SnapshotTaken(told.event, 0, "simulated"))
                elif isinstance(told, EndClip):
                    self._send(ClipClosed(told.event, 0, 0.0, "simulated"))
        except (EOFError, OSError):
            self.closed = True

    @property
    def behind(self) -> bool:
        """Whether clips wait to be scored: one more might be dropped, and with it an alarm."""
        self.listen()
        return len(self._free) < self._settings.ring.slots

    def beat(self) -> None:
        self._send(Counters(25.0, 16 * self._clip, 0, 0, 0))

    def clip(self, *, high: bool) -> bool:
        """Send a clip, if there is room for it."""
        self.listen()
        if self.closed or not self._free:
            return False
        slot = self._free.pop(0)
        self._settings.ring.clips[slot].reshape(-1)[0] = high
        end = self._settings.clock.now()
        self._send(ClipReady(0, self._clip, end - 0.05, end, time.monotonic(), slot))
        self._clip += 1
        return True


class Simulation:
    """All cameras, in one thread."""

    def __init__(self, plan: Path) -> None:
        self._plan, self._seen = plan, ""
        self._cameras: list[Simulated] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        threading.Thread(target=self._run, name="simulation", daemon=True).start()

    def start(self, target: Callable[..., None], args: Sequence[Any], name: str) -> tuple[Any, Connection]:
        """Instead of `start_process`: decoders are simulated, other processes are started."""
        if target is not run_camera:
            return start_process(target, args, name)
        ours, theirs = Pipe()
        camera = Simulated(args[0], theirs)
        self._cameras.append(camera)
        self._at(time.monotonic() + CLIP * (len(self._cameras) % 64) / 64, lambda: self._usual(camera))
        return SimpleNamespace(kill=lambda: None, is_alive=lambda: False, pid=0), ours

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), what))

    def _usual(self, camera: Simulated) -> None:
        if not camera.closed:
            camera.beat()
            camera.clip(high=False)
            self._at(time.monotonic() + CLIP, lambda: self._usual(camera))

    def _alarm(self, camera: Simulated) -> None:
        """One clip with a high score and one with a low one. Where there is no room, the alarm is tried again."""
        if camera.alarming or camera.behind or not camera.clip(high=True):
            self._at(time.monotonic() + 0.05, lambda: self._alarm(camera))
        else:
            camera.alarming = True
            self._at(time.monotonic() + 0.03, lambda: self._low(camera))

    def _low(self, camera: Simulated) -> None:
        if not camera.clip(high=False):
            self._at(time.monotonic() + 0.05, lambda: self._low(camera))
        else:
            camera.alarming = False

    def _look(self) -> None:
        said = self._plan.read_text() if self._plan.exists() else ""
        if said and said != self._seen:
            alarms, rate = map(float, said.split()[:2])
            for number in range(int(alarms)):
                camera = self._cameras[number % len(self._cameras)]
                self._at(time.monotonic() + number / rate, lambda camera=camera: self._alarm(camera))  # type: ignore[misc]
        self._seen = said

    def _run(self) -> None:
        next_look = 0.0
        while True:
            now = time.monotonic()
            if now >= next_look:
                self._look()
                for camera in list(self._cameras):
                    camera.listen()
                next_look = now + 0.1
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            time.sleep(0.002)


def _features(_backend: OpenVinoBackend, clips: Any) -> Any:
    """The first number is the score."""
    marks = clips.reshape(len(clips), -1)[:, 0]
    features = np.full((len(clips), 64), 0.5, np.float32)
    features[:, 0] = np.where(marks > 0, HIGH, CALM)
    return features


def _chosen(backend: OpenVinoBackend, windows: Any) -> Any:
    if len(windows) == 1:  # explaining an alarm costs 33 windows, and would be all that this machine does
        _scores(backend, windows)
    return np.ascontiguousarray(windows[:, :, 0, 0])


if __name__ == "__main__":
    simulation = Simulation(Path(os.environ[ALARMS]))
    for owner, name, instead in (
        (OpenVinoBackend, "features", _features),
        (OpenVinoBackend, "scores", _chosen),
        (OpenVinoBackend, "batch", 32),  # as on a GPU: no CPU runs the backbone for so many cameras
        (Engine, "fault", lambda _engine: ""),  # these features are no answer to the known clip
        (build, "start_process", simulation.start),
    ):
        setattr(owner, name, instead)
    main()
