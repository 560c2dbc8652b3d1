"""What a decoder process tells the service, over a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stream.errors import Reason


class CameraState(StrEnum):
    """Where one camera stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"  # lost; it is tried again
    ENDED = "ended"  # a recording came to its end, or cannot be read: not tried again


@dataclass(frozen=True)
class ClipReady:
    """A clip lies in `slot`. Times in seconds: epoch where live, media time from 0 in a replay.

    `clip` counts from 0 for each `connection`; `arrival` is when its last frame came (monotonic clock).
    """

    connection: int
    clip: int
    start: float
    end: float
    arrival: float
    slot: int


@dataclass(frozen=True)
class StateChanged:
    """The camera's state is now another; `reason` and `detail` say why it is offline or ended."""

    state: CameraState
    connection: int
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Counters:
    """Sent every second, whatever the state: also the decoder's sign of life. Totals since the process began."""

    fps: float
    frames: int
    corrupt_frames: int
    dropped_clips: int
    reconnects: int


Message = ClipReady | StateChanged | Counters
