"""Rows whose harm is done by tests of the suite: the drill runs these tests, which hold their own bounds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from recipes.drills.drill import Findings, Ground
from recipes.drills.results import ROOT


def by(*tests: str) -> Callable[[Ground, Findings], None]:
    """A drill that passes if these tests do; one that is skipped is named."""

    def run(_ground: Ground, findings: Findings) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-rs", *tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        last = done.stdout.strip().splitlines()[-1]
        counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
        findings.note("tests passed", counts.get("passed", 0))
        findings.same("tests failed", counts.get("failed", 0) + counts.get("error", 0), 0)
        findings.same("tests skipped", counts.get("skipped", 0), 0)
        for line in done.stdout.splitlines():
            if line.startswith(("SKIPPED", "FAILED")):
                findings.note(line.partition(" ")[0].lower(), line.partition(" ")[2][:200].replace("|", "/"))

    return run
