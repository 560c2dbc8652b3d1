"""`mgfn-stream` with simulated cameras: python -m recipes.drills.simulated ARGUMENTS.

No decoder runs: one process sends the clips of all cameras, 1.56 a second each, and answers orders. The features, and
so the scores, are chosen by the drill: the file named by MGFN_DRILL_ALARMS holds two numbers, alarms in all and alarms
a second; each new content starts such a burst, spread over the cameras. The head runs once for each batch, but its
scores are not used.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from engine.backends.openvino import OpenVinoBackend
from engine.engine import Engine
from stream.archive import explanation
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
from stream.watch.engine_care import EngineCare

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
        return len(self._free) < self._settings.ring.slots

    def beat(self) -> None:
        self._send(Counters(25.0, 16 * self._clip, 0, 0, 0))

    def clip(self, *, high: bool) -> bool:
        """Send a clip, if there is room for it."""
        if self.closed or not self._free:
            return False
        slot = self._free.pop(0)
        self._settings.ring.clips[slot].reshape(-1)[0] = high
        end = self._settings.clock.now()
        self._send(ClipReady(0, self._clip, end - 0.05, end, time.monotonic(), slot))
        self._clip += 1
        return True


class Simulation:
    """All cameras, in a process of their own; `new` brings the settings of a camera and its end of the pipe."""

    def __init__(self, plan: Path, new: Connection) -> None:
        self._plan, self._seen, self._next_look = plan, "", 0.0
        self._new = new
        self._cameras: list[Simulated] = []
        self._by_file: dict[int, Simulated] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._turn_of = 0

    def run(self) -> None:
        """Until the service has gone."""
        poller = select.poll()
        poller.register(self._new.fileno(), select.POLLIN)
        try:
            while True:
                until = min(self._next_look, self._due[0][0]) if self._due else self._next_look
                for file, _ in poller.poll(max(0.0, 1000 * (until - time.monotonic()))):
                    if file == self._new.fileno():
                        poller.register(self._add(*self._new.recv()), select.POLLIN)
                    else:
                        self._by_file[file].listen()
                        if self._by_file[file].closed:
                            poller.unregister(file)
                self._turn()
        except (EOFError, OSError):
            return

    def _add(self, settings: CameraSettings, pipe: Connection) -> int:
        camera = Simulated(settings, pipe)
        self._cameras.append(camera)
        self._by_file[pipe.fileno()] = camera
        self._at(time.monotonic() + CLIP * (len(self._cameras) % 64) / 64, lambda: self._usual(camera))
        return pipe.fileno()

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + 0.1
            self._look()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), what))

    def _usual(self, camera: Simulated) -> None:
        if not camera.closed:
            camera.beat()
            camera.clip(high=False)
            self._at(time.monotonic() + CLIP, lambda: self._usual(camera))

    def _alarm(self) -> None:
        """A clip with a high score and one with a low one, of the next camera that has room; else it is tried again."""
        for _ in self._cameras:
            self._turn_of += 1
            camera = self._cameras[self._turn_of % len(self._cameras)]
            if not (camera.alarming or camera.behind) and camera.clip(high=True):
                camera.alarming = True
                return self._at(time.monotonic() + 0.03, partial(self._low, camera))
        return self._at(time.monotonic() + 0.02, self._alarm)

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
                self._at(time.monotonic() + number / rate, self._alarm)
        self._seen = said


def simulate(plan: Path, new: Connection) -> None:
    """Body of the process."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with the service
        signal.signal(signum, signal.SIG_IGN)
    Simulation(plan, new).run()


class SimulatedProcesses:
    """Instead of `start_process`: decoders are simulated, other processes are started."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        self._simulation: Connection | None = None

    def start(self, target: Callable[..., None], args: Sequence[Any], name: str) -> tuple[Any, Connection]:
        if target is not run_camera:
            return start_process(target, args, name)
        if self._simulation is None:
            _, self._simulation = start_process(simulate, (self._plan,), "simulation")
        ours, theirs = Pipe()
        self._simulation.send((args[0], theirs))
        theirs.close()
        return SimpleNamespace(kill=lambda: None, is_alive=lambda: False, pid=0), ours


def _features(_care: EngineCare, clips: Any) -> Any:
    """The first number of each is the score. The backbone, and the copies that it would get, are left out."""
    features = np.full((len(clips), 1, 64), 0.5, np.float32)
    features[:, 0, 0] = [HIGH if clip.reshape(-1)[0] else CALM for clip in clips]
    return list(features)


def _unexplained(_care: EngineCare, window: Any) -> Any:
    """Explaining an alarm costs 33 windows, which at 100 alarms a second would be all that this machine does."""
    return np.zeros(len(window), np.float32)


def _no_strip(_pictures: Any) -> bytes:
    """Encoding the images of an alarm's window takes 5 ms, half of what this machine has for each alarm."""
    return b""


def _chosen(backend: OpenVinoBackend, windows: Any) -> Any:
    """One window of a batch passes the head."""
    _scores(backend, windows[:1])
    return np.ascontiguousarray(windows[:, :, 0, 0])


if __name__ == "__main__":
    simulated = SimulatedProcesses(Path(os.environ[ALARMS]))
    for owner, name, instead in (
        (EngineCare, "features", _features),
        (EngineCare, "contributions", _unexplained),
        (explanation, "_strip", _no_strip),
        (OpenVinoBackend, "scores", _chosen),
        (OpenVinoBackend, "batch", 32),  # as on a GPU: no CPU runs the backbone for so many cameras
        (Engine, "fault", lambda _engine: ""),  # these features are no answer to the known clip
        (build, "start_process", simulated.start),
    ):
        setattr(owner, name, instead)
    main()
