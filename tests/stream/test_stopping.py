"""The stop's clock: parts share one deadline, and what hangs in native code ends all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from stream import stopping
from stream.stopping import StopClock
from tests.servers.processes import ended


def test_parts_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = StopClock(lambda: None)
    assert clock.left(1.2) == 1.2
    clock.start()
    now += 3.0
    clock.start()  # a second Ctrl-C
    assert clock.left(1.2) == pytest.approx(stopping.PARTS_WITHIN - 3.0)
    assert clock.left(0.1) == 0.1
    now += 1.0
    assert clock.left(1.2) == 0.0


# Hashing neither returns to Python's signal handlers nor holds its lock: as a batch of clips does in the engine.
STUCK = """
import hashlib, sys, threading
from stream import stopping
stopping.FORCED_AFTER = 0.2
clock = stopping.StopClock(lambda: print("saved", flush=True))
clock.hear_signals(lambda: print("asked", flush=True))
threading.Thread(target=clock.run, daemon=True).start()
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stuck_in_native_code_it_ends_by_force(signum: int) -> None:
    command = [sys.executable, "-c", STUCK]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "ended by force" in said
    assert said.endswith("saved\n")
