"""The embedded MQTT broker, for users without one: amqtt on the loopback interface, in its own process."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from multiprocessing.connection import Connection
from typing import Final

from stream.base.addresses import BrokerAddress
from stream.base.errors import StreamError
from stream.base.log import log
from stream.base.processes import StartProcess
from stream.sinks.amqtt_broker import MendedBroker

HOST: Final = "127.0.0.1"
_STARTED_WITHIN: Final = 60.0
_STARTED_AGAIN_AFTER: Final = 5.0
_OUTLIVES_SIGTERM: Final = 5.0
DEFAULT_PORT: Final = 1883


def free_port(preferred: int) -> int:
    """`preferred` on the loopback interface, or the next free port."""
    for port in range(preferred, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


class EmbeddedBroker:
    """The process of the broker. `address` is where it listens."""

    def __init__(self, start_process: StartProcess) -> None:
        """Raises StreamError if the broker does not start."""
        port = free_port(DEFAULT_PORT)
        self._start_process = start_process
        try:
            self._process, self._pipe = start_process(run_broker, (port,), "mgfn-broker")
        except OSError as error:
            raise StreamError(f"the embedded broker cannot be started: {error.strerror}") from None
        self._next_start = 0.0
        try:
            if not self._pipe.poll(_STARTED_WITHIN):
                raise EOFError
            self._pipe.recv()
        except EOFError:
            self.end(0.0)
            raise StreamError(f"the embedded broker did not start on {HOST}:{port}") from None
        self.address = BrokerAddress(HOST, port, tls=False)

    def look_after(self, now: float) -> None:
        """Restart the broker on its port if it has died. `now`: seconds of a monotonic clock."""
        if self._process.is_alive() or now < self._next_start:
            return
        self._next_start = now + _STARTED_AGAIN_AFTER
        log.error("embedded broker died; restarting it", broker=self.address.shown)
        try:
            process, pipe = self._start_process(run_broker, (self.address.port,), "mgfn-broker")
        except OSError as error:
            log.error("embedded broker cannot be started", reason=error.strerror)
            return
        self._pipe.close()
        self._process, self._pipe = process, pipe

    def end(self, within: float) -> None:
        """Ask it to end, and kill it after `within` seconds."""
        self._pipe.close()
        self._process.join(within)
        if self._process.is_alive():
            self._process.kill()  # not joined: in a disk wait it would not end


def run_broker(port: int, pipe: Connection) -> None:
    """Body of the broker process: sends True once it listens, and ends when the other end of the pipe closes.

    It survives SIGTERM by a few seconds: if all processes receive one, the service can still publish its last messages.
    """
    for signum in (signal.SIGINT, signal.SIGHUP):  # these reach the whole process group; the service decides
        signal.signal(signum, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    asyncio.run(_serve(port, pipe))


async def _serve(port: int, pipe: Connection) -> None:
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}", "max_connections": 1000}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = MendedBroker(config)
    await broker.start()
    pipe.send(True)
    closed, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), closed.set)
    loop.add_signal_handler(signal.SIGTERM, lambda: loop.call_later(_OUTLIVES_SIGTERM, closed.set))
    await closed.wait()
    await broker.shutdown()
