"""`--cluster`: what each worker is started with."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from stream.cli.mgfn_stream import app
from stream.cli.sharing import _flags


def test_a_worker_gets_the_flags_with_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "door.mp4").write_bytes(b"x")
    (tmp_path / "token").write_text("t")
    live = "rtsp://user:{MGFN_PW}@127.0.0.1/x"
    monkeypatch.setenv("MGFN_PW", "secret")
    given = ["--rtsp", "door=door.mp4", "--rtsp", live, "--threshold", "0", "--http-token-file", "token"]
    given += ["--cluster", "local", "--data", "here", "--node", "site"]
    command = typer.main.get_command(app)
    found = _flags(command.make_context("mgfn-stream", given))  # type: ignore[arg-type]
    assert found == [
        "--rtsp", f"door={tmp_path}/door.mp4", "--rtsp", live, "--threshold", "0.0",
        "--http-token-file", f"{tmp_path}/token",
    ]  # fmt: skip
