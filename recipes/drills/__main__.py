"""Damage the running service on purpose, and measure what happens: `make drills`.

    python -m recipes.drills [--short] [--again] [NAME ...]

Rows that were finished with the same code are not run again. Exit code 1 if a row fails.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import platformdirs
import pytest

from recipes.drills.drill import Drill, Findings, Ground, NotRunError
from recipes.drills.report import print_table, write_page
from recipes.drills.results import ROOT, Result, commit, load, machine, save, today
from recipes.drills.rows import DRILLS
from tests.built_once import built_in
from tests.bundles import write_tiny_bundle

JSON: Final = ROOT / "docs" / "reliability.json"
PAGE: Final = ROOT / "docs" / "reliability.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these rows only")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes for each row")
    parser.add_argument("--again", action="store_true", help="run finished rows again, too")
    given = parser.parse_args()
    known = {drill.name: drill for drill in DRILLS}
    if unknown := sorted(set(given.names) - known.keys()):
        parser.error(f"{', '.join(unknown)}: no such drill; allowed: {', '.join(known)}")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT, and so would services
        signal.signal(number, signal.default_int_handler)
    results = load(JSON)
    form, at = "short" if given.short else "long", commit()
    for drill in [known[name] for name in given.names] or DRILLS:
        before = results.get(drill.name)
        if not given.again and before is not None and _finished(before, at, form):
            continue
        print(f"{time.strftime('%H:%M:%S')} {drill.name}: {drill.row}", flush=True)
        result = run(drill, _bundle(), at, short=given.short)
        results = {**load(JSON), drill.name: result}  # another drill may have ended meanwhile
        save(JSON, results)
        write_page(PAGE, DRILLS, results)
    write_page(PAGE, DRILLS, results)
    print_table([drill for drill in DRILLS if not given.names or drill.name in given.names], results)
    wanted = [result for name, result in results.items() if not given.names or name in given.names]
    sys.exit(1 if any(result.state == "failed" for result in wanted) else 0)


def _finished(before: Result, at: str, form: str) -> bool:
    """Whether it passed in this form, or the long one, with the same code, which must be committed."""
    return before.state == "passed" and before.commit == at and "+" not in at and before.form in (form, "long")


def run(drill: Drill, bundle: Path, at: str, *, short: bool) -> Result:
    """Run one drill. What it raises is a failure, unless it says that it cannot be run here."""
    findings, began = Findings(), time.monotonic()
    state, why = "", ""
    with tempfile.TemporaryDirectory(prefix="mgfn-drill-") as folder:
        try:
            drill.run(Ground(Path(folder), bundle, short), findings)
        except (NotRunError, pytest.skip.Exception) as error:
            state, why = "not run", str(error)
        except Exception as error:  # noqa: BLE001 -- whatever went wrong, the row has failed and the next one is run
            state, why = "failed", f"{type(error).__name__}: {error}"
            for log in Path(folder).rglob("service.log"):
                print(*log.read_text().splitlines()[-20:], sep="\n", file=sys.stderr)
    if not state:
        failed = [figure.name for figure in findings.figures if not figure.passed]
        state, why = ("failed", ", ".join(failed)) if failed else ("passed", "")
    form = "short" if short else "long"
    seconds = round(time.monotonic() - began, 1)
    return Result(drill.name, state, why, tuple(findings.figures), form, seconds, today(), at, machine())


def _bundle() -> Path:
    kept = Path(platformdirs.user_cache_dir("mgfn-stream")) / "drills"
    kept.mkdir(parents=True, exist_ok=True)
    return built_in(kept, "tiny", lambda folder: write_tiny_bundle(folder, all_forms=True))


if __name__ == "__main__":
    main()
