"""Measures what open pages cost the scoring loop: python -m benchmarks.pages [--pages 20] [--seconds 20]

Two cameras over RTSP. Alternately without a page, and with pages that read the event stream and, every two seconds,
both cameras' images: stage times, and the processor time of the main process.
"""

from __future__ import annotations

import argparse
import threading
import time

import httpx
import psutil

from export.bench.cameras import Scenes, Watched, settle, watching
from export.bench.footage import SUBSTREAM, as_a_camera
from stream.settings.bundle import cached_bundle

CAMERAS = 2
ROUNDS = 3
PICTURES_EVERY = 2.0
STAGES = ("wait", "backbone", "head")


def stages(address: str) -> dict[str, tuple[float, float]]:
    """Seconds and clips of each stage since the start."""
    found: dict[str, dict[str, float]] = {}
    for line in httpx.get(f"{address}metrics", timeout=30).text.splitlines():
        for kind in ("sum", "count"):
            if line.startswith(f"mgfn_stage_seconds_{kind}"):
                found.setdefault(line.split('"')[1], {})[kind] = float(line.split()[-1])
    return {stage: (pair["sum"], pair["count"]) for stage, pair in found.items()}


def page(address: str, over: threading.Event) -> None:
    """The requests of a browser, until the end."""
    with (
        httpx.Client(base_url=address, timeout=30) as client,
        httpx.Client(base_url=address, timeout=30) as pictures,
        client.stream("GET", "/api/stream") as stream,
    ):
        reader, next_pictures = stream.iter_bytes(), 0.0
        while not over.is_set():
            next(reader, b"")
            if time.monotonic() > next_pictures:
                next_pictures = time.monotonic() + PICTURES_EVERY
                for number in range(CAMERAS):
                    pictures.get(f"/api/cameras/camera{number + 1}/picture.jpg")


def measure(watched: Watched, pages: int, seconds: float) -> None:
    """Print the stages' means, and the main process's share of a core, with so many pages open."""
    over = threading.Event()
    threads = [threading.Thread(target=page, args=(watched.page, over)) for _ in range(pages)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    process = psutil.Process(watched.service.pid)
    before, used = stages(watched.page), process.cpu_times()
    time.sleep(seconds)
    after, now_used = stages(watched.page), process.cpu_times()
    over.set()
    for thread in threads:
        thread.join()
    told = []
    for stage in STAGES:
        spent, count = (now - then for now, then in zip(after[stage], before[stage], strict=True))
        told.append(f"{stage} {1000 * spent / max(1, count):.1f} ms")
    clips = after["wait"][1] - before["wait"][1]
    cores = (sum(now_used[:2]) - sum(used[:2])) / seconds
    print(f"{pages} pages: {', '.join(told)}; {clips:.0f} clips in {seconds:g} s, {cores:.2f} cores used", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with watching(CAMERAS, Scenes(as_a_camera(SUBSTREAM)), cached_bundle()) as watched:
        settle(watched, CAMERAS)
        for _ in range(ROUNDS):
            for pages in (0, given.pages):
                measure(watched, pages, given.seconds)
        print(f"{watched.dropped_clips()} clips dropped in all")


if __name__ == "__main__":
    main()
