"""A decoder process of `mgfn-extract`: reads videos, and passes clips through shared memory, until its pipe is
closed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from stream.base.addresses import Source
from stream.base.errors import CameraError
from stream.base.log import configure
from stream.camera.capture import Capture
from stream.camera.clip_cropper import ClipCropper
from stream.camera.clip_ring import ClipRing
from stream.camera.clips import ClipAssembler
from stream.camera.confinement import confine
from stream.camera.view import View
from stream.camera.wire import Wire


@dataclass(frozen=True)
class Opened:
    """The next video is open; `frames` is the number in its headers."""

    frames: float | None


@dataclass(frozen=True)
class Decoded:
    """The next clip of the video is in `slot`, which belongs to the receiver until its number is sent back."""

    slot: int


@dataclass(frozen=True)
class Ended:
    """The video has ended: `frames` were decoded, `corrupt` ones skipped; `problem` if it failed."""

    frames: int
    corrupt: int
    problem: str | None = None


Message = Opened | Decoded | Ended
WIRE: Final[Wire[Message]] = Wire(Opened, Decoded, Ended)


class ClipReader:
    """Reads videos one after another. `pipe` sends messages, and receives the numbers of free slots."""

    def __init__(self, geometry: str, ring: ClipRing, pipe: Connection) -> None:
        self._cropper = ClipCropper(View(), geometry)
        self._pipe = pipe
        self._ring = ring
        self._free = list(range(ring.slots))

    def read(self, path: str) -> Ended:
        """Send every complete clip of the video; the same frames give the same clips as in a replay."""
        frames = corrupt = 0
        # labels and published features count every frame
        assembler = ClipAssembler(fps=None, counted=True)
        try:
            with Capture(Source("video", path, live=False)) as capture:
                self._send(Opened(capture.expected_frames))
                for picture in capture.pictures():
                    frames += 1
                    placed = assembler.place(picture.media_time)
                    if placed.position is None:
                        continue
                    self._cropper.put(placed.position, picture.frame)
                    if placed.finished is not None:
                        slot = self._take_slot()
                        self._cropper.write(placed.oldest, self._ring.clips[slot])
                        self._send(Decoded(slot))
                corrupt = capture.corrupt_frames
        except CameraError as error:
            return Ended(frames, corrupt, str(error).replace(f"{path}: ", "", 1))  # the caller adds the path
        return Ended(frames, corrupt)

    def serve(self) -> None:
        """Read the videos whose paths arrive, one at a time. Raises EOFError when the pipe is closed."""
        while True:
            received = self._pipe.recv()
            if isinstance(received, int):
                self._free.append(received)
            else:
                self._send(self.read(received))

    def _send(self, message: Message) -> None:
        self._pipe.send_bytes(WIRE.packed(message))

    def _take_slot(self) -> int:
        while not self._free:
            self._free.append(self._pipe.recv())
        return self._free.pop()

    def close(self) -> None:
        self._ring.close()


def run_decoder(geometry: str, ring: ClipRing, pipe: Connection) -> None:
    """Body of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the command decides
    confine(ports=(), read=[Path("/")])
    configure()
    reader = ClipReader(geometry, ring, pipe)
    try:
        reader.serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        reader.close()
        pipe.close()
