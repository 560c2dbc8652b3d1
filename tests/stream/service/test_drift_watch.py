"""The look at histories, in a process of its own."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.service.drift_watch import EVERY, FIRST_AFTER, DriftWatch
from stream.service.processes import start_process
from stream.watch.reaper import Reaper
from tests.servers.processes import until


@pytest.mark.slow
def test_a_changed_scene_is_found_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    cameras = ["door", "yard"]
    rng, now = np.random.default_rng(0), time.time()
    with Store.open(tmp_path) as store, store.transaction():
        for camera, lately in zip(cameras, (0.1, 0.4), strict=True):
            for hour in range(6 * 24):
                began = now - 6 * 86_400 + hour * 3_600
                level = lately if hour >= 5 * 24 else 0.1
                scores = rng.normal(level, 0.02, 360).clip(0, 1).tolist()
                rows = [LoggedScore(began + 10 * i, began + 10 * i + 10, s, 32) for i, s in enumerate(scores)]
                store.scores.add(camera, pack(rows))
    watch = DriftWatch(tmp_path, start_process, Reaper(), 0.0)
    assert watch.turn(FIRST_AFTER - 1, cameras) == {}
    found: dict[str, str] = {}
    until(lambda: found.update(watch.turn(FIRST_AFTER + 1, cameras)) or found, 60, "the end of the check")
    assert found["door"] == ""
    assert "the scores have changed" in found["yard"]
    assert watch.turn(FIRST_AFTER + EVERY - 10, cameras) == {}


@pytest.mark.slow
def test_a_folder_that_is_gone_finds_nothing(tmp_path: Path) -> None:
    watch = DriftWatch(tmp_path / "gone", start_process, Reaper(), 0.0)
    watch.turn(FIRST_AFTER, ["door"])
    until(lambda: watch.turn(FIRST_AFTER, ["door"]) == {} and watch._running is None, 60, "the end of the check")


def test_a_check_that_cannot_start_waits_for_the_next(tmp_path: Path) -> None:
    tried: list[str] = []

    def no_room(_target: object, _args: object, name: str) -> Any:
        tried.append(name)
        raise OSError(errno.EMFILE, "Too many open files")

    watch = DriftWatch(tmp_path, no_room, Reaper(), 0.0)
    for now in (FIRST_AFTER, FIRST_AFTER + 1, FIRST_AFTER + EVERY):
        assert watch.turn(now, ["door"]) == {}
    assert tried == ["mgfn-drift"] * 2
