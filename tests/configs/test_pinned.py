"""Fetching files of others: what is told elsewhere of hashes is in the tests of the weights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, typer
from pathlib import Path
from configs.command import run_command
from configs.pinned import PinnedFile, fetch
app = typer.Typer(add_completion=False)
@app.command()
def go() -> None:
    fetch(PinnedFile.named("samples.json", "bikes"), Path("fetched"))
run_command(app, lambda _: None)
"""


@pytest.mark.slow
def test_sigterm_ends_a_download_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:  # takes connections and never answers
        index.settimeout(30)
        environment = os.environ | {
            "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple",
            "PIP_CONFIG_FILE": os.devnull,
            "no_proxy": "127.0.0.1",
        }
        with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment) as process:
            try:
                connection, _ = index.accept()
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == 143
            finally:
                process.kill()
            connection.settimeout(10)
            while connection.recv(4096):  # until pip is gone, too
                pass
            connection.close()
    assert not list((tmp_path / "fetched").iterdir())
