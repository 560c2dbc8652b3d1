"""The package as a user installs it, without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.rtsp import moving_pictures, write_video

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_cpu_extra_scores_a_recording_and_brings_no_torch(tmp_path: Path, tiny_bundle: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-compile", "-c", str(ROOT / "constraints.txt")]
    install += [f"{ROOT}[cpu]"]
    subprocess.run(install, check=True, cwd=tmp_path)
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "torch" not in listed.split()
    assert "onnxruntime" in listed.split()
    video = write_video(tmp_path / "video.mp4", moving_pictures(40))
    command = [str(environment / "bin" / "mgfn-stream"), "--replay", "--rtsp", str(video)]
    scored = [*command, "--bundle", str(tiny_bundle), "--scores", str(tmp_path / "s.jsonl")]
    subprocess.run(scored, check=True, cwd=tmp_path)
    assert [json.loads(line)["clip"] for line in (tmp_path / "s.jsonl").read_text().splitlines()] == [0, 1]
    # without a bundle it says what is missing
    bare = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={"HOME": str(tmp_path)})  # fmt: skip
    assert bare.returncode == 2
    assert "mgfn-stream[export]" in bare.stderr
