"""Real cameras: RTSP servers on loopback, `mgfn-stream` watching them, and an MQTT subscriber that measures lag."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from configs.processes import CLIENTS_OF_A_SERVER, ChildError, child, logged, rtsp_server, wait_for
from configs.sizes import CLIP_LENGTH
from export.bench.footage import FPS

LAG_LIMIT_MS: Final = 500.0
_SETTLE: Final = 4.0
_STARTS_WITHIN = 30.0


@dataclass(frozen=True)
class Scenes:
    """What the cameras play, two videos of the same folder; `quiet` is the share of cameras in front of a still
    scene. eco: while nothing moves, only keyframes are decoded.
    """

    busy: Path
    still: Path | None = None
    quiet: float = 0.0
    eco: bool = False

    def of(self, number: int) -> Path:
        """The video of camera number 1, 2, ...; quiet ones are spread evenly."""
        is_quiet = self.still is not None and int(number * self.quiet) > int((number - 1) * self.quiet)
        return self.still if is_quiet and self.still is not None else self.busy


@dataclass
class Try:
    """The result for a number of cameras; `quiet` and `eco` as for `Scenes`.

    computed: the share of clips that passed the backbone; the others showed nothing that moves.
    lag_ms: from the last frame of a clip to its score at the subscriber. cpu_percent: of one core. `camera` is one
    decoder process, `service` the scoring process, `other` the cost of a camera
        without the backbone (its decoder and its share of service and broker), `servers` the processes that play the
        cameras.
    memory_mib: shared pages are divided among their users (PSS).
    """

    cameras: int
    seconds: float
    held: bool
    dropped_clips: int
    clips: int
    expected_clips: int
    lag_ms: dict[str, float] = field(default_factory=dict)
    cpu_percent: dict[str, float] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    computed: float = 1.0
    quiet: float = 0.0
    eco: bool = False
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON, without empty values."""
        return {key: value for key, value in asdict(self).items() if value not in ("", {})}


def attempt(cameras: int, scenes: Scenes, bundle: Path, seconds: float, backbone_cpu_ms: float) -> Try:
    """Watch so many cameras for `seconds` after they have settled; `backbone_cpu_ms` per clip is already known."""
    expected = round(cameras * seconds * FPS / CLIP_LENGTH)
    try:
        with watching(cameras, scenes, bundle) as watched:
            settle(watched, cameras)
            before, began, dropped = _cpu(watched), time.monotonic(), watched.dropped_clips()
            clips = watched.clips()
            watched.scores.begin()
            time.sleep(seconds)
            lags, took = watched.scores.end(), time.monotonic() - began
            after, dropped = _cpu(watched), watched.dropped_clips() - dropped
            clips = watched.clips() - clips
            memory = memory_of(watched)
    except (ChildError, psutil.Error, OSError) as error:  # it did not start, or ended prematurely
        return Try(cameras, seconds, False, 0, 0, expected, quiet=scenes.quiet, eco=scenes.eco, note=str(error))
    p50, p95, worst = np.percentile(lags, [50, 95, 100]).tolist() if lags else (0.0, 0.0, 0.0)
    share = {role: 100 * (after[role] - before[role]) / took for role in after}
    computed = clips["computed"] / clips.total() if clips.total() else 1.0
    backbone = 100 * clips["computed"] * backbone_cpu_ms / 1000 / took
    missing = expected - len(lags) > cameras  # each camera may have one clip in progress
    return Try(
        cameras,
        round(took, 1),
        held=not dropped and not missing and p95 < LAG_LIMIT_MS,
        dropped_clips=dropped,
        clips=len(lags),
        expected_clips=expected,
        lag_ms={"p50": round(p50, 1), "p95": round(p95, 1), "max": round(worst, 1)},
        cpu_percent={
            "camera": round(share["cameras"] / cameras, 2),
            "service": round(share["service"], 1),
            "broker": round(share["broker"], 2),
            "other": round((share["cameras"] + share["broker"] + max(0.0, share["service"] - backbone)) / cameras, 2),
            "servers": round(share["servers"], 2),
        },
        memory_mib=memory,
        computed=round(computed, 3),
        quiet=scenes.quiet,
        eco=scenes.eco,
    )


