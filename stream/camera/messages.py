"""Messages between a decoder process and the service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from stream.base.errors import Reason
from stream.camera.wire import Wire


class CameraState(StrEnum):
    """The state of one camera."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"  # lost; will be retried
    ENDED = "ended"  # a recording ended or cannot be read; not retried


# from the decoder


@dataclass(frozen=True)
class ClipReady:
    """A clip lies in `slot`. Times in seconds: steady where live, media time from 0 in a replay.

    clip: counts from 0 for each `connection`.
    arrival: when its last frame arrived (monotonic clock).
    like: the earlier clip of this connection whose feature stands for this one, too, because nothing moved; or None.
    focus: the part of the image that the model sees, as x, y, width, height in fractions; None if the geometry of the
        bundle does not choose one.
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
    """The state of the camera has changed.

    `reason` and `detail` say why it is offline or ended; when it is online, `detail` is the source.
    """

    state: CameraState
    connection: int
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Counters:
    """Sent every second in every state, also as a heartbeat. Totals since the start of the process.

    problem: why nothing can be scored although frames arrive, or "".
    broken_clips: discarded at a gap in the camera's time.
    late_frames: skipped because they were not later than the previous frame.
    damaged_clips: not scored, because frames that they build on are missing or could not be decoded.
    skipped_packets: not decoded, because nothing moved (`eco`).
    """

    fps: float
    frames: int
    corrupt_frames: int
    dropped_clips: int
    reconnects: int
    problem: str = ""
    broken_clips: int = 0
    late_frames: int = 0
    damaged_clips: int = 0
    skipped_packets: int = 0


@dataclass(frozen=True)
class SnapshotTaken:
    """The image of an event was written. With 0 bytes it was not, and `problem` says why."""

    event: str
    bytes: int
    problem: str = ""


@dataclass(frozen=True)
class ClipClosed:
    """The clip of an event was written. `problem` says what is wrong with it, or with 0 bytes, why there is none."""

    event: str
    bytes: int
    seconds: float
    problem: str = ""


Message = ClipReady | StateChanged | Counters | SnapshotTaken | ClipClosed
WIRE: Final[Wire[Message]] = Wire(ClipReady, StateChanged, Counters, SnapshotTaken, ClipClosed)


# to the decoder, besides the numbers of free slots


@dataclass(frozen=True)
class TakeSnapshot:
    """Write an image of `clip` (connection, clip), or of the current frame if None, with `text` in it, to `path`.

    `focus`, x, y, width, height in fractions of the image, is outlined. `whole`: masks are not applied.
    """

    event: str
    path: Path
    text: str
    clip: tuple[int, int] | None
    focus: tuple[float, float, float, float] | None = None
    whole: bool = False


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
