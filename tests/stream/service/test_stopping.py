"""The stop's clock: parts share one deadline, and what hangs in native code ends all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from stream.archive.store import Store
from stream.base.errors import StreamError
from stream.service import stopping
from stream.service.stopping import StopClock
from stream.service.threads import Threads
from tests.built_once import recording
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, until
from tests.servers.rtsp import TestCamera
from tests.servers.service import lines, running


def test_parts_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = StopClock(lambda: None)
    assert clock.left(1.2) == 1.2
    clock.start()
    now += stopping.PARTS_WITHIN - 0.3
    clock.start()  # a second Ctrl-C
    assert clock.left(1.2) == pytest.approx(0.3)
    assert clock.left(0.1) == 0.1
    now += 1.0
    assert clock.left(1.2) == 0.0


def test_a_thread_that_alarms_need_is_missed() -> None:
    over, threads = threading.Event(), Threads()

    def wait() -> None:
        over.wait()

    threads.start(wait, "journal")
    threads.start(lambda: None, "web")
    threads.join("web", 10)
    threads.check()
    threads.start(lambda: None, "mqtt")
    threads.join("mqtt", 10)
    assert (threads.alive("journal"), threads.alive("mqtt"), threads.alive("clock")) == (True, False, False)
    with pytest.raises(StreamError, match="the thread 'mqtt' died"):
        threads.check()
    over.set()
    threads.join("journal", 10)


# Hashing neither returns to Python's signal handlers nor holds its lock: as a batch of clips does in the engine.
STUCK = """
import hashlib, sys, threading
from stream.service import stopping
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
    assert "shutdown took too long: the process is terminated" in said
    assert said.endswith("saved\n")


SLOW_TO_END = """
import atexit, os, signal, time
from stream.service.stopping import StopClock
atexit.register(time.sleep, 60)
clock = StopClock(lambda: None)
clock.leave()
clock.hear_signals(clock.start)
clock.leave()
print("still here", end="")
os.kill(os.getpid(), signal.SIGTERM)
clock.leave()
print("never said")
"""


def test_once_all_is_closed_it_does_not_wait_for_the_interpreters_end() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW_TO_END], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "still here")


@pytest.mark.slow
def test_neither_a_decoder_nor_a_broker_that_hangs_holds_the_stop(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera, scores = TestCamera(tmp_path, recording(30)), tmp_path / "s.jsonl"
    arguments = ["--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", "off", "--scores", scores]
    with camera.running(), running(tmp_path, *arguments, "--rtsp", f"door={camera.url}", "--threshold", "0") as service:
        until(lambda: subscriber.events(), 60, "the alarm")
        until(lambda: lines(scores), what="scores")
        children = psutil.Process(service.process.pid).children()
        (decoder,) = [process for process in children if "spawn_main" in str(process.cmdline())]
        assert mosquitto.process is not None
        broker = psutil.Process(mosquitto.process.pid)
        decoder.suspend()
        broker.suspend()
        try:
            assert service.stop(within=5) == 0
        finally:
            broker.resume()
        _, alive = psutil.wait_procs([decoder], timeout=20)
        assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)
    with Store.read_only(tmp_path / "data") as store:
        # it was decided, written and will be told after the next start
        assert [m.payload.end_reason for m in store.events.waiting() if m.payload.type == "end"] == ["stopped"]
    subscriber.close()
