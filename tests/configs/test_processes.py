"""Child processes of commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import psutil
import pytest

from configs.command import Terminated
from configs.processes import ChildError, child, wait_for

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_child_that_ends_too_soon_and_one_that_is_too_slow() -> None:
    why = "the child did not start"
    for command, seconds, says in (
        ([sys.executable, "-c", "raise SystemExit(3)"], 20.0, f"{why}: it ended with exit code 3"),
        (FOREVER, 0.2, f"{why} within 0.2 s"),
    ):
        with pytest.raises(ChildError, match=says), child(command) as process:
            wait_for(lambda: False, process, "the child", seconds)
        assert process.poll() is not None


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_while_a_child_is_being_started_ends_it_too(
    number: signal.Signals, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    start = subprocess.Popen.__init__

    def interrupted(self: subprocess.Popen[str], *given: Any, **named: Any) -> None:
        start(self, *given, **named)
        if given[:1] == (FOREVER,):  # not what another thread starts
            pids.append(self.pid)
            signal.raise_signal(number)

    def raise_terminated(_number: int, _frame: Any) -> None:
        raise Terminated

    monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
    before = signal.signal(signal.SIGTERM, raise_terminated)
    try:
        with pytest.raises(raised), child(FOREVER):
            pytest.fail("the block was reached")
        assert len(pids) == 1
        assert not psutil.pid_exists(pids[0])
        assert signal.getsignal(signal.SIGTERM) is raise_terminated
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_signal_that_is_ignored_stays_so_in_the_child() -> None:
    asks = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with child([sys.executable, "-c", asks], stdout=subprocess.PIPE) as process:
            said, _ = process.communicate(timeout=60)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == "True\n"


def test_one_that_does_not_listen_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with child([sys.executable, "-c", deaf], 0.1, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL


def test_what_cannot_be_started_raises() -> None:
    with pytest.raises(FileNotFoundError), child(["/no/such/program"]):
        pass
