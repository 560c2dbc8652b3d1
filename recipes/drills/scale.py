"""Many cameras and many stored events, and hours of watching."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from recipes.drills.alarms import PROGRAM, site
from recipes.drills.drill import Findings, Ground, NotRunError
from recipes.drills.house import Ears, House, Usage, house
from recipes.drills.simulated import ALARMS, CLIP
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from tests.events import event_message
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port, until
from tests.servers.rtsp import encode, moving_pictures
from tests.servers.service import Running, lines, running
from tests.servers.settable_camera import SettableCamera, Track, steady

MOST_RING_GIB = 0.0125  # of one camera


def _fill(ground: Ground, events: int, cameras: int) -> None:
    """Ended events of the last month, and an hour of scores for each camera."""
    now = time.time()
    with Store.open(ground.folder / "data") as store:
        for begin in range(0, events, 10_000):
            with store.transaction():
                for number in range(begin, min(events, begin + 10_000)):
                    at = now - 30 * 86_400 * (1 - number / events)
                    done = event_message(
                        type="end", id=f"{at:.2f}-{number % 1_000_000:06d}", seq=1, camera=f"cam{number % cameras}",
                        start_time=at, end_time=at + 5, end_reason="score", latency_from=at,
                    )  # fmt: skip
                    store.events.delivered(store.events.add(done, at, awaits_files=False))
        scores = [LoggedScore(now - 3600 + i * CLIP, now - 3600 + (i + 1) * CLIP, 0.1, 32) for i in range(5_000)]
        with store.transaction():
            for camera in range(cameras):
                store.scores.add(f"cam{camera}", pack(scores), now)


@dataclass(frozen=True)
class Crowd:
    """A running service of simulated cameras."""

    service: Running
    ears: Ears
    page: str
    plan: Path
    cameras: int

    def share(self, seconds: float) -> tuple[float, float]:
        """Over so many seconds: the share of all clips that were scored, in per cent, and how long the scoring loop
        computed for each of them, in milliseconds.
        """
        since, before = time.monotonic(), self._computed()
        time.sleep(seconds)
        until_now, computed = time.monotonic(), self._computed() - before
        heard = len([at for at, topic, _ in self.ears.heard if since <= at < until_now and topic.endswith("/score")])
        spent = until_now - since
        return 100 * heard / spent * CLIP / self.cameras, 1000 * computed / max(1, heard)

    def _computed(self) -> float:
        """Processor seconds of the main thread."""
        process = psutil.Process(self.service.process.pid)
        return sum(thread.user_time + thread.system_time for thread in process.threads() if thread.id == process.pid)


@contextmanager
def _crowd(ground: Ground, folder: Path, cameras: int) -> Iterator[Crowd]:
    """The service with simulated cameras that are all online and have been scored for a while."""
    (folder / "mosquitto").mkdir(parents=True)
    broker, port = Mosquitto(folder / "mosquitto"), free_port()
    config = site(folder, ground.bundle, broker.url, cameras, port)
    env = {ALARMS: str(folder / "plan")}
    with broker.running(), running(folder, "--config", config, env=env, program=PROGRAM) as service:
        ears = Ears(broker.port)
        until(lambda: service.log.read_text().count("camera online") >= cameras, 180, "the cameras")
        time.sleep(10.0)
        yield Crowd(service, ears, f"http://127.0.0.1:{port}", folder / "plan", cameras)
        ears.close()


def many(ground: Ground, findings: Findings) -> None:
    """Simulated cameras, 100,000 events, alarms all the time; then more cameras, to find how many it holds."""
    cameras, events, more = (20, 2_000, ()) if ground.short else (200, 100_000, (50, 100, 300, 400))
    if psutil.virtual_memory().available < (cameras * MOST_RING_GIB + 3) * 2**30:
        raise NotRunError(f"{cameras} cameras need {cameras * MOST_RING_GIB + 3:.0f} GiB of free memory")
    began = time.monotonic()
    _fill(ground, events, cameras)
    findings.note(f"{events:,} events written in", f"{time.monotonic() - began:.0f} s")
    with _crowd(ground, ground.folder, cameras) as crowd:
        _asked(ground, crowd, findings)
        share, cost = crowd.share(5.0 if ground.short else 30.0)
        findings.least(f"{cameras} cameras: share of clips scored", share, 95.0, "%")
        findings.note(f"{cameras} cameras: the loop computes for a clip", f"{cost:.2f} ms")
        memory = Usage.of(crowd.service.process.pid).memory
        findings.note("memory of the service without clips", f"{memory:.0f} MiB")
    for number in more:
        if psutil.virtual_memory().available < (number * MOST_RING_GIB + 3) * 2**30:
            findings.note(f"{number} cameras", "not tried: too little memory for their clips")
            continue
        with _crowd(ground, ground.folder / str(number), number) as crowd:
            share, cost = crowd.share(20.0)
            findings.note(f"{number} cameras: share of clips scored; per clip", f"{share:.1f} %; {cost:.2f} ms")
            findings.same(f"{number} cameras: scores are published", share > 0, True)


def _asked(ground: Ground, crowd: Crowd, findings: Findings) -> None:
    """The page is used, while alarms are raised."""
    crowd.plan.write_text(f"{10 if ground.short else 60} 2 1")
    since = time.monotonic()
    took: dict[str, list[float]] = {"/healthz": [], "/api/events": [], "/api/state": []}
    while time.monotonic() - since < (5.0 if ground.short else 30.0):
        for path, times in took.items():
            times.append(_seconds(crowd.page + path))
        time.sleep(0.2)
    state = httpx.get(f"{crowd.page}/healthz", timeout=30).json()
    findings.most("age of the loop's last turn", float(state["loop_age"]), 1.0, "s")
    findings.most("age of the oldest message that is not in the store", float(state["oldest_unwritten"]), 1.0, "s")
    for path, times in took.items():
        findings.most(f"{path}, p95", float(np.percentile(times, 95)), 1.0, "s")
    findings.most("what-if", _seconds(f"{crowd.page}/api/what-if?camera=cam0&threshold=0.5"), 1.0, "s")
    dropped = sum(camera["dropped_clips"] for camera in state["cameras"].values())
    findings.note("clips dropped since the start", dropped)
    raised = sum(line["event"] == "alarm new" for line in lines(crowd.service.log))
    until(lambda: len({e["id"] for e in crowd.ears.events() if e["type"] == "end"}) >= raised, 60, "the ends")
    findings.note("alarms raised meanwhile, and received", raised)


def _seconds(url: str) -> float:
    asked = time.monotonic()
    assert httpx.get(url, timeout=30).status_code == 200, url
    return time.monotonic() - asked


def soak(ground: Ground, findings: Findings) -> None:
    """Recorded cameras over RTSP; every ten seconds one of them goes away and comes back."""
    cameras, minutes = (4, 0.5) if ground.short else (16, 60.0)
    minutes = float(os.environ.get("SOAK_MINUTES", minutes))
    units = encode(moving_pictures(25 * 60))
    watched = [SettableCamera(Track(units, steady(25))) for _ in range(cameras)]
    arguments = [text for n, camera in enumerate(watched) for text in ("--rtsp", f"cam{n}={camera.url}")]
    contexts = [camera.running() for camera in watched]
    for context in contexts:
        context.__enter__()
    try:
        with house(ground.folder, ground.bundle, *arguments) as home:
            for number in range(cameras):
                until(lambda n=number: home.ears.scores(f"cam{n}"), 180, f"scores of cam{number}")  # type: ignore[misc]
            rows = list(_watch(home, watched, minutes))
            findings.same("crashes", home.crashes, 0)
            findings.note("watched for", f"{minutes:g} minutes, {cameras} cameras")
    finally:
        for context in contexts:
            context.__exit__(None, None, None)
    if len(rows) < 4 or rows[-1][0] < 45 * minutes:
        return  # it crashed: there is nothing to judge
    later = [row for row in rows if row[0] >= 15 * minutes]  # the first quarter is the warm-up
    slope, of_service = _slope(later, "memory"), _slope(later, "parent")
    if not ground.short:  # a run of minutes cannot pass: it shows the warm-up
        findings.most("slope of memory in the last three quarters", slope, 1.0, "MiB/h")
    else:
        findings.note("slope of memory in the last three quarters, too short to judge", f"{slope:.1f} MiB/h")
    findings.note("of the service without the decoders", f"{of_service:.2f} MiB/h")
    findings.note("memory at a quarter, the half and the end", ", ".join(_shares(rows)))
    files = [usage.files for _, usage in later]
    findings.most("more descriptors at the end", files[-1] - statistics.median_low(files), 4)


def _slope(rows: list[tuple[float, Usage]], what: str) -> float:
    """MiB an hour."""
    return float(np.polyfit([at / 3600 for at, _ in rows], [getattr(usage, what) for _, usage in rows], 1)[0])


def _shares(rows: list[tuple[float, Usage]]) -> Iterator[str]:
    for index in (len(rows) // 4, len(rows) // 2, -1):
        usage = rows[index][1]
        yield f"{usage.parent:.1f} MiB and {usage.memory - usage.parent:.1f} MiB of the decoders"


def _watch(home: House, watched: list[SettableCamera], minutes: float) -> list[tuple[float, Usage]]:
    rows: list[tuple[float, Usage]] = []
    began = time.monotonic()
    while (at := time.monotonic() - began) < 60 * minutes and home.service.process.poll() is None:
        rows.append((at, Usage.settled(home.pid, 3)))
        watched[len(rows) % len(watched)].hang_up()
        time.sleep(min(9.0, 6 * minutes))
    return rows
