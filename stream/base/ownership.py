"""Which cameras this instance may speak for, if several instances share them (docs/cluster.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SITE: Final = ""  # what belongs to the site as a whole, in place of a camera's name
Settings = Mapping[str, str]  # of one camera, as the store keeps them


class Ownership:
    """An instance that is alone: it may speak for everything, and its messages carry no `fence`.

    `stream.cluster.leases` has the other one. All methods return at once, and are safe in any thread.
    """

    worker: str | None = None  # name of this instance among those that share the cameras
    names: tuple[str, ...] = ()  # all cameras of the site, whoever owns them

    def fence(self, _name: str) -> int | None:
        """The number of our lease on a camera, on `SITE`, or (any other name) on our own name; None: not ours now."""
        return None

    def speaks(self, _name: str, _fence: int | None) -> bool:
        """Whether the lease with this number is in force at this moment."""
        return True

    def sends(self, _opened: float) -> bool:
        """Whether a connection that was opened then (seconds since boot) may send what waits in it. It may not if the
        leases lapsed in between: what was queued before must not follow.
        """
        return True


ALONE: Final = Ownership()


def fenced(payload: Mapping[str, Any], fence: int | None) -> dict[str, Any]:
    """The payload with its `fence`, if there is one."""
    return dict(payload) if fence is None else {**payload, "fence": fence}
