"""`mgfn-eval tables`: rows beside the published figures, resumed after an interruption, on own data by source."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mgfn.evaluation.own_data import FOLDS, read_own
from mgfn.evaluation.rows import ROWS, Budget, TableProtocol
from mgfn.training.config import ProblemsError
from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.own import own_data
from tests.mgfn.evaluation.test_benchmark_command import Page


@pytest.fixture
def own(tmp_path: Path) -> list[object]:
    return ["tables", *own_data(tmp_path), "--out", tmp_path / "out"]


def test_every_published_row_is_there() -> None:
    titles = {row.name for row in ROWS}
    assert len(titles) == len(ROWS) == 24
    for row in ROWS:
        if row.preset is None:
            assert row.note
            continue
        for protocol in TableProtocol:
            config = row.config(protocol, 3, Budget(steps=7, videos=4, parts=16))
            assert (config.seed, config.steps, config.videos, config.data.parts, config.select) == (3, 7, 4, 16, "last")
    mgfn = next(row for row in ROWS if row.name == "mgfn")
    assert (mgfn.published(TableProtocol.XD_VIOLENCE), mgfn.published(TableProtocol.OWN)) == (79.19, 86.98)


def test_folds_are_disjoint_by_source_and_cover_all(tmp_path: Path, own: list[object]) -> None:
    data = read_own(tmp_path / "own.csv", tmp_path / "features", 25.0)
    tested = []
    for seed in range(FOLDS):
        train, test = data.split(seed)
        sides = [{data.sources[video.name] for video in side} for side in (train, test)]
        assert not sides[0] & sides[1]
        tested += [video.name for video in test]
    assert sorted(tested) == sorted(data.sources)
    assert np.flatnonzero(data.truth["v01"]).tolist() == list(range(64, 128))


@pytest.mark.slow
def test_a_table_and_its_continuation(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], own: list[object]
) -> None:
    """Two processes, then the same command in one process after a run was lost: the same figures."""
    flags = [*own, "--rows", "svm,sacr,gods", "--seeds", "2", "--steps", "30"]
    assert run(*flags, "--processes", "2") == 0
    out, err = capsys.readouterr()
    assert "4 runs, 0 of them finished earlier" in err
    table = (tmp_path / "out" / "tables.md").read_text()
    assert table.strip() in out
    svm = next(line for line in table.splitlines() if line.startswith("| linear SVM"))
    cells = [cell.strip() for cell in svm.split("|")[1:-1]]
    assert (cells[1], cells[4], cells[7]) == ("50.00", "2", "yes")
    assert float(cells[2].split()[0]) > 90
    assert "| SACR (2020) | 72.70 | – | – | 0 | – | – | – | needs a graph of detected objects; published" in table
    assert not Page((tmp_path / "out" / "tables.html").read_text()).open
    lost = next((tmp_path / "out" / "runs").glob("gods-1-*"))
    shutil.rmtree(lost)
    assert run(*flags) == 0
    assert "4 runs, 3 of them finished earlier" in capsys.readouterr().err
    again = (tmp_path / "out" / "tables.md").read_text()
    figures = [[line.split("|")[1:4] for line in text.splitlines() if "|" in line] for text in (table, again)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--rows", "svm,lstm"], "--rows lstm: unknown; allowed: svm, ssvdd"),
        (["--protocol", "ufc"], "--protocol ufc: must be one of ucf-crime, xd-violence, own"),
        (["--protocol", "ucf-crime"], "needs --test-labels and --ground-truth"),
        (["--ground-truth", "a.json"], "not with --protocol own"),
        (["--cluster", "local", "--processes", "2"], "--processes: not with --cluster"),
    ],
)
def test_wrong_use(
    run: Run, capsys: pytest.CaptureFixture[str], own: list[object], flags: list[str], says: str
) -> None:
    assert run(*own, *flags) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("v00,place0,5,3", "start '5', end '3'"),
        ("v00,place9,,", "v00 has source place9, before place0"),
        ("v99,place0,,", "v99.npy: No such file"),
        ("v00,,,", "file and source must not be empty"),
    ],
)
def test_wrong_labels(tmp_path: Path, own: list[object], line: str, says: str) -> None:
    labels = tmp_path / "own.csv"
    labels.write_text(labels.read_text() + "\n" + line)
    with pytest.raises(ProblemsError, match=says):
        read_own(labels, tmp_path / "features", 25.0)


def test_a_missing_column(tmp_path: Path, own: list[object]) -> None:
    (tmp_path / "own.csv").write_text("file,start,end\nv00,,\n")
    with pytest.raises(ProblemsError, match="column source is missing; columns: file,source,start,end"):
        read_own(tmp_path / "own.csv", tmp_path / "features", 25.0)
