"""A wall clock that a test sets, for the processes that it starts; monotonic clocks go on as they are."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """Preloaded by the environment `for_child`; `set` moves it at once."""

    def __init__(self, folder: Path, ahead: int = 0) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("needs a C compiler: apt-get install gcc")
        self._library, self._shift = folder / "wall_clock.so", folder / "wall_clock.shift"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self._library, SOURCE], check=True)
        self.set(ahead)

    def set(self, ahead: int) -> None:
        """From now on it is so many seconds ahead of the real one."""
        file = os.open(self._shift, os.O_RDWR | os.O_CREAT)
        os.pwrite(file, struct.pack("=q", ahead), 0)
        os.close(file)

    @property
    def for_child(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIFT_FILE": str(self._shift)}
