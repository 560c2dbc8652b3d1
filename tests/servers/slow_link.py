"""A network that is slow and breaks, between a client and a real server: a TCP proxy with a bottleneck one way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers.processes import free_port

_CHUNK = 512
_BUFFER = 4_096  # what a bottleneck holds, as far as the operating system obeys


class SlowLink:
    """Listens on `port`; what clients send goes on at `rate` bytes a second (None: at once), what they get at once."""

    def __init__(self, server: int, rate: float | None) -> None:
        self.port = free_port()
        self.rate = rate
        self.sent = 0  # bytes that clients have sent through
        self.connections = 0
        self._server = server
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closed = False
        self._turn = threading.Lock()  # all connections share the bottleneck

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[SlowLink]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            self._closed = True
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self.cut()
            accepting.join(10)

    def cut(self) -> None:
        """Break every connection; what is on its way is lost."""
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                if self._closed:
                    return
                client.close()
                continue
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK if slowly else 65_536):
                if slowly and not self._pass(len(data), source):
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass(self, size: int, source: socket.socket) -> bool:
        """Wait until the bottleneck has let so many bytes through; returns False if their connection was cut."""
        with self._turn:
            self.sent += size
            began = time.monotonic()
            while self.rate is not None and source.fileno() >= 0:
                left = began + size / self.rate - time.monotonic()
                if left <= 0:
                    return True
                time.sleep(min(left, 0.02))
            return source.fileno() >= 0
