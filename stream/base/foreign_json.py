"""JSON that others have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn


def foreign_json(text: str | bytes, *, finite: bool = False) -> Any:
    """What `text` says. `finite` refuses NaN and infinities, which are no JSON.

    Raises ValueError for anything that cannot be read: `json.loads` raises RecursionError for a text of few kilobytes
    that is nested deeply enough, which would end the thread that receives it.
    """
    try:
        return json.loads(text, parse_constant=_refused if finite else _any_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_any_constant: Callable[[str], float] = float
