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
        # when it was last changed before, who, on which page, when
        self._accepted: dict[tuple[str, str], tuple[float, str, str, float]] = {}

    def take(self, camera: str, what: str, seen: float | None, person: Person, page: str = "") -> None:
        """Raises HTTPException 409 if `what` was changed after the change at epoch time `seen`, by somebody else or on
        another `page`: whoever changes their mind within a second has seen their own change.

        0: no change was seen; None: whatever is in force shall be overwritten.
        """
        last = self._changes(camera).get(what)
        at = 0.0 if last is None else float(last["at"])
        now = time.monotonic()
        with self._lock:
            before, who, by_page, when = self._accepted.get((camera, what), (0.0, "", "", 0.0))
            own = bool(when) and (who, by_page) == (person.name, page)
            own = own and (last is None or before == at or (last["who"], last["via"]) == (who, "page"))
            on_its_way = when and before == at and now - when < _TAKES  # accepted, and not in the state yet
            if seen is not None and on_its_way and not own:
                raise HTTPException(409, f"{what}: {who} has just changed it; nothing was changed by you")
            if seen is not None and last is not None and seen != at and not own:
                whose = last["who"] or last["via"]
                raise HTTPException(
                    409, f"{what}: {whose} has set it to {last['value']} meanwhile; nothing was changed by you"
                )
            self._accepted[camera, what] = (at, person.name, page, now)
