"""The score file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from stream.base.errors import UsageError
from stream.sinks.score_file import ScoresFile


def write(file: ScoresFile, clip: int = 0) -> None:
    file.write("door", clip, 1.0, 1.64, 0.123456789, 0.25, 0.8, 1)


def test_lines_are_the_contracts_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    for clip in (0, 1):
        file = ScoresFile(path)
        write(file, clip)
        file.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["clip"] for line in lines] == [0, 1]
    assert list(lines[0]) == ["camera", "clip", "start", "end", "score", "raw", "threshold", "window"]
    assert lines[0]["score"] == pytest.approx(0.123457)


def test_a_path_that_cannot_be_written() -> None:
    with pytest.raises(UsageError, match=r"--scores /nowhere/s\.jsonl: cannot be written"):
        ScoresFile(Path("/nowhere/s.jsonl"))


def test_a_full_disk_costs_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    file = ScoresFile(Path("/dev/full"))
    write(file)
    write(file)
    file.close()
    assert file.lost == file.lost_in_all == 2


@pytest.mark.slow
def test_a_fifo_that_nobody_reads_never_stops_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    began = time.monotonic()
    file = ScoresFile(path)
    for clip in range(10_100):  # 10,000 wait in line and at most one more in the thread's hands
        write(file, clip)
    assert time.monotonic() - began < 5.0
    assert 99 <= file.lost <= 100
    assert "".join(capsys.readouterr()).count("scores cannot be written and are lost") == 1
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        file.close()
        assert os.read(reader, 60).startswith(b'{"camera": "door", "clip": 0,')
    finally:
        os.close(reader)
