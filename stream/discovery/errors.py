"""The error of this room: a device that cannot be used. One line, without passwords."""

from __future__ import annotations

from stream.base.errors import StreamError


class DeviceError(StreamError):
    """A device does not answer, lies, or refuses the login (`unauthorized`)."""

    def __init__(self, text: str, *, unauthorized: bool = False) -> None:
        super().__init__(text)
        self.unauthorized = unauthorized
