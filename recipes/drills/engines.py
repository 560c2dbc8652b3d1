"""Engines that are slow, fail, compute wrongly, or hang."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.engine import Engine
from engine.known_clip import known_clip, known_window
from recipes.drills.drill import Findings, Ground
from recipes.drills.faulty import CHECK, FAULT
from recipes.drills.house import House, house
from stream.watch.decoder_process import PENDING_CLIPS
from stream.watch.scheduling import LONGEST_WAIT
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, encode, moving_pictures

PROGRAM = "recipes.drills.faulty"
_PROBLEM = "the engine failed, and another one took over"


@contextmanager
def _faulty(
    ground: Ground, cameras: int, *more: object, check: float = 3600.0, **env: str
) -> Iterator[tuple[House, Path]]:
    """A service whose engine obeys the file."""
    units, fault = encode(moving_pictures(25 * 60)), ground.folder / "fault"
    fault.write_text("")
    watched = [TestCamera(ground.folder, units) for _ in range(cameras)]
    arguments = [text for n, camera in enumerate(watched) for text in ("--rtsp", f"cam{n}={camera.url}")]
    environment = {FAULT: str(fault), CHECK: str(check), **env}
    with (
        _all_running(watched),
        house(ground.folder, ground.bundle, *arguments, *more, env=environment, program=PROGRAM) as home,
    ):
        for number in range(cameras):
            until(lambda n=number: home.ears.scores(f"cam{n}"), 60, f"scores of cam{number}")  # type: ignore[misc]
        yield home, fault


@contextmanager
def _all_running(cameras: list[TestCamera]) -> Iterator[None]:
    if not cameras:
        yield
        return
    with cameras[0].running(), _all_running(cameras[1:]):
        yield


def slowed(ground: Ground, findings: Findings) -> None:
    """Each clip takes ten times what three cameras leave it."""
    lasts, cameras = (15.0 if ground.short else 300.0), 3
    with _faulty(ground, cameras) as (home, fault):
        names = [f"cam{n}" for n in range(cameras)]
        calm = time.monotonic()
        time.sleep(8.0)
        usual = sum(home.ears.rate(name, calm, time.monotonic()) for name in names)
        cost = 10 / usual
        fault.write_text(f"slow {cost:.3f}")
        began = time.monotonic()
        time.sleep(lasts)
        lags = [at - json.loads(payload)["time"] for at, payload in _scores_heard(home, began + 5.0)]
        states = {name: home.camera(name) for name in names}
        fault.write_text("")
        over = time.monotonic()
        recovered = _recovered(home, names, over, 0.9 * usual)
        crashes = home.crashes
    findings.note("cost of a clip", f"{cost:.2f} s for {cameras} cameras of {usual / cameras:.2f} clips a second")
    findings.least("clips dropped and counted, each camera", min(s["dropped_clips"] for s in states.values()), 1)
    findings.same("status of all cameras", {s["status"] for s in states.values()}, {"degraded"})
    # a clip waits at most LONGEST_WAIT, then one of each other camera may be scored first
    bound = LONGEST_WAIT + (cameras + 1) * cost
    findings.most("lag from the end of a clip to its score, largest", max(lags), bound, "s")
    findings.note("clips that may wait for each camera", PENDING_CLIPS)
    findings.most("all cameras scored at the usual rate again after", recovered, 10.0, "s")
    findings.same("crashes", crashes, 0)


def _scores_heard(home: House, since: float) -> list[tuple[float, str]]:
    """(epoch time of arrival, payload) of the scores heard since then."""
    shift = time.time() - time.monotonic()
    return [(at + shift, said) for at, topic, said in home.ears.heard if at > since and topic.endswith("/score")]


def _recovered(home: House, names: list[str], since: float, rate: float) -> float:
    """Seconds until the rate of all cameras together over 3 s is at least `rate` again."""

    def now() -> bool:
        at = time.monotonic()
        return at - since > 1 and sum(home.ears.rate(name, at - 3.0, at) for name in names) >= rate

    until(now, 60, "the usual rate")
    return max(0.0, time.monotonic() - since - 3.0)


def fails(ground: Ground, findings: Findings) -> None:
    """The backend raises an exception, runs out of memory, or returns wrong features."""
    for kind in ("exception", "memory", "wrong"):
        inner = Ground(ground.folder_for(kind), ground.bundle, ground.short)
        with _faulty(inner, 1, check=2.0) as (home, fault):
            before = json.loads(home.ears.last("mgfn/cam0/score") or "{}")["score"]
            fault.write_text(kind)
            began = time.monotonic()
            until(lambda: home.service.said("engine changed"), 30, "the next backend")
            changed = time.monotonic() - began
            since = time.monotonic()
            until(lambda: home.ears.scores("cam0", since), 30, "a score of the next backend")  # noqa: B023
            score = json.loads(home.ears.last("mgfn/cam0/score") or "{}")["score"]
            home.ears.wait("mgfn/cam0/status", "degraded", began, 10)
            home.ears.wait("mgfn/cam0/problem", _PROBLEM, began, 10)
            findings.most(f"{kind}: next backend scores after", changed, 10.0, "s")
            findings.note(f"{kind}: status and problem over MQTT", f"degraded; {_PROBLEM}")
            findings.note(f"{kind}: score before and after", f"{before:.4f}, {score:.4f}")
            findings.same(f"{kind}: service ended", home.service.process.poll(), None)
            if ground.short:
                break


def scores_alike(ground: Ground, findings: Findings) -> None:
    """All backends score the known clip alike: the features and scores by which the next backend may differ."""
    found = {}
    for backend in ("openvino", "openvino-int8", "onnxruntime"):
        with Engine.open(ground.bundle, backend, "cpu", float32=backend == "openvino") as engine:
            features = engine.features(known_clip(engine.manifest.crops)[None])[0]
            found[backend] = float(engine.scores([known_window(features)])[0][-1])
    findings.most("ONNX Runtime from OpenVINO", abs(found["onnxruntime"] - found["openvino"]), 1e-3)
    findings.most("OpenVINO from its INT8 form", abs(found["openvino"] - found["openvino-int8"]), 2e-2)


def hangs(ground: Ground, findings: Findings) -> None:
    """The scoring loop hangs in the engine: systemd's watchdog and /healthz."""
    address = f"mgfn-drill-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address)
        systemd.settimeout(0.2)
        with _faulty(ground, 1, NOTIFY_SOCKET="@" + address) as (home, fault):
            findings.same("/healthz before", home.health().status_code, 200)
            _drain(systemd)
            fault.write_text("hang")
            began = time.monotonic()
            until(lambda: home.health().status_code == 503, 40, "503")
            findings.most("/healthz says 503 after", time.monotonic() - began, 5.0, "s")
            _drain(systemd)
            time.sleep(2.0 if ground.short else 8.0)
            findings.same("signs of life to systemd while it hangs", len(_drain(systemd)), 0)
            fault.write_text("")
            until(lambda: home.health().status_code == 200, 10, "200")
            findings.same("crashes", home.crashes, 0)


def _drain(listener: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(listener.recv(100))
    except TimeoutError:
        return [said for said in found if said == b"WATCHDOG=1"]
