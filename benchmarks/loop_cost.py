"""Measures what events, images, clips, Home Assistant, metrics and commands cost the scoring loop.

Two `mgfn-stream` processes run side by side on the same recording with the default bundle and one broker, so that the
rest of the machine's load affects both. One has nothing to report. The other has an alarm every few seconds with image
and clip, writes a score file, has its metrics scraped every second and, in the last round, receives a flood of
commands. They swap places after each round. The comparison cannot show what both do (scores to MQTT, to the database
and to the page). So `telling` is measured in the loop itself: the processor time that it spends in the reporter.

Run from the project's root after `make test`: python -m benchmarks.loop_cost [ROUNDS SECONDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.latency import FPS, street
from stream.alarm.event import ModelName
from stream.cli import mgfn_stream as cli
from stream.watch.camera_topics import CameraTopics
from stream.watch.event_report import EventReport
from stream.watch.metrics import Metrics
from stream.watch.overrides import Overrides
from stream.watch.reporter import Reporter
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, free_port, until
from tests.servers.rtsp import write_video

FLOOD = 1000  # commands per second
VIDEO = "street.mp4"
SIDE = "--side"  # this module as `mgfn-stream`, with its reporter timed
TOLD: dict[type, tuple[str, ...]] = {  # the calls from the loop to the reporter's parts
    Reporter: ("scored",),
    EventReport: ("say", "release", "file_written"),
    CameraTopics: ("status",),
    Overrides: ("obey",),
}


@dataclass(frozen=True)
class Reading:
    """Totals so far: seconds by stage, clips scored, clips dropped, processor time of the loop's thread."""

    stages: dict[str, float]
    clips: float
    dropped: float
    loop: float

    def per_clip(self, before: Reading) -> dict[str, float]:
        """Milliseconds per clip since `before`."""
        clips = self.clips - before.clips
        cost = {stage: 1000 * (self.stages[stage] - before.stages[stage]) / clips for stage in self.stages}
        return cost | {"loop thread": 1000 * (self.loop - before.loop) / clips, "clips": clips}


class Side:
    """One service; its first thread is the scoring loop."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = psutil.Process(process.pid)
        self._metrics = f"http://127.0.0.1:{port}/metrics"

    def read(self) -> Reading:
        text = httpx.get(self._metrics).text
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[",".join(sample.labels.values())] = sample.value
        main = next(thread for thread in self._process.threads() if thread.id == self._process.pid)
        dropped = sum(found.get("mgfn_clips_dropped_total", {}).values())
        counts = found.get("mgfn_stage_seconds_count", {})
        clips = counts.get("wait", 0.0)
        return Reading(found.get("mgfn_stage_seconds_sum", {}), clips, dropped, main.user_time + main.system_time)


@contextmanager
def service(folder: Path, broker: Mosquitto, prefix: str, *more: object) -> Iterator[Side]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.loop_cost", SIDE, "--rtsp", f"cam={folder / VIDEO}"]
    command += ["--mqtt", broker.url]
    command += ["--topic-prefix", prefix, "--http", f"127.0.0.1:{port}", "--data", str(folder / prefix)]
    command += ["--node", prefix, *map(str, more)]
    with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True)) as process:
        side = Side(process, port)
        until(lambda: _answers(side) and side.read().clips >= 5, 300, "the first clips")
        yield side


def run_side() -> None:
    """`mgfn-stream` whose metrics have the stage `telling`: processor time of the loop in the reporter, per call."""
    depth = 0
    metrics: list[Metrics] = []
    make = Metrics.__init__

    def keep(self: Metrics, model: ModelName) -> None:
        make(self, model)
        metrics.append(self)

    setattr(Metrics, "__init__", keep)  # noqa: B010 -- mypy forbids assigning to a method

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: object, *arguments: Any) -> Any:
            nonlocal depth
            depth, began = depth + 1, time.thread_time()
            try:
                return method(self, *arguments)
            finally:
                depth -= 1
                if not depth:
                    metrics[0].stage("telling", time.thread_time() - began)

        return call

    for part, names in TOLD.items():
        for name in names:
            setattr(part, name, timed(getattr(part, name)))
    sys.argv.remove(SIDE)
    cli.main()


def _answers(side: Side) -> bool:
    try:
        side.read()
    except httpx.HTTPError:
        return False
    return True


def round_of(folder: Path, broker: Mosquitto, seconds: float, *, swapped: bool, flood: bool) -> dict[str, list[float]]:
    """One round: each figure as [nothing to report, everything on]."""
    with ExitStack() as stack:
        quiet: Side | None = None
        if not swapped:
            quiet = stack.enter_context(service(folder, broker, "quiet", "--threshold", "1"))
        busy = stack.enter_context(service(folder, broker, "busy", "--threshold", "1", "--scores", folder / "s.jsonl"))
        quiet = quiet or stack.enter_context(service(folder, broker, "quiet", "--threshold", "1"))
        subscriber = Subscriber(broker.port, "busy/#")
        before = quiet.read(), busy.read()
        until_when, turn = time.monotonic() + seconds, 0
        while time.monotonic() < until_when:
            began = time.monotonic()
            busy.read()
            if turn % 5 == 0:  # an alarm about every sixteen seconds: ten of them are the cool-down
                subscriber.publish("busy/cam/threshold/set", "0" if turn % 10 == 0 else "1")
                subscriber.publish("busy/cam/test/set", "")
            for number in range(FLOOD if flood else 0):
                subscriber._client.publish("busy/cam/feedback/set", f'{{"id":"{number}.00-abcdef","verdict":"true"}}')
            turn += 1
            time.sleep(max(0.0, began + 1.0 - time.monotonic()))
        after = quiet.read(), busy.read()
        events = len({event["id"] for event in subscriber.events()})
        subscriber.close()
    print(f"  {events} events; dropped clips: {[a.dropped - b.dropped for a, b in zip(after, before, strict=True)]}")
    costs = [a.per_clip(b) for a, b in zip(after, before, strict=True)]
    return {key: [cost[key] for cost in costs] for key in costs[0]}


def main() -> None:
    rounds, seconds = (int(sys.argv[1]), float(sys.argv[2])) if len(sys.argv) > 2 else (4, 45.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mosquitto").mkdir()
        write_video(folder / VIDEO, street(seconds + 120), FPS)
        with Mosquitto(folder / "mosquitto").running() as broker:
            found = [round_of(folder, broker, seconds, swapped=n % 2 == 1, flood=False) for n in range(rounds)]
            flooded = round_of(folder, broker, seconds, swapped=False, flood=True)
    print("ms a clip      nothing to tell   everything on   ratio (each round)")
    for key in found[0]:
        off, on = ([each[key][side] for each in found] for side in (0, 1))
        ratios = ", ".join(f"{b / a:.2f}" for a, b in zip(off, on, strict=True))
        print(f"{key:12} {statistics.mean(off):15.2f} {statistics.mean(on):15.2f}   {ratios}")
    print(f"with {FLOOD} commands a second:")
    for key, (off, on) in flooded.items():
        print(f"{key:12} {off:15.2f} {on:15.2f}   {on / off:.2f}")


if __name__ == "__main__":
    run_side() if SIDE in sys.argv else main()
