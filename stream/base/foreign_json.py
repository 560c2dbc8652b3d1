"""JSON that others have written."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


def foreign_json(text: str | bytes, *, finite: bool = False) -> Any:
    """What `text` says. `finite` refuses NaN, infinities and numbers that are too large for a float (`1e999`).

    Raises ValueError for anything that cannot be read: `json.loads` raises RecursionError for a text of few kilobytes
    that is nested deeply enough, which would end the thread that receives it.
    """
    try:
        number = _finite if finite else float
        return json.loads(text, parse_constant=number, parse_float=number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(text: str) -> float:
    if not isfinite(found := float(text)):
        raise ValueError(f"{text} is no finite number")
    return found
