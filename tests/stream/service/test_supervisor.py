"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from stream.service.supervisor import Supervisor

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_alive_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"mgfn-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else name)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        supervisor = Supervisor()
        supervisor.ready()
        for _ in range(100):  # as often as the loop turns: said once
            supervisor.alive()
        supervisor.stopping()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_nothing_is_said_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Supervisor().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    Supervisor().ready()


def test_the_unit_waits_for_ready_and_watches_the_loop() -> None:
    unit = (ROOT / "deploy" / "mgfn-stream.service").read_text()
    assert "Type=notify" in unit
    assert int(re.findall(r"WatchdogSec=(\d+)", unit)[0]) > 10  # twice what `alive` takes at most
    for hardening in ("ProtectSystem=strict", "NoNewPrivileges=yes", "DynamicUser=yes", "PrivateTmp=yes"):
        assert hardening in unit
