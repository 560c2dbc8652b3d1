"""What a confined process can still do, tried in processes of their own: confinement cannot be undone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stream.camera.confinement import landlock_version
from stream.service.processes import start_process
from tests.servers.rtsp_answers import answering, redirecting

pytestmark = pytest.mark.skipif(landlock_version() < 4, reason="needs Landlock with TCP rules (Linux 6.7)")

TRIED = """
import json, os, signal, socket, sys
from multiprocessing.connection import Connection
from pathlib import Path
from stream.camera.confinement import confine
inside, outside, secret, allowed, refused = sys.argv[1:6]
said = {"version": confine([int(allowed)], [], [Path(inside)])}
def tried(name, what):
    try:
        what()
        said[name] = "done"
    except OSError as error:
        said[name] = type(error).__name__
tried("writes inside", lambda: Path(inside, "a.part").write_bytes(b"x"))
tried("renames inside", lambda: Path(inside, "a.part").rename(Path(inside, "a.jpg")))
tried("deletes inside", lambda: Path(inside, "a.jpg").unlink())
tried("writes outside", lambda: Path(outside, "a").write_bytes(b"x"))
tried("reads a secret", lambda: Path(secret).read_bytes())
tried("reads the environment of its parent", lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes())
tried("connects to its camera", lambda: socket.create_connection(("127.0.0.1", int(allowed)), 5).close())
tried("connects elsewhere", lambda: socket.create_connection(("127.0.0.1", int(refused)), 5).close())
tried("listens", lambda: socket.create_server(("127.0.0.1", 0)).close())
tried("signals its parent", lambda: os.kill(os.getppid(), 0))
tried("resolves names", lambda: socket.getaddrinfo("localhost", 554))
import av, cv2
print(json.dumps(said))
"""


@pytest.mark.parametrize("any_port", [False, True])
def test_a_confined_process_reaches_its_folder_and_its_camera_alone(tmp_path: Path, any_port: bool) -> None:
    script = TRIED.replace("[int(allowed)]", "None") if any_port else TRIED
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret").write_text("hunter2")
    with socket.create_server(("127.0.0.1", 0)) as camera, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(server.getsockname()[1]) for server in (camera, other)]
        places = [str(tmp_path / name) for name in ("inside", "outside", "secret")]
        done = subprocess.run(
            [sys.executable, "-c", script, *places, *ports], capture_output=True, text=True, timeout=60, check=True
        )
    said = json.loads(done.stdout)
    assert said.pop("version") == landlock_version()
    refused = {name for name, outcome in said.items() if outcome == "PermissionError"}
    expected = {
        "writes outside",
        "reads a secret",
        "reads the environment of its parent",
        "connects elsewhere",
        "listens",
    }
    if any_port:  # the search for cameras
        expected -= {"connects elsewhere", "listens"}
    if landlock_version() >= 6:
        expected.add("signals its parent")
    assert refused == expected, said
    assert all(outcome in ("done", "PermissionError") for outcome in said.values()), said


REPLACED = """
import sys
from pathlib import Path
from stream.camera.confinement import confine, unreadable
kept, renewed = map(Path, sys.argv[1:])
assert confine([], [kept, renewed])
assert unreadable([kept, renewed, Path("/nowhere")]) == []
print("confined", flush=True)
input()
assert unreadable([kept, renewed]) == [renewed]
"""


def test_a_file_that_was_renewed_is_noticed(tmp_path: Path) -> None:
    kept, renewed, new = (tmp_path / name for name in ("kept.pem", "renewed.pem", "new.pem"))
    for path in (kept, renewed, new):
        path.write_text("a certificate")
    command = [sys.executable, "-c", REPLACED, str(kept), str(renewed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as confined:
        assert confined.stdout is not None
        assert confined.stdout.readline() == "confined\n"
        new.replace(renewed)
        confined.communicate("\n", timeout=30)
    assert confined.returncode == 0


BOUND = """
import ctypes
from pathlib import Path
import stream.camera.decoder
from stream.camera.allocation import LARGEST_BLOCK, bound_blocks
assert bound_blocks()
maps = Path("/proc/self/maps").read_text().splitlines()
libraries = {"/" + line.partition("/")[2] for line in maps if "/libavutil" in line}
for library in libraries:
    allocate = ctypes.CDLL(library).av_malloc
    allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    assert allocate(LARGEST_BLOCK + 1) is None, library
    assert allocate(1_000) is not None
print(len(libraries))
"""


def test_every_copy_of_ffmpeg_in_a_decoder_is_bound() -> None:
    done = subprocess.run([sys.executable, "-c", BOUND], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) >= 1


def count_threads(pipe: Connection) -> None:
    import stream.camera.decoder  # noqa: F401 -- all that a decoder loads

    pipe.send(len(list(Path("/proc/self/task").iterdir())))


@pytest.mark.slow
def test_a_decoder_has_one_thread_when_it_is_confined() -> None:
    process, pipe = start_process(count_threads, (), "threads")
    assert pipe.recv() == 1
    process.join(10)
    pipe.close()


REDIRECTED = """
import sys
from stream.base.addresses import Source
from stream.base.clock import SteadyClock
from stream.base.errors import CameraError
from stream.camera.capture import Capture
from stream.camera.clip_ring import ClipRing
from stream.camera.camera_settings import CameraSettings
source = Source("door", sys.argv[1], live=True)
assert CameraSettings(source, "squash", ClipRing.create(1, 1), SteadyClock.by_the_wall()).confined()
try:
    Capture(source)
except CameraError as error:
    print(error)
"""


def test_a_redirect_to_another_port_of_this_machine_reaches_nobody() -> None:
    """FFmpeg follows a camera's redirect to any RTSP address, and has no option against that."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.setblocking(False)
        with answering(redirecting(f"rtsp://127.0.0.1:{ours.getsockname()[1]}/")) as port:
            url = f"rtsp://user:hunter2@127.0.0.1:{port}/cam"
            done = subprocess.run(
                [sys.executable, "-c", REDIRECTED, url], capture_output=True, text=True, timeout=60, check=True
            )
        assert "unreachable" in done.stdout
        assert "hunter2" not in done.stdout
        with pytest.raises(BlockingIOError):
            ours.accept()
