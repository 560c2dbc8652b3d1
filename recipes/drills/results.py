"""Results of drills, kept as JSON: a row is run again only if the code has changed."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from configs.atomic import write_file
from recipes.drills.drill import Figure

ROOT: Final = Path(__file__).resolve().parents[2]
_CODE: Final = ("stream", "engine", "configs", "recipes/drills", "tests/servers")


@dataclass(frozen=True)
class Result:
    """The outcome of one drill. `state`: passed, failed or not run; `why` is for the last two."""

    name: str
    state: str
    why: str
    figures: tuple[Figure, ...]
    form: str
    seconds: float
    date: str
    commit: str
    machine: str


def commit() -> str:
    """The last commit that changed the code which the drills test; marked if the working tree differs from it."""
    last = _git("log", "-1", "--format=%h", "--", *_CODE)
    return last + ("+" if _git("status", "--porcelain", "--", *_CODE) else "")


def machine() -> str:
    """Processor, cores and memory of this machine."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def today() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def load(path: Path) -> dict[str, Result]:
    """What was found earlier, by name."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    return {
        row["name"]: Result(**{**row, "figures": tuple(Figure(**figure) for figure in row["figures"])}) for row in found
    }


def save(path: Path, results: dict[str, Result]) -> None:
    rows = [asdict(result) for result in results.values()]
    write_file(path, (json.dumps(rows, indent=1) + "\n").encode())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip()
