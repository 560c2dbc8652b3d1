"""What a decoder process and the service tell each other, over a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stream.base.errors import Reason


class CameraState(StrEnum):
    """Where one camera stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"  # lost; it is tried again
    ENDED = "ended"  # a recording came to its end, or cannot be read: not tried again


# from the decoder


@dataclass(frozen=True)
class ClipReady:
    """A clip lies in `slot`. Times in seconds: steady where live, media time from 0 in a replay.

    `clip` counts from 0 for each `connection`; `arrival` is when its last frame came (monotonic clock). `like` is the
    earlier clip of this connection that it does not differ from, as far as the motion gate sees; None: it does.
    `focus` is the part of the camera's picture that the model sees, x, y, width, height in shares of it; None where
    the bundle's geometry does not choose one.
    """

    connection: int
    clip: int
    start: float
    end: float
    arrival: float
    slot: int
    like: int | None = None
    focus: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class StateChanged:
    """The camera's state is now another; `reason` and `detail` say why it is offline or ended, `detail` what is watched
    when it is online."""

    state: CameraState
    connection: int
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Counters:
    """Sent every second, whatever the state: also the decoder's sign of life. Totals since the process began.

    `problem` says why nothing can be scored though pictures come, "" if all is well. `broken_clips` were given up at a
    gap in the camera's time, `late_frames` left out because they were not later than the picture before.
    """

    fps: float
    frames: int
    corrupt_frames: int
    dropped_clips: int
    reconnects: int
    problem: str = ""
    broken_clips: int = 0
    late_frames: int = 0


@dataclass(frozen=True)
class SnapshotTaken:
    """The picture of an event is on disk; 0 bytes: it is not, `problem` says why."""

    event: str
    bytes: int
    problem: str = ""


@dataclass(frozen=True)
class ClipClosed:
    """The clip of an event is on disk; `problem` says what is wrong with it or, with 0 bytes, why it is not there."""

    event: str
    bytes: int
    seconds: float
    problem: str = ""


Message = ClipReady | StateChanged | Counters | SnapshotTaken | ClipClosed


# to the decoder, besides the numbers of free slots


@dataclass(frozen=True)
class TakeSnapshot:
    """Write a picture of `clip` (connection, clip), or of now if None, with `text` in it, to `path`."""

    event: str
    path: Path
    text: str
    clip: tuple[int, int] | None


@dataclass(frozen=True)
class StartClip:
    """Begin a clip at `path` with what was seen from steady time `begin` on; it is cut after `longest` seconds."""

    event: str
    path: Path
    begin: float
    longest: float


@dataclass(frozen=True)
class EndClip:
    """Close the clip once steady time `until` has been seen."""

    event: str
    until: float


Order = TakeSnapshot | StartClip | EndClip
