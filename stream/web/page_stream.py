"""What open pages are told as it happens: one ring of messages that every page reads at its own pace.

The scoring loop and the journal's thread write and never wait. A page that reads slowly, or not at all, misses the
oldest messages and is told so; it costs nobody else anything.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

KEPT: Final = 2_048
Kind = Literal["score", "event"]


class Live:
    """The ring. Messages are text as server-sent events carry it, numbered from 1."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._messages: deque[str] = deque(maxlen=kept)
        self._newest = 0
        self.closed = False

    @property
    def newest(self) -> int:
        """Number of the newest message; a new reader begins after it."""
        return self._newest

    def tell(self, kind: Kind, content: Mapping[str, Any]) -> None:
        """Say something to every page; from any thread."""
        text = f"event: {kind}\ndata: {json.dumps(content)}\n\n"
        with self._lock:
            self._messages.append(text)
            self._newest += 1

    def since(self, number: int) -> tuple[list[str], int, int]:
        """Messages after `number`, the newest one's number, and how many of them are gone."""
        with self._lock:
            missing = self._newest - number
            kept = min(missing, len(self._messages))
            found = [self._messages[i] for i in range(len(self._messages) - kept, len(self._messages))]
            return found, self._newest, missing - kept

    def close(self) -> None:
        """Streams end soon after."""
        self.closed = True
