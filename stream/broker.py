"""The embedded MQTT broker, for those who have none: amqtt on the loopback interface, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from multiprocessing.connection import Connection
from typing import Final

from amqtt.broker import Broker

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 1883


def free_port(preferred: int) -> int:
    """`preferred` on the loopback interface, or the next port that is free."""
    for port in range(preferred, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


def run_broker(port: int, pipe: Connection) -> None:
    """Body of the broker's process: sends True once it listens; ends when the pipe's other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service decides
    logging.disable(logging.CRITICAL)
    asyncio.run(_serve(port, pipe))


async def _serve(port: int, pipe: Connection) -> None:
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}", "max_connections": 1000}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    await broker.start()
    pipe.send(True)
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
    await closed.wait()
    await broker.shutdown()
