"""Shards as their users run them, and what a subscriber sees of them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers.mosquitto import Subscriber
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures, write_video
from tests.servers.service import Running, running
from tests.servers.service import lines as written

FPS = 10
CLIP = 16 / FPS
SCORES = "scores.jsonl"  # of all workers together
SLACK = 0.05  # seconds


class Heard(Subscriber):
    """Keeps when each message came, and checks that fences never go back and scores of two owners never overlap."""

    def __init__(self, port: int) -> None:
        self.at: list[float] = []
        super().__init__(port)

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        self.at.append(time.monotonic())
        super()._on_message(client, data, message)

    def since(self, at: float) -> Iterator[tuple[str, str]]:
        """Topic and payload of all messages that came after that time."""
        return (
            (topic, text) for (topic, text, _), came in zip(self.messages, list(self.at), strict=False) if came > at
        )

    def scores(self, since: float = 0.0) -> list[tuple[str, dict[str, Any]]]:
        """Camera and payload of each score."""
        found = ((topic.split("/"), text) for topic, text in self.since(since))
        return [(parts[1], json.loads(text)) for parts, text in found if parts[2:] == ["score"]]

    def scored(self, cameras: Sequence[str], since: float = 0.0, *, end_after: float = 0.0) -> bool:
        """Whether all were scored, on clips that ended after that epoch time."""
        return {name for name, score in self.scores(since) if score["time"] > end_after} >= set(cameras)

    def fence(self, camera: str) -> int:
        return int(json.loads(self.last(f"mgfn/lease/camera/{camera}") or "{}").get("fence", 0))

    def owner(self, camera: str) -> str:
        """The worker of the last lease, where the broker keeps leases."""
        return str(json.loads(self.last(f"mgfn/lease/camera/{camera}") or "{}").get("worker", ""))

    def assert_one_owner_at_a_time(self, lines: Path) -> None:
        """Fences never go back, and no second of a camera was scored twice (`lines`: what `--scores` wrote)."""
        by_camera: dict[str, list[int]] = {}
        for camera, score in self.scores():
            by_camera.setdefault(camera, []).append(score["fence"])
        assert all(fences == sorted(fences) for fences in by_camera.values())
        scored = sorted(written(lines), key=lambda line: (line["camera"], line["start"]))
        for before, after in itertools.pairwise(scored):
            assert before["camera"] != after["camera"] or after["start"] > before["end"] - SLACK, (before, after)


def make_video(folder: Path, seconds: int = 120) -> Path:
    return write_video(folder / "street.mp4", moving_pictures(seconds * FPS), fps=FPS)


def write_site(path: Path, url: str, bundle: Path, video: Path, cameras: Sequence[str], more: str = "") -> None:
    lines = [f"mqtt: {{url: {url}}}", f"bundle: {bundle}", "http: {address: off}", "self_test: 0", more, "cameras:"]
    lines += [f"  {camera}: {{url: {video}}}" for camera in cameras]
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def shards(folder: Path, site: Path, count: int, *arguments: object) -> Iterator[dict[str, Running]]:
    """So many shards by the name of their worker."""
    with ExitStack() as stack:
        found = {}
        for number in range(1, count + 1):
            flags = ("--config", site, "--shard", f"{number}/{count}", "--scores", folder / SCORES)
            found[f"shard-{number}-of-{count}"] = stack.enter_context(
                running(made(folder / str(number)), *flags, *arguments)
            )
        yield found


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def online(heard: Heard, cameras: Sequence[str]) -> None:
    until(lambda: heard.scored(cameras), 90, "scores of all cameras")