class Scores:
    """Subscribes to `mgfn/+/score`; counts scores by camera, and records lags in milliseconds on request."""

    def __init__(self, port: int) -> None:
        self.seen: Counter[str] = Counter()
        self._lags: list[float] | None = None
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("mgfn/+/score")
        self._client.on_message = lambda _client, _data, message: self._take(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, message: mqtt.MQTTMessage) -> None:
        now = time.time()
        with self._lock:
            self.seen[message.topic] += 1
            if self._lags is not None:
                # a clip ends after the duration of its last frame, so that frame arrived one frame earlier
                self._lags.append(1000 * (now - json.loads(message.payload)["time"] + 1 / FPS))

    def begin(self) -> None:
        with self._lock:
            self._lags = []

    def end(self) -> list[float]:
        with self._lock:
            lags, self._lags = self._lags or [], None
        return lags

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(frozen=True)
class Watched:
    """A running `mgfn-stream`, the RTSP servers that it watches, its health page, and the port of its broker."""

    service: subprocess.Popen[str]
    servers: list[subprocess.Popen[str]]
    scores: Scores
    page: str
    port: int

    def dropped_clips(self) -> int:
        """Of all cameras since they started."""
        with urllib.request.urlopen(f"{self.page}healthz", timeout=10) as answer:  # noqa: S310 -- our own, on loopback
            return sum(camera["dropped_clips"] for camera in json.load(answer)["cameras"].values())

    def clips(self) -> Counter[str]:
        """Of all cameras since they started: `computed` and `reused` features."""
        found: Counter[str] = Counter()
        with urllib.request.urlopen(f"{self.page}metrics", timeout=10) as answer:  # noqa: S310 -- as above
            for line in answer.read().decode().splitlines():
                if line.startswith("mgfn_clips_total{"):
                    labels, _, value = line.rpartition(" ")
                    found["reused" if 'feature="reused"' in labels else "computed"] += int(float(value))
        return found


@contextmanager
def watching(cameras: int, scenes: Scenes, bundle: Path) -> Iterator[Watched]:
    """So many cameras, each playing its scene in a loop, and `mgfn-stream` watching them. Raises ChildError."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mgfn-bench-")))
        command = [sys.executable, "-m", "stream.cli", "--bundle", str(bundle), "--data", str(scratch / "data")]
        servers, urls = [], {}
        for first in range(0, cameras, CLIENTS_OF_A_SERVER):
            address, server = stack.enter_context(rtsp_server(scenes.busy.parent))
            servers.append(server)
            for number in range(first, min(cameras, first + CLIENTS_OF_A_SERVER)):
                urls[f"camera{number + 1}"] = {"url": f"{address}{scenes.of(number + 1).name}?play_count=0"}
        site = scratch / "site.yaml"
        site.write_text(json.dumps({"defaults": {"eco": scenes.eco}, "cameras": urls}))
        command += ["--config", str(site)]
        log = scratch / "log.jsonl"
        with log.open("w") as file:
            service = stack.enter_context(child(command, stderr=file, start_new_session=True))
        try:
            wait_for(lambda: logged(log, "embedded broker"), service, "mgfn-stream", _STARTS_WITHIN)
            wait_for(lambda: logged(log, "web page"), service, "mgfn-stream", _STARTS_WITHIN)
        except ChildError as error:
            said = log.read_text().splitlines() or ["nothing"]
            raise ChildError(f"{error}; its last output: {said[-1]}") from None
        broker = logged(log, "embedded broker")["broker"]
        page = logged(log, "web page")["address"]
        port = int(broker.rpartition(":")[2])
        scores = Scores(port)
        stack.callback(scores.close)
        yield Watched(service, servers, scores, page, port)


def settle(watched: Watched, cameras: int) -> None:
    """Wait until every camera was scored, and the initial burst is over. Raises ChildError."""
    what = f"the last of {cameras} cameras"
    wait_for(lambda: len(watched.scores.seen) == cameras, watched.service, what, _STARTS_WITHIN)
    time.sleep(_SETTLE)


def _roles(watched: Watched) -> dict[str, list[psutil.Process]]:
    """The service's processes by role; the broker is the first one that it starts."""
    parent = psutil.Process(watched.service.pid)
    started = [child for child in parent.children() if any("spawn_main" in part for part in child.cmdline())]
    started.sort(key=lambda child: child.create_time())
    return {"service": [parent], "broker": started[:1], "cameras": started[1:]}


def _cpu(watched: Watched) -> dict[str, float]:
    roles = {**_roles(watched), "servers": [psutil.Process(server.pid) for server in watched.servers]}
    return {role: sum(sum(process.cpu_times()[:2]) for process in found) for role, found in roles.items()}


def memory_of(watched: Watched, kind: Literal["pss", "uss"] = "pss") -> dict[str, float]:
    """MiB of the service, the broker, and one decoder on average, with its share of shared pages (PSS) or without
    (USS).
    """
    found = {
        role: [getattr(process.memory_full_info(), kind) / 2**20 for process in processes]
        for role, processes in _roles(watched).items()
    }
    cameras = found["cameras"]
    return {
        "camera": round(sum(cameras) / len(cameras), 1) if cameras else 0.0,
        "service": round(sum(found["service"]), 1),
        "broker": round(sum(found["broker"]), 1),
    }
