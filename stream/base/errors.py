"""Errors of the service. Each message is one line for the user and never contains a password.

StreamError
├── UsageError      wrong flags or settings: exit code 2
└── CameraError     a camera or recording that cannot be opened or read, with a `Reason`
"""

from __future__ import annotations

from enum import StrEnum


class StreamError(Exception):
    """Base class of the service's errors."""


class UsageError(StreamError):
    """Invalid flags or settings."""


class Reason(StrEnum):
    """Why a camera delivers no video."""

    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "wrong user or password"
    NOT_FOUND = "no such stream"
    NO_VIDEO = "no video stream"
    NOT_READABLE = "not readable as video"
    BAD_SIZE = "picture size not supported"
    BAD_RATE = "frame rate not supported"
    STALLED = "no frame in time"
    ENDED = "stream ended"
    DECODER_LOST = "decoder process lost"
    NO_PROCESS = "no decoder process can be started"


class CameraError(StreamError):
    """Connecting or reading failed, because of `reason`; `detail` describes what happened."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
