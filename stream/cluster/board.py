"""What the thread of the leases and the others of an instance tell each other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Board:
    """Each field is replaced as a whole, never changed in place, except under `lock`.

    Written by the thread of the leases:

    open: leases in force, by key; until: how long they are certain (seconds since boot);
    lapsed: the last time until which they were certain before they could be renewed again.
    leaving, orphans: see `stream.watch.custody.Leases`. watch: cameras that are ours, or become ours.
    fault: why this instance must end. standing: what it tells people of itself.

    Written by the loop:

    ready, delivers: cameras that deliver clips, silent ones and ours.
    """

    open: Mapping[str, int] = field(default_factory=dict)
    until: float = float("-inf")
    lapsed: float = float("-inf")
    leaving: frozenset[str] = frozenset()
    orphans: frozenset[str] = frozenset()
    watch: frozenset[str] = frozenset()
    fault: str = ""
    standing: Mapping[str, Any] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()
    delivers: frozenset[str] = frozenset()
    loaded: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    to_save: dict[str, bytes] = field(default_factory=dict)
    let_go: dict[str, bytes | None] = field(default_factory=dict)

    def take_let_go(self) -> dict[str, bytes | None]:
        """Cameras that the loop has given up since the last call."""
        with self.lock:
            found, self.let_go = self.let_go, {}
            return found

    def take_to_save(self, most: int) -> dict[str, bytes]:
        """Checkpoints to save, at most so many, oldest first."""
        with self.lock:
            names = list(self.to_save)[:most]
            return {name: self.to_save.pop(name) for name in names}
