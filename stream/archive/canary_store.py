"""What a live bundle and its canary made of the same clips: one row for each camera and some minutes."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

Alarm = tuple[float, float, float]
"""When it began and ended, in epoch seconds, and its top score."""


@dataclass(frozen=True)
class Pairs:
    """Sums over the clips that both bundles scored, with `live` and `canary` scores in [0, 1].

    apart: the sum of the differences; furthest: the largest one, of the clip that began at epoch time `furthest_at`.
    """

    clips: int = 0
    live: float = 0.0
    canary: float = 0.0
    live_squares: float = 0.0
    canary_squares: float = 0.0
    products: float = 0.0
    apart: float = 0.0
    furthest: float = 0.0
    furthest_at: float | None = None

    @classmethod
    def of(cls, live: float, canary: float, at: float) -> Self:
        """One clip, that began at epoch time `at`."""
        apart = abs(live - canary)
        return cls(1, live, canary, live * live, canary * canary, live * canary, apart, apart, at)

    def __add__(self, other: Pairs) -> Pairs:
        top = other if self.furthest_at is None or other.furthest > self.furthest else self
        ours, theirs = asdict(self), asdict(other)
        sums = Pairs(**{name: value + theirs[name] for name, value in ours.items() if name != "furthest_at"})
        return replace(sums, furthest=top.furthest, furthest_at=top.furthest_at)

    @property
    def mean_difference(self) -> float | None:
        """None without clips."""
        return self.apart / self.clips if self.clips else None

    @property
    def correlation(self) -> float | None:
        """Pearson's, -1 to 1; None where the scores of either bundle do not vary."""
        live = self.clips * self.live_squares - self.live**2
        canary = self.clips * self.canary_squares - self.canary**2
        if min(live, canary) <= 1e-9 * self.clips**2:
            return None
        together = self.clips * self.products - self.live * self.canary
        return max(-1.0, min(1.0, together / math.sqrt(live * canary)))


@dataclass(frozen=True)
class CanarySpan:
    """One camera, from epoch time `start` to `end`.

    live, canary: names of the bundles; live_sha256, canary_sha256: their hashes.
    pairs: of the clips for which both bundles had a window of the same length.
    scored, skipped: clips of the live bundle that the canary scored, or could not; `gaps` is when the latter were.
    seconds: length of the scored clips together.
    alarms: what the canary would have raised. One that is open at the end is in the next span, too, and begins there at
        the same time.
    learning: whether the canary still learns the camera's threshold.
    fault: why the canary stopped, "" while it goes on.
    """

    camera: str
    start: float
    end: float
    live: str
    live_sha256: str
    canary: str
    canary_sha256: str
    pairs: Pairs = Pairs()
    scored: int = 0
    skipped: int = 0
    seconds: float = 0.0
    alarms: tuple[Alarm, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    learning: bool = False
    fault: str = ""

    @property
    def bundles(self) -> tuple[str, str]:
        """The hashes of both; only spans of the same two can be compared."""
        return self.live_sha256, self.canary_sha256

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `asdict` made."""
        tuples = {name: tuple(tuple(each) for each in kept[name]) for name in ("alarms", "gaps")}
        return cls(**{**kept, **tuples, "pairs": Pairs(**kept["pairs"])})


class CanaryStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, span: CanarySpan, age_from: float) -> None:
        """Store a span, whose age counts from that steady time."""
        row = (span.start, span.end, span.camera, json.dumps(asdict(span)), age_from)
        self._database.execute("INSERT OR REPLACE INTO canary VALUES (?, ?, ?, ?, ?)", row)

    def spans(self, since: float, camera: str | None = None) -> list[CanarySpan]:
        """Spans that ended after that epoch time, oldest first; `camera` None: of all."""
        if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'canary'").fetchone():
            return []  # no version that keeps it has run yet
        rows = self._database.execute(
            "SELECT span FROM canary WHERE end > ? AND camera = coalesce(?, camera) ORDER BY start", (since, camera)
        )
        return [CanarySpan.from_json(json.loads(text)) for (text,) in rows]

    def erase(self, camera: str, begin: float, end: float) -> None:
        """Delete spans of which a part lies between these epoch times."""
        self._database.execute("DELETE FROM canary WHERE camera = ? AND start < ? AND end > ?", (camera, end, begin))

    def forget(self, before: float, own: Mapping[str, float]) -> None:
        """Delete spans whose age counts from before that steady time, for some cameras their `own` one."""
        for camera, until in own.items():
            self._database.execute("DELETE FROM canary WHERE camera = ? AND age_from < ?", (camera, until))
        others = f"camera NOT IN ({','.join('?' * len(own))})"
        self._database.execute(f"DELETE FROM canary WHERE age_from < ? AND {others}", (before, *own))  # noqa: S608 -- ours
