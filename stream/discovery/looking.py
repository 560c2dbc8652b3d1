"""Opens a stream that was found, and takes an image of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import quote, urlsplit

from stream.base.addresses import Source
from stream.base.errors import CameraError, Reason
from stream.camera.capture import Capture
from stream.camera.snapshot import snapshot
from stream.discovery.relay import relayed
from stream.discovery.soap import Login

LONGEST: Final = 20.0  # seconds for one stream
PATIENCE: Final = 6.0


@dataclass(frozen=True)
class Seen:
    """A stream that was opened."""

    width: int
    height: int
    jpeg: bytes

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


async def look(url: str, login: Login | None) -> Seen:
    """The first image at an address without login. Raises CameraError."""
    async with relayed(url, PATIENCE) as (through, relay):
        try:
            return await asyncio.to_thread(_first_image, with_login(through, login))
        except CameraError as error:
            if relay.refusal:
                raise CameraError(Reason.NOT_READABLE, relay.refusal) from None
            detail = error.detail.replace(urlsplit(through).netloc, urlsplit(url).netloc)
            raise CameraError(error.reason, detail) from None


def _first_image(url: str) -> Seen:
    until = monotonic() + LONGEST

    def in_time(_packet: object) -> None:
        if monotonic() > until:
            raise CameraError(Reason.STALLED, f"no whole image in {LONGEST:.0f} s")

    with Capture(Source("camera", url, live=True), open_timeout=PATIENCE, read_timeout=PATIENCE) as capture:
        for picture in capture.pictures(in_time):
            frame = picture.frame
            return Seen(frame.width, frame.height, snapshot(frame, ""))
    raise CameraError(Reason.STALLED)


def with_login(url: str, login: Login | None) -> str:
    """The address with user and password."""
    if login is None:
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(login.user, safe='')}:{quote(login.password, safe='')}@{rest}"
