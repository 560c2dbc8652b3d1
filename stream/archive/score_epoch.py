"""Which stored scores and thresholds of a camera may be compared.

Scores of one bundle form an epoch. A threshold belongs to a scale: `raw` scores are those of the head itself, as in
every release before November 2026; `calibrated` scores compare the camera with its own history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

from stream.alarm.requests import AUTO

Scale = Literal["raw", "calibrated"]


@dataclass(frozen=True)
class ScoreEpoch:
    """Scores since `since` (epoch seconds) come from `bundle` (SHA-256)."""

    bundle: str
    scale: Scale
    since: float

    def as_text(self) -> str:
        """For the data folder; `kept` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def kept(cls, settings: Mapping[str, str]) -> Self | None:
        """From a camera's stored settings; None if no release since November 2026 has watched it."""
        return cls(**json.loads(settings["epoch"])) if "epoch" in settings else None


def next_epoch(settings: Mapping[str, str], bundle: str, scale: Scale, now: float) -> ScoreEpoch:
    """The epoch that a run with `bundle` belongs to, given a camera's stored settings; `now` in epoch seconds.

    Earlier releases stored no epoch. What they stored of the scene names the bundle.
    """
    kept = ScoreEpoch.kept(settings)
    if kept is not None:
        return kept if (kept.bundle, kept.scale) == (bundle, scale) else ScoreEpoch(bundle, scale, now)
    same = settings.get("scene", "").partition(" ")[0] == bundle
    return ScoreEpoch(bundle, scale, 0.0 if same or "alarm" not in settings else now)


def kept_threshold(settings: Mapping[str, str], scale: Scale) -> str | None:
    """The stored threshold, a number or `auto`, if it applies to scores on `scale`."""
    threshold = settings.get("threshold")
    return threshold if threshold == AUTO or settings.get("threshold_scale", "raw") == scale else None
