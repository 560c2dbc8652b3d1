"""A server that answers RTSP requests as told: what no real camera can be made to do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[bytes], Iterator[bytes]]  # the pieces of the answer to a request


def described(body: bytes, length: int | None = None) -> Answer:
    """Answers DESCRIBE with a session description, which pretends to have `length` bytes."""

    def answer(request: bytes) -> Iterator[bytes]:
        if request.startswith(b"DESCRIBE"):
            length_said = len(body) if length is None else length
            yield b"RTSP/1.0 200 OK\r\nCSEQ\r\nContent-Type: application/sdp\r\n"
            yield b"Content-Length: %d\r\n\r\n" % length_said
            yield body
        else:
            yield b"RTSP/1.0 200 OK\r\nCSEQ\r\nPublic: DESCRIBE, SETUP, PLAY\r\nSession: 1\r\n\r\n"

    return answer


def redirecting(location: str) -> Answer:
    """Sends everybody elsewhere."""
    return lambda _request: iter([b"RTSP/1.0 302 Moved\r\nCSEQ\r\nLocation: %s\r\n\r\n" % location.encode()])


@contextmanager
def answering(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of the server. `CSEQ` in an answer stands for the number of the request."""
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    clients.append(listener.accept()[0])
                    threading.Thread(target=converse, args=(clients[-1],), daemon=True).start()

        def converse(client: socket.socket) -> None:
            with suppress(OSError), client if tls is None else tls.wrap_socket(client, server_side=True) as line:
                while request := line.recv(8_192):
                    sequence = next((x for x in request.split(b"\r\n") if x.startswith(b"CSeq")), b"CSeq: 1")
                    for piece in answer(request):
                        line.sendall(piece.replace(b"CSEQ", sequence))

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for client in clients:
                client.close()
