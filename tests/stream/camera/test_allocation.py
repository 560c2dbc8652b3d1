"""Memory that was freed goes back to the system, and the threads of the service share their heaps."""

from __future__ import annotations

import subprocess
import sys

import pytest

FREED = """
import sys
from pathlib import Path
from stream.camera.allocation import give_back_memory

def mebibytes():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) // 1024

if sys.argv[1] == "gives back":
    give_back_memory()
packets, between = [], []
for _ in range(1_000):
    packets.append(bytearray(b"x" * 60_000))
    between.append(bytearray(1_000))
full = mebibytes()
packets.clear()
print(full - mebibytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_packets_go_back_to_the_system() -> None:
    def returned(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FREED, how], capture_output=True, text=True, timeout=60, check=True
        )
        return int(done.stdout)

    assert returned("gives back") > 50
    assert returned("keeps") < 10


HEAPS = """
import ctypes, sys, threading
from stream.camera.allocation import share_heaps

if sys.argv[1] == "shares":
    share_heaps()
all_here = threading.Barrier(9)

def work():
    taken = bytearray(10_000)
    all_here.wait()

for _ in range(8):
    threading.Thread(target=work).start()
all_here.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_the_threads_of_the_service_share_two_heaps() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", HEAPS, how], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.count("<heap nr=")

    assert heaps("shares") == 2
    assert heaps("does not") > 2
