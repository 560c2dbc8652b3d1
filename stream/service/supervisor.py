"""Notifies systemd (Type=notify): ready, alive, stopping. Does nothing if systemd did not start the service."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

_ALIVE_EVERY: Final = 5.0


class Supervisor:
    """Sends to the socket named in the environment (sd_notify(3)); errors are ignored."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._next_alive = 0.0

    def ready(self) -> None:
        self._say("READY=1")

    def alive(self) -> None:
        """Feed the watchdog; called on every turn of the loop."""
        now = time.monotonic()
        if self._address and now >= self._next_alive:
            self._next_alive = now + _ALIVE_EVERY
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # a leading @ means the zero byte of the abstract namespace
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(text.encode(), address)
            except OSError:
                return
