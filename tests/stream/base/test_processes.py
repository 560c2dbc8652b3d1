"""A child that takes long ends with its parent, however the parent ends."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.processes import until

PARENT = """
import os, signal, sys, time
from stream.archive.store import Store
from stream.base.processes import end_with_parent
from stream.service import self_test
from stream.service.drift_watch import find_drift
from stream.service.processes import start_process
from stream.service.stopping import _exit

def hang(*_):
    pipe_of_child.send(os.getpid())
    time.sleep(600)

def body(pipe):
    global pipe_of_child
    pipe_of_child = pipe
    if sys.argv[2] == "render":
        self_test.cached_sample = hang
        self_test.render(pipe)
    elif sys.argv[2] == "look":
        Store.read_only = hang
        find_drift("nowhere", ["door"], pipe)
    else:
        if sys.argv[1] == "kill":
            end_with_parent()
        hang()

if __name__ == "__main__":
    _, pipe = start_process(body, (), "child")
    print(pipe.recv(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "kill" else _exit()
"""


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.mark.slow
@pytest.mark.parametrize("child", ["any", "render", "look"])
@pytest.mark.parametrize("ending", ["kill", "forced"])
def test_no_child_outlives_its_parent(tmp_path: Path, ending: str, child: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, str(script), ending, child],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    pid = int(done.stdout)
    until(lambda: not alive(pid), 10, "the child's end")
