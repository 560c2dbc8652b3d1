"""Exit codes, seen from outside."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time, typer
from configs.command import run_command
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
@app.command()
def go(what: str, service: bool = False) -> None:
    if what == "wrong":
        raise ValueError("one line\\n  and a half")
    if what == "failed":
        raise typer.Exit(1)
    if what == "defect":
        raise KeyError("a bug")
    if what == "native":  # what CPython makes of an exception that a native function ignores
        try:
            print("ready", flush=True)
            time.sleep(30)
        except BaseException as stopped:
            raise SystemError("returned a result with an exception set") from stopped
    print("ready", flush=True)
    time.sleep(30 * (what == "wait"))
stops = "--service" in sys.argv
run_command(app, lambda e: 2 if isinstance(e, ValueError) else None, stopping_is_success=stops)
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=False)


def test_wrong_use_is_one_line_and_2() -> None:
    done = run("wrong")
    assert (done.returncode, done.stderr) == (2, "-c: one line and a half\n")


@pytest.mark.slow
def test_failure_success_and_a_defect() -> None:
    assert run("failed").returncode == 1
    assert run("fine").returncode == 0
    defect = run("defect")
    assert defect.returncode == 1
    assert "Traceback" in defect.stderr


@pytest.mark.parametrize(
    ("flags", "signum", "code"),
    [
        ([], signal.SIGINT, 130),
        ([], signal.SIGTERM, 143),
        (["--service"], signal.SIGINT, 0),
        (["--service"], signal.SIGTERM, 0),
    ],
)
@pytest.mark.parametrize("where", ["wait", "native"])
def test_signals(flags: list[str], signum: signal.Signals, code: int, where: str) -> None:
    command = [sys.executable, "-c", PROGRAM, where, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        assert process.wait(10) == code
