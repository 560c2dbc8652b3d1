"""Two operators who change one thing: the second is refused until they have seen what is in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import HTTPException

from stream.base.people import Person

_TAKES: Final = 10.0  # seconds in which an accepted command has reached the state


class Turns:
    """`changes` gives the last change of each thing of a camera ("" for the site), as in the state. Thread-safe."""

    def __init__(self, changes: Callable[[str], Mapping[str, Any]]) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._accepted: dict[tuple[str, str], tuple[float, str, float]] = {}  # seen by, who, when

    def take(self, camera: str, what: str, seen: float | None, person: Person) -> None:
        """Raises HTTPException 409 if `what` was changed after the change at epoch time `seen`.

        0: no change was seen; None: whatever is in force shall be overwritten.
        """
        last = self._changes(camera).get(what)
        at = 0.0 if last is None else float(last["at"])
        now = time.monotonic()
        with self._lock:
            before, who, when = self._accepted.get((camera, what), (0.0, "", 0.0))
            on_its_way = when and before == at and now - when < _TAKES  # accepted, and not in the state yet
            if seen is not None and on_its_way:
                raise HTTPException(409, f"{what}: {who} has just changed it; nothing was changed by you")
            if seen is not None and last is not None and seen != at:
                whose = last["who"] or last["via"]
                raise HTTPException(
                    409, f"{what}: {whose} has set it to {last['value']} meanwhile; nothing was changed by you"
                )
            self._accepted[camera, what] = (at, person.name, now)
