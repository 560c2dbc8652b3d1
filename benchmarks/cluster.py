"""Workers that share cameras, on this machine: how long a camera is unscored when its worker dies, is frozen, joins or
is drained, and how much more two workers score than one.

    python -m benchmarks.cluster [--ray] [--cameras 40] [--workers 4] [--json FILE] [--skip-scaling]

Workers are shards or, with `--ray`, those of a local Ray cluster with a node for each. The cameras are recordings at 5
frames a second, the models are the tiny ones of the tests: this measures the sharing, not the scoring. Scaling is
measured with shards and the default bundle, each worker pinned to a core of its own, and more cameras than two workers
can score. It needs Mosquitto, and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from stream.cluster.worker_process import WorkerProcess
from tests import built_once
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import until
from tests.servers.ray_cluster import ray_cluster
from tests.servers.rtsp import moving_pictures, write_video
from tests.servers.service import Running, running
from tests.stream.cluster.shards import Heard, made, write_site

FPS: Final = 5
CLIP: Final = 16 / FPS
PATIENCE: Final = 300.0
SETTLED: Final = 8.0  # more than a lease lasts
FROZEN_FOR: Final = 12.0
SATURATED: Final = 16  # cameras at 25 frames a second: 25 clips a second, more than two cores can score
MEASURED_FOR: Final = 40.0


class Workers(Protocol):
    """Processes that watch the cameras of a site file, by name."""

    names: list[str]

    def pid(self, name: str) -> int:
        """Its process."""

    def bring_back(self, name: str) -> None:
        """Start it again after its process has been killed."""


class Shards:
    """Each is started with `--shard`."""

    def __init__(self, folder: Path, site: Path, count: int, stack: ExitStack) -> None:
        self.names = [f"shard-{number}-of-{count}" for number in range(1, count + 1)]
        self._folder, self._site, self._stack = folder, site, stack
        self._running: dict[str, Running] = {}
        for name in self.names:
            self.bring_back(name)

    def pid(self, name: str) -> int:
        return self._running[name].process.pid

    def bring_back(self, name: str) -> None:
        number = self.names.index(name) + 1
        data = made(self._folder / f"{number}-{time.monotonic_ns()}")
        arguments = ["--config", self._site, "--shard", f"{number}/{len(self.names)}"]
        self._running[name] = self._stack.enter_context(running(data, *arguments))


class OnRay:
    """All are started by one command with `--cluster`, and by their actors after they have been killed."""

    def __init__(self, folder: Path, site: Path, count: int, stack: ExitStack) -> None:
        self._folder = folder / "data"
        stack.callback(self._end)
        ray = stack.enter_context(ray_cluster())
        for _ in range(count - 1):
            ray.add_node()
        stack.enter_context(running(folder, "--config", site, "--cluster", ray.address))
        until(lambda: len(list(self._folder.glob("*.pid"))) == count, PATIENCE, "workers")
        self.names = sorted(file.stem for file in self._folder.glob("*.pid"))

    def pid(self, name: str) -> int:
        found = WorkerProcess(name, self._folder).pid
        if found is None:
            raise SystemExit(f"worker {name} does not run")
        return found

    def bring_back(self, name: str) -> None:
        until(lambda: WorkerProcess(name, self._folder).pid is not None, PATIENCE, "the worker started again")

    def _end(self) -> None:
        for file in self._folder.glob("*.pid"):
            if (pid := WorkerProcess(file.stem, self._folder).pid) is not None:
                os.kill(pid, signal.SIGKILL)
                until(lambda: not Path(f"/proc/{pid}").exists(), PATIENCE, "the end of a worker")


class House:
    """Workers on one broker."""

    def __init__(self, folder: Path, broker: Mosquitto, cameras: Sequence[str]) -> None:
        self.cameras = cameras
        self.heard = Heard(broker.port)
        self.site = folder / "site.yaml"
        video = write_video(folder / "street.mp4", moving_pictures(1200 * FPS), fps=FPS)
        write_site(self.site, broker.url, built_once.tiny(), video, cameras)

    def of(self, worker: str) -> list[str]:
        return [camera for camera in self.cameras if self.heard.owner(camera) == worker]

    def settle(self) -> None:
        """Wait until no camera has changed hands for a while; the measured capacity of a worker that joins may differ
        from what it was.
        """
        owners, since = self._owners(), time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() - since < SETTLED and time.monotonic() < deadline:
            if (now := self._owners()) != owners:
                owners, since = now, time.monotonic()
            time.sleep(0.1)

    def _owners(self) -> list[str]:
        return [self.heard.owner(camera) for camera in self.cameras]

    def unscored(self, cameras: Sequence[str], since: float) -> float:
        """Seconds until each camera was scored on a clip that began after that time."""
        epoch = time.time() - (time.monotonic() - since)
        until(lambda: self.heard.scored(cameras, since, end_after=epoch + CLIP), PATIENCE, "scores")
        return time.monotonic() - since

    def longest_gap(self, cameras: Sequence[str], since: float) -> float:
        """The longest time between the ends of two scores of a camera, less one clip."""
        gaps = [0.0]
        for camera in cameras:
            ends = [score["time"] for name, score in self.heard.scores(since) if name == camera]
            gaps += [after - before - CLIP for before, after in itertools.pairwise(ends)]
        return max(gaps)


def sharing(cameras: int, workers: int, kind: type[Shards] | type[OnRay]) -> dict[str, Any]:
    """What happens to cameras whose worker dies, joins, is drained or frozen."""
    found: dict[str, Any] = {"kind": kind.__name__, "cameras": cameras, "workers": workers, "clip_s": CLIP}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(Mosquitto(made(folder / "broker")).running())
        house = House(folder, broker, [f"cam{number}" for number in range(cameras)])
        started = time.monotonic()
        at_work: Workers = kind(folder, house.site, workers, stack)
        names = at_work.names
        until(lambda: house.heard.scored(house.cameras), PATIENCE, "all cameras")
        found["all_scored_s"] = round(time.monotonic() - started, 1)
        found["shares"] = {each: len(house.of(each)) for each in names}
        victim, lost = names[0], house.of(names[0])
        since = time.monotonic()
        os.kill(at_work.pid(victim), signal.SIGKILL)
        found["killed"] = {"cameras": len(lost), "scored_again_s": round(house.unscored(lost, since), 1)}
        before = {camera: house.heard.owner(camera) for camera in house.cameras}
        since = time.monotonic()
        at_work.bring_back(victim)
        until(lambda: house.of(victim), PATIENCE, "the worker that joins")
        house.settle()
        moved = [camera for camera in house.cameras if house.heard.owner(camera) != before[camera]]
        house.unscored(moved, time.monotonic())
        found["joined"] = {
            "moved": len(moved),
            "to_others": len(set(moved) - set(house.of(victim))),
            "longest_gap_s": round(house.longest_gap(moved, since), 2),
        }
        since, drained = time.monotonic(), house.of(names[1])
        command = [sys.executable, "-m", "stream.cli", "cluster", "drain", names[1], "--mqtt", broker.url]
        subprocess.run(command, check=True, timeout=PATIENCE)
        house.unscored(drained, time.monotonic())
        found["drained"] = {"cameras": len(drained), "longest_gap_s": round(house.longest_gap(drained, since), 2)}
        frozen = house.of(names[2])
        process = at_work.pid(names[2])
        os.kill(process, signal.SIGSTOP)
        since = time.monotonic()
        again = house.unscored(frozen, since)
        time.sleep(max(0.0, FROZEN_FOR - again))
        os.kill(process, signal.SIGCONT)
        until(lambda: house.of(names[2]) == frozen, PATIENCE, "the worker that was frozen")
        house.unscored(frozen, time.monotonic())
        found["frozen"] = {"cameras": len(frozen), "scored_again_s": round(again, 1)}
        found["scored_by_two"] = overlaps(house.heard)
        house.heard.close()
    return found


def overlaps(heard: Heard) -> int:
    """Scores of a clip that began before the last clip of another owner had ended, and fences that went back."""
    count = 0
    last: dict[str, dict[str, Any]] = {}
    for camera, score in heard.scores():
        before = last.get(camera, score)
        early = score["fence"] != before["fence"] and score["time"] - CLIP < before["time"] - 0.1
        count += early or score["fence"] < before["fence"]
        last[camera] = score
    return count


def scaling() -> dict[str, float]:
    """Clips a second of one worker on one core, and of two on two."""
    from stream.settings.bundle import cached_bundle

    bundle, found = cached_bundle(), {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            broker = stack.enter_context(Mosquitto(made(folder / "broker")).running())
            video = write_video(folder / "street.mp4", moving_pictures(25 * 240), fps=25)
            cameras = [f"cam{number}" for number in range(SATURATED // 2 * workers)]
            write_site(folder / "site.yaml", broker.url, bundle, video, cameras)
            heard = Heard(broker.port)
            for number in range(1, workers + 1):
                arguments = ["--config", folder / "site.yaml", "--shard", f"{number}/{workers}"]
                pinned = ("taskset", "-c", str(number - 1))
                stack.enter_context(running(made(folder / str(number)), *arguments, prefix=pinned))
            until(lambda: len({name for name, _ in heard.scores()}) >= len(cameras) // 2, PATIENCE, "scores")  # noqa: B023
            time.sleep(20)
            since = time.monotonic()
            time.sleep(MEASURED_FOR)
            found[f"{workers}_workers_clips_a_second"] = round(len(heard.scores(since)) / MEASURED_FOR, 2)
            heard.close()
    one, two = found.values()
    return found | {"ratio": round(two / one, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--cameras", type=int, default=40)
    parser.add_argument("--ray", action="store_true", help="with Ray's workers instead of shards")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--skip-scaling", action="store_true")
    given = parser.parse_args()
    found = {
        "load": os.getloadavg()[0],
        "sharing": sharing(given.cameras, given.workers, OnRay if given.ray else Shards),
    }
    if not given.skip_scaling:
        found["scaling"] = scaling()
    print(json.dumps(found, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
