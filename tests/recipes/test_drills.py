"""The short form of the most valuable drills; `make drills` runs the long form of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.drills.__main__ import run
from recipes.drills.drill import Drill, Figure, Findings, Ground, NotRunError
from recipes.drills.report import write_page
from recipes.drills.results import Result, load, save
from recipes.drills.rows import DRILLS, SHORT


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_the_short_form_passes(tiny_bundle: Path, name: str) -> None:
    (drill,) = [drill for drill in DRILLS if drill.name == name]
    result = run(drill, tiny_bundle, "commit", short=True)
    if result.state == "not run":
        pytest.skip(result.why)
    assert result.state == "passed", (result.why, [figure for figure in result.figures if not figure.passed])


def _result(run_it: object, tmp_path: Path) -> Result:
    return run(Drill("a", "something breaks", run_it), tmp_path, "commit", short=True)  # type: ignore[arg-type]


def test_a_row_passes_fails_gets_stuck_or_cannot_be_run(tmp_path: Path) -> None:
    def passes(ground: Ground, findings: Findings) -> None:
        assert ground.short
        findings.most("took", 1.234, 2.0, "s")
        findings.note("memory", "12 MiB")

    def fails(_ground: Ground, findings: Findings) -> None:
        findings.most("took", 2.5, 2.0, "s")
        findings.least("received", 600, 600)
        findings.same("crashes", 1, 0)

    def stuck(_ground: Ground, _findings: Findings) -> None:
        raise AssertionError("the camera did not come true within 60 s")

    def impossible(_ground: Ground, _findings: Findings) -> None:
        raise NotRunError("needs root")

    found = [_result(each, tmp_path) for each in (passes, fails, stuck, impossible)]
    assert [each.state for each in found] == ["passed", "failed", "failed", "not run"]
    assert found[0].figures == (Figure("took", "1.23 s", "<= 2 s"), Figure("memory", "12 MiB"))
    assert found[1].why == "took, crashes"
    assert "did not come true" in found[2].why
    assert found[3].why == "needs root"


def test_results_are_kept_and_the_page_names_what_was_not_run(tmp_path: Path) -> None:
    figures = (Figure("took", "2.5 s", "<= 2 s", passed=False),)
    result = Result(DRILLS[0].name, "failed", "took", figures, "long", 600.0, "2026-11-29", "abc1234", "a machine")
    save(tmp_path / "r.json", {result.name: result})
    assert load(tmp_path / "r.json") == {result.name: result}
    write_page(tmp_path / "r.md", DRILLS, {result.name: result})
    page = (tmp_path / "r.md").read_text()
    assert "| took | 2.5 s | <= 2 s | failed |" in page
    assert page.count("not run") >= len(DRILLS) - 1
    assert all(f"`{drill.name}`" in page for drill in DRILLS)
    assert set(SHORT) <= {drill.name for drill in DRILLS}


def test_no_results_yet(tmp_path: Path) -> None:
    assert load(tmp_path / "nothing.json") == {}
