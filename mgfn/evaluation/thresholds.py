"""The alarm threshold of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mgfn.evaluation.videos import EvaluationError


def alarm_threshold(given: float | None, head: Path, texts: Mapping[str, str]) -> tuple[float, str]:
    """The threshold and where it is from: the flag, or the texts of the checkpoint. Raises EvaluationError."""
    if given is not None:
        if not 0 <= given <= 1:
            raise EvaluationError(f"--threshold {given}: must be from 0 to 1")
        return given, "--threshold"
    if (text := texts.get("threshold_on")) is None:
        return 0.5, "default; the checkpoint has none"
    try:
        return float(text), "from the checkpoint"
    except ValueError:
        raise EvaluationError(f"--head {head}: threshold_on {text!r} is not a number; use --threshold") from None
