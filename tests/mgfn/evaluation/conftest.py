"""`mgfn-eval` as a user calls it, on a head whose scores are known."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mgfn.evaluation import cli
from tests.mgfn.evaluation.known import UCF, UCF_TRUTH, known_head, write_intervals, write_videos

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`mgfn-eval ARGUMENTS` in this process; gives its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["mgfn-eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code

    before = signal.getsignal(signal.SIGTERM)
    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return known_head(tmp_path / "head.safetensors")


@pytest.fixture
def ucf(tmp_path: Path, head: Path) -> list[object]:
    """Flags of a benchmark on three composed videos of ten crops."""
    listed = write_videos(tmp_path / "features", UCF, crops=10)
    truth = write_intervals(tmp_path / "truth.json", UCF_TRUTH)
    return ["--head", head, "--list", listed, "--ground-truth", truth]
