"""Stands between FFmpeg and a stream that was found. FFmpeg follows a redirect to any host, sends the login there, and
has no option against that; so it connects to us, and never sees a redirect.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from stream.base.errors import CameraError, Reason

_LARGEST_HEADER: Final = 64 << 10
_LARGEST_BODY: Final = 1 << 20
_PORTS: Final = {"rtsp": 554, "rtsps": 322}
_ANSWER: Final = re.compile(r"RTSP/1\.[01] (\d{3})( [ -~]*)?")
_HEADER: Final = re.compile(r"([A-Za-z0-9-]+):([ -~\t\x80-\xff]*)")


class _RefusalError(Exception):
    """What a camera sent must not reach FFmpeg."""


class Relay:
    """One connection to a camera. `refusal`: why what the camera sent was not passed on, or ""."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.refusal = ""
        self._reader, self._writer = reader, writer
        self._client: StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def connected(self, client: StreamReader, writer: StreamWriter) -> None:
        """Serves one connection of FFmpeg; further ones are closed."""
        if self._client is not None:
            writer.close()
            return
        self._client = writer
        self._tasks = [
            asyncio.create_task(self._pass_requests(client)), asyncio.create_task(self._pass_answers(writer))
        ]  # fmt: skip

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in filter(None, (self._writer, self._client)):
            writer.transport.abort()  # close() would wait until what is left has been sent
            with suppress(OSError):
                await writer.wait_closed()

    def _hang_up(self) -> None:
        self._writer.close()
        if self._client is not None:
            self._client.close()

    async def _pass_answers(self, writer: StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    writer.write(await self._message())
                    await writer.drain()
        except (_RefusalError, ValueError, asyncio.LimitOverrunError) as error:
            self.refusal = str(error) if isinstance(error, _RefusalError) else "not a valid RTSP answer"
        self._hang_up()

    async def _pass_requests(self, client: StreamReader) -> None:
        with suppress(OSError):
            while data := await client.read(1 << 16):
                self._writer.write(data)
                await self._writer.drain()
        self._hang_up()

    async def _message(self) -> bytes:
        """The camera's next message, written anew so that FFmpeg reads it exactly as we do; or a packet of video."""
        first = await self._reader.readexactly(1)
        if first == b"$":
            head = await self._reader.readexactly(3)
            return first + head + await self._reader.readexactly(int.from_bytes(head[1:]))
        lines = [(first + await self._reader.readuntil(b"\n")).decode("latin1").rstrip("\r\n")]
        size = len(lines[0])
        while line := (await self._reader.readuntil(b"\n")).decode("latin1").rstrip("\r\n"):
            size += len(line)
            if size > _LARGEST_HEADER:
                raise _RefusalError("an RTSP answer without an end")
            lines.append(line)
        status = _ANSWER.fullmatch(lines[0])
        if status is None:
            raise _RefusalError("not a valid RTSP answer")
        if status[1].startswith("3"):
            raise _RefusalError("the answer is a redirect, which is not followed")
        headers = [header for line in lines[1:] if (header := _HEADER.fullmatch(line))]
        lengths = [int(header[2]) for header in headers if header[1].lower() == "content-length"]
        length = lengths[-1] if lengths else 0
        if not 0 <= length <= _LARGEST_BODY:
            raise _RefusalError(f"an RTSP answer of more than {_LARGEST_BODY >> 20} MiB")
        kept = [lines[0], *(header[0] for header in headers if header[1].lower() not in ("content-length", "location"))]
        text = "\r\n".join([*kept, f"Content-Length: {length}", "", ""])
        return text.encode("latin1") + await self._reader.readexactly(length)


@asynccontextmanager
async def relayed(url: str, patience: float) -> AsyncIterator[tuple[str, Relay]]:
    """A relay to the camera at `url` (without login), and the URL that leads through it. Raises CameraError if no
    connection is made in `patience` seconds.
    """
    parts = urlsplit(url)
    tls = None
    if parts.scheme == "rtsps":  # not verified, as cameras sign their certificates themselves
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    port = parts.port or _PORTS[parts.scheme]
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls, limit=_LARGEST_HEADER)
    except TimeoutError:
        raise CameraError(Reason.STALLED, "no response in time") from None
    except OSError as error:
        raise CameraError(Reason.UNREACHABLE, "no TLS connection" if tls else error.strerror or "") from None
    relay = Relay(reader, writer)
    server = await asyncio.start_server(relay.connected, "127.0.0.1", 0, limit=_LARGEST_HEADER)
    here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield parts._replace(scheme="rtsp", netloc=here).geturl(), relay
    finally:
        server.close()
        await relay.close()
