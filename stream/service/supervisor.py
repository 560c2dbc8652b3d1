"""What systemd is told of a service of Type=notify: ready, alive, stopping. Nothing where systemd did not start it."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

_ALIVE_EVERY: Final = 5.0


class Supervisor:
    """Speaks to the socket named in the environment (sd_notify(3)); a dead one costs nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._next_alive = 0.0

    def ready(self) -> None:
        self._say("READY=1")

    def alive(self) -> None:
        """Feeds the watchdog; called by the loop as often as it turns."""
        now = time.monotonic()
        if self._address and now >= self._next_alive:
            self._next_alive = now + _ALIVE_EVERY
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # a leading @ stands for the abstract namespace's zero byte
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(text.encode(), address)
            except OSError:
                return
