"""A real RTSP camera: GStreamer's RTSP server, run by the system's own Python."""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from engine.arrays import UInt8Array
from tests.servers.processes import ended, free_port, until

SYSTEM_PYTHON = "/usr/bin/python3"
_GI = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def available() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", _GI], capture_output=True, check=False).returncode == 0


def moving_pictures(frames: int, width: int = 320, height: int = 240, seed: int = 0) -> list[UInt8Array]:
    """Seeded RGB images in which something moves."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 160, (height // 16, width // 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    pictures = []
    for index in range(frames):
        picture = ground.copy()
        left, top = (5 * index) % (width - 60), (3 * index) % (height - 60)
        picture[top : top + 50, left : left + 50] = (250, 40 + index % 200, 30)
        pictures.append(picture)
    return pictures


def encode(pictures: Sequence[UInt8Array], fps: int = 25) -> list[bytes]:
    """H.264 access units, one per frame, without B-frames."""
    height, width = pictures[0].shape[:2]
    units = []
    with av.open(io.BytesIO(), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {
            "bf": "0",
            "preset": "veryfast",
            "g": str(fps),
            "x264-params": "threads=1:lookahead-threads=1:repeat-headers=1",
        }
        for picture in pictures:
            units += [bytes(p) for p in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))]
        units += [bytes(p) for p in stream.encode(None)]
    return units


def write_video(path: Path, pictures: Sequence[UInt8Array], fps: int = 25) -> Path:
    """The same frames and settings as `encode`, as a file."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {
            "bf": "0",
            "preset": "veryfast",
            "g": str(fps),
            "x264-params": "threads=1:lookahead-threads=1:repeat-headers=1",
        }
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class TestCamera:
    """One camera at `rtsp://127.0.0.1:PORT/cam`; every client gets the recording from its beginning."""

    __test__ = False

    def __init__(
        self, folder: Path, units: Sequence[bytes], fps: float = 25, login: tuple[str, str] | None = None
    ) -> None:
        if not available():
            pytest.skip("needs GStreamer's RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi")
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self.sent: dict[int, float] = {}  # unit -> epoch time at which it was sent, for the latest client
        self._units = folder / f"units-{self.port}.bin"
        self._units.write_bytes(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units))
        self._command = [SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), str(self._units)]
        self._command += [str(self.port), str(fps), *(login or ())]
        self._ready = threading.Event()
        self.process: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[TestCamera]:
        self._ready.clear()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        with ended(self.process):
            reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
            reader.start()
            until(self._ready.is_set, 120, "the RTSP server being ready")  # it may scan its plug-ins first
            try:
                yield self
            finally:
                self.process.kill()
                reader.join(10)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                self._ready.set()
            elif line.startswith("unit"):
                _, index, epoch = line.split()
                self.sent[int(index)] = float(epoch)
