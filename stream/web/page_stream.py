"""Live messages for open pages: one ring buffer that every page reads at its own pace.

The scoring loop and the journal's thread write without waiting. A page that reads slowly, or not at all, misses the
oldest messages and is told so; other pages are not affected.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

KEPT: Final = 2_048
Kind = Literal["score", "event", "verdict"]


class Live:
    """The ring buffer. Messages are text in the format of server-sent events, numbered from 1."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._messages: deque[tuple[str, str]] = deque(maxlen=kept)  # camera, text
        self._newest = 0
        self.closed = False
        self.watchers = 0  # open live images

    @property
    def newest(self) -> int:
        """The number of the newest message; a new reader begins after it."""
        return self._newest

    def tell(self, kind: Kind, content: Mapping[str, Any]) -> None:
        """Send a message to every page. Thread-safe."""
        text = f"event: {kind}\ndata: {json.dumps(content)}\n\n"
        with self._lock:
            self._messages.append((str(content.get("camera", "")), text))
            self._newest += 1

    def since(self, number: int, sees: Callable[[str], bool] = lambda _camera: True) -> tuple[list[str], int, int]:
        """The messages after `number` of the cameras that somebody `sees`, the newest number, and how many messages
        were missed.
        """
        with self._lock:
            missing = self._newest - number
            kept = min(missing, len(self._messages))
            found = [self._messages[i] for i in range(len(self._messages) - kept, len(self._messages))]
            return [text for camera, text in found if sees(camera)], self._newest, missing - kept

    def close(self) -> None:
        """Make the streams end soon."""
        self.closed = True
