"""Calls in processes, and a cluster that cannot be used because its library is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from configs.mapping import MapperError, Processes, cluster_mapper
from mgfn.evaluation import cli as evaluation
from stream.extract import cli as extraction
from tests.mgfn.evaluation.own import own_data


def square(number: int) -> tuple[int, int]:
    if number < 0:
        raise ValueError(str(number))
    return number**2, os.getpid()


@pytest.mark.slow
def test_calls_in_processes_give_every_result_and_raise_what_the_work_raises() -> None:
    results = {item: result for item, result in Processes(2).map(square, [1, 2, 3]) if isinstance(result, tuple)}
    assert {item: result[0] for item, result in results.items()} == {1: 1, 2: 4, 3: 9}
    assert os.getpid() not in {result[1] for result in results.values()}
    with pytest.raises(ValueError, match="-1"):
        list(Processes(2).map(square, [1, -1, 2]))


def test_one_process_is_this_one() -> None:
    assert list(Processes(1).map(square, [2, 3])) == [(2, (4, os.getpid())), (3, (9, os.getpid()))]


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stream.cluster.mapper", "stream.cluster.ray_connection"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.usefixtures("without_ray")
def test_a_cluster_without_its_library() -> None:
    with pytest.raises(MapperError, match=r"Ray is not installed; run: pip install 'mgfn-stream\[cluster\]'"):
        cluster_mapper("local")


@pytest.mark.usefixtures("without_ray")
def test_both_commands_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").touch()
    table = ["tables", *own_data(tmp_path), "--out", tmp_path / "table", "--rows", "svm"]
    for main, flags in ((extraction.main, [tmp_path, "--out", tmp_path / "out"]), (evaluation.main, table)):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, flags), "--cluster", "local"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == "command: --cluster: Ray is not installed; run: pip install 'mgfn-stream[cluster]'"
    assert not (tmp_path / "out").exists()
