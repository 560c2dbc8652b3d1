"""What the next owner of a camera gets from the last one. It comes from the broker, where others may write, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Literal, Self

from stream.alarm.requests import AUTO
from stream.base.ownership import Settings

_NONE: Final = -1  # lower than any fence


@dataclass(frozen=True)
class Checkpoint:
    """`fence`: of the owner that wrote it. `window`: as `ClipWindow.to_json` gives it. `until`: the epoch time at which
    its last clip ends. `picture`: when the image that the broker retains was taken, None if there is none.
    """

    fence: int = _NONE
    bundle: str = ""
    settings: Settings = field(default_factory=dict)
    window: Mapping[str, Any] | None = None
    until: float = 0.0
    picture: float | Literal["unknown"] | None = "unknown"

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Raises ValueError for anything that a service did not write."""
        fence, bundle, window = told.get("fence"), told.get("bundle"), told.get("window")
        settings: Any = told.get("settings")
        try:
            until = 0.0 if window is None else float(window["times"][-1][1])
            picture = _picture(told.get("picture", "unknown"))
            _check(settings)
        except (TypeError, KeyError, IndexError, AttributeError, OverflowError):
            raise ValueError("not a checkpoint") from None
        if type(fence) is not int or not isinstance(bundle, str) or not isfinite(until):
            raise ValueError("not a checkpoint")
        return cls(fence, bundle, settings, window, until, picture)


def _check(settings: Any) -> None:
    if not all(isinstance(text, str) for item in settings.items() for text in item):
        raise ValueError("not settings")
    if (threshold := settings.get("threshold", AUTO)) != AUTO and not 0 <= float(threshold) <= 1:
        raise ValueError("not a threshold")
    if "snooze" in settings:
        ends_at, length = map(float, settings["snooze"].split())
        if not isfinite(ends_at) or not isfinite(length):
            raise ValueError("not a snooze")


def _picture(told: object) -> float | Literal["unknown"] | None:
    if told is None:
        return None
    return float(told) if isinstance(told, int | float) and isfinite(told) else "unknown"
