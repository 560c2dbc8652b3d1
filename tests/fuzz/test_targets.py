"""What Atheris is unlikely to find, and a few seconds of what it finds by itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.fuzz.targets import TARGETS

HOSTILE = (
    b"",
    b"null",
    b"[]",
    b"1e999",
    b"\xff\xfe",
    b'{"capacity": 1e999}',
    b'{"capacity": -Infinity}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"worker": "w", "session": "s", "number": 1e999, "capacity": 1}',
    b'{"fence": 1, "bundle": "b", "settings": {"threshold": "x"}}',
    b'{"fence": 1, "bundle": "b", "settings": [], "window": 7}',
    b'{"fence": 1, "bundle": "b", "settings": {"snooze": "1"}, "window": {"times": [[0, 1e999]]}}',
)


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_are_read_or_refused(target: str) -> None:
    function, seeds = TARGETS[target]
    for data in (*seeds, *HOSTILE):
        function(data)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs Atheris, which has no wheel for this Python")
def test_atheris_finds_nothing_in_a_second() -> None:
    """Of two: each costs some seconds to instrument. `make fuzz` runs all of them."""
    names = ["checkpoint", "score store"]
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "1", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name}: held for 1 s" for name in names]
