"""What is delivered: the same bits from one commit, no addresses of registries, and a check against known faults."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from recipes.audit import advisories, affected, main, pins

ROOT = Path(__file__).parents[1]


def built(python: Path, commit: Path, folder: Path, when: float) -> dict[str, str]:
    """The hashes of wheel and sdist that are built in a new folder, whose files have another date and order."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", commit, "-C", folder], check=True)
    for file in sorted(folder.rglob("*"), reverse=when > 1e9):
        os.utime(file, (when, when))
    command: list[str | Path] = [python, "-m", "hatchling", "build", "-d", folder / "dist"]
    zone = {"TZ": "Asia/Tokyo" if when > 1e9 else "America/Lima", "LC_ALL": "C.UTF-8"}
    subprocess.run(command, check=True, cwd=folder, capture_output=True, env=os.environ | zone)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "dist").iterdir()}


@pytest.mark.slow
def test_wheel_and_sdist_are_the_same_to_the_bit_from_one_commit(tmp_path: Path) -> None:
    (requirement,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
    commit = tmp_path / "commit.tar"
    subprocess.run(["git", "archive", "-o", commit, "HEAD"], check=True, cwd=ROOT)
    first = built(python, commit, tmp_path / "a", 9e8)
    second = built(python, commit, tmp_path / "a folder of another name", 1.7e9)
    assert len(first) == 2
    assert first == second


def test_every_pin_is_a_version_and_no_address() -> None:
    tools = (ROOT / "deploy" / "tools.txt").read_text()
    for name, text in {"constraints": (ROOT / "constraints.txt").read_text(), "tools": tools}.items():
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(pins(text)) == len(lines), name
        assert not re.search(r"://|--index|--find-links| @ ", text), name


def test_the_locked_packages_have_hashes_and_the_versions_that_were_tested() -> None:
    text = (ROOT / "locked.txt").read_text()
    locked, tested = pins(text), pins((ROOT / "constraints.txt").read_text())
    assert {name: tested[name] for name in locked} == locked
    assert {"av", "numpy", "onnxruntime", "openvino", "apprise"} <= locked.keys()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(locked)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert "://" not in text


ADVISORY = {
    "id": "OSV-1",
    "summary": "a fault",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some_Package"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"},
                                                 {"last_affected": "2.3"}]},
            ],
            "versions": ["1.9.post1"],
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "hit"),
    [("0.9", True), ("1.2", False), ("1.1.9", True), ("1.9.post1", True), ("2.0", True), ("2.3", True), ("2.4", False)],
)
def test_an_advisory_affects_its_versions(version: str, hit: bool) -> None:
    found = list(affected(ADVISORY, pins(f"some-package=={version}\nother==1\n")))
    assert found == ([("some-package", Version(version))] if hit else [])
    assert not list(affected(ADVISORY | {"withdrawn": "2026-01-01"}, pins(f"some-package=={version}\n")))


def test_the_audit_reads_files_folders_and_archives_and_says_what_it_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder, archive = tmp_path / "a.json", tmp_path / "folder", tmp_path / "all.zip"
    file.write_text(json.dumps(ADVISORY))
    folder.mkdir()
    shutil.copy(file, folder)
    with zipfile.ZipFile(archive, "w") as all_:
        all_.write(file, "OSV-1.json")
    (tmp_path / "pins.txt").write_text("some.package==1.0 \\\n    --hash=sha256:00\nother==1.0\n")
    for place in (file, folder, archive):
        assert list(advisories(place)) == [ADVISORY]
        monkeypatch.setattr(sys, "argv", ["audit", str(place), "--pins", str(tmp_path / "pins.txt")])
        assert main() == 1
        assert "some-package 1.0: OSV-1 a fault\n2 pinned versions, 1 advisories, 1 matches" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["audit", str(file)])
    assert main() == 0  # our own pins
    file.write_text("[]")
    assert main() == 2


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_systemd_unit_exposes_little() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "deploy/mgfn-stream.service"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]
    assert "exposure level for mgfn-stream.service: 1." in done.stdout
