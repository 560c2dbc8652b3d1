"""One row of the table: a function that does harm, and the figures it measured against their bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class NotRunError(Exception):
    """The drill cannot be run here; the message says why."""


@dataclass(frozen=True)
class Figure:
    """One measured value; `bound` is "" for what is only reported."""

    name: str
    value: str
    bound: str = ""
    passed: bool = True


@dataclass
class Findings:
    """Collects the figures of a drill."""

    figures: list[Figure] = field(default_factory=list)

    def most(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """`value` must be at most `bound`."""
        self.figures.append(Figure(name, _shown(value, unit), f"<= {_shown(bound, unit)}", value <= bound))

    def least(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """`value` must be at least `bound`."""
        self.figures.append(Figure(name, _shown(value, unit), f">= {_shown(bound, unit)}", value >= bound))

    def same(self, name: str, value: object, expected: object) -> None:
        """`value` must be `expected`."""
        self.figures.append(Figure(name, str(value), str(expected), value == expected))

    def note(self, name: str, value: object) -> None:
        """A value without a bound."""
        self.figures.append(Figure(name, str(value)))


@dataclass(frozen=True)
class Ground:
    """Where a drill runs: an empty folder, a bundle of tiny models, and whether the short form is wanted."""

    folder: Path
    bundle: Path
    short: bool

    def folder_for(self, name: str) -> Path:
        """A new folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder


@dataclass(frozen=True)
class Drill:
    """`name` is what `DRILL=` selects, `row` the line of the table. `run` raises AssertionError if it gets stuck."""

    name: str
    row: str
    run: Callable[[Ground, Findings], None]


def _shown(value: float, unit: str) -> str:
    number = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    return f"{number} {unit}".strip()
