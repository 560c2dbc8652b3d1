"""The limit on open files is raised as far as the system allows, and too many cameras are refused before they start."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stream.base.open_files import PER_CAMERA

RAISED = """
import resource
from stream.base.open_files import allow_open_files
allow_open_files(300)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limited(hard: int, *command: str) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    return subprocess.run([sys.executable, *command], preexec_fn=limit, capture_output=True, text=True, check=False)


def test_the_limit_is_raised() -> None:
    assert limited(2048, "-c", RAISED).stdout.split() == ["2048", "2048"]


@pytest.mark.slow
def test_more_cameras_than_files_are_refused_with_the_number_that_is_possible(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("cameras:\n" + "".join(f"  cam{n}: {{url: 'rtsp://127.0.0.1:9/{n}'}}\n" for n in range(400)))
    done = limited(1024, "-m", "stream.cli", "--config", str(site), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "400 cameras need 1,800 open files, and this process may have 1,024: enough for 206 cameras" in done.stderr
    assert PER_CAMERA * 206 + 200 <= 1024
