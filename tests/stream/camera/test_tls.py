"""An rtsps:// camera proves itself by a certificate of our authority, for its host, valid today."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stream.base.addresses import CameraTls, Source
from stream.base.errors import CameraError
from stream.camera.capture import Capture
from tests.servers.certificates import Authority

pytestmark = pytest.mark.slow


@contextmanager
def camera(certificate: Path, key: Path, clients: Path | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a camera that ends each connection after its first request, and the requests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), client, context.wrap_socket(client, server_side=True) as line:
                    if request := line.recv(500):
                        asked.append(request)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1]), asked
        listener.shutdown(socket.SHUT_RDWR)


def test_only_the_right_certificate_gets_a_request(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    client = ours.issue("client")
    foreign = others.issue("client")
    right = ours.issue("right")
    for name, (certificate, key), tls, clients, answered in (
        ("right", right, CameraTls(ours.ca), None, True),
        ("itself", right, CameraTls(right[0]), None, True),
        ("not asked for", others.issue("any"), None, None, True),
        ("authority", right, CameraTls(others.ca), None, False),
        ("system", right, CameraTls(), None, False),
        ("host", ours.issue("host", "DNS:camera.example"), CameraTls(ours.ca), None, False),
        ("expired", ours.issue("expired", expired=True), CameraTls(ours.ca), None, False),
        ("client", right, CameraTls(ours.ca, *client), ours.ca, True),
        ("no client", right, CameraTls(ours.ca), ours.ca, False),
        ("foreign client", right, CameraTls(ours.ca, *foreign), ours.ca, False),
    ):
        with camera(certificate, key, clients) as (port, asked):
            source = Source("door", f"rtsps://user:hunter2@127.0.0.1:{port}/cam", live=True, tls=tls)
            with pytest.raises(CameraError) as caught, Capture(source):
                pass
        assert bool(asked) is answered, name
        assert "hunter2" not in str(caught.value)
        if name in ("authority", "host", "expired", "system"):
            assert "its certificate is not from the authority" in str(caught.value), name
