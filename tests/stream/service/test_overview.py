"""What `/healthz` shows of what queues gave up."""

from __future__ import annotations

import multiprocessing
import queue
import re
import time
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.alarm.event import ModelName
from stream.alarm.requests import FEEDBACK_LIMIT, GiveVerdict
from stream.archive.journal import Journal
from stream.archive.retention import Retention
from stream.archive.store import Store
from stream.archive.writer import LIMIT
from stream.base.addresses import BrokerAddress
from stream.service.overview import Overview, zone_name
from stream.sinks.command_listener import CommandListener
from stream.sinks.echo import EchoWatch
from stream.sinks.mqtt_client import TlsFiles
from stream.watch.metrics import Metrics
from stream.watch.reaper import Reaper

MODEL = ModelName("b", "0" * 64, "openvino")


def test_what_was_given_up_is_in_healthz_and_metrics(tmp_path: Path) -> None:
    address = BrokerAddress("127.0.0.1", 1, tls=False)
    commands = CommandListener(address, "mgfn", "node", TlsFiles(), ["door"], lambda: None, EchoWatch("mgfn"))
    for number in range(FEEDBACK_LIMIT + 3):
        commands.post(GiveVerdict("door", f"{number}.00-aaaaaa", "true"))
    reaper = Reaper()
    with Store.in_memory(tmp_path) as store:
        journal = Journal(store, Retention(), queue.Queue(LIMIT), lambda _: None, lambda *_: None)
        for _ in range(LIMIT // 2 + 2):  # nobody writes
            journal.setting("door", "scene", "x")
        journal.scores("door", b"")
        overview = Overview(
            "node", lambda: MODEL, [], None, Metrics(MODEL), None, journal, commands, reaper, store.clock, lambda: 5
        )
        health = overview.health()
        families = text_string_to_metric_families(overview.exposition().decode())
        shown = {sample.name: sample.value for family in families for sample in family.samples}
    wanted = {"events_lost": 0, "score_chunks_lost": 1, "lines_lost": 5, "commands_dropped": 3, "processes_stuck": 0}
    assert {name: health[name] for name in wanted} == wanted
    assert {name: shown[f"mgfn_{name}"] for name in wanted} == wanted
    assert health["oldest_unwritten"] >= 0


def test_the_reaper_counts_what_is_still_there() -> None:
    reaper = Reaper()
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    reaper.end(cast(multiprocessing.Process, process))
    reaper.wait(20)
    assert len(reaper) == 0
    assert not process.is_alive()


def test_the_browser_knows_the_sites_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "zoneinfo" / "Asia").mkdir(parents=True)
    (tmp_path / "zoneinfo" / "Asia" / "Kolkata").touch()
    (tmp_path / "localtime").symlink_to(tmp_path / "zoneinfo" / "Asia" / "Kolkata")
    assert zone_name(ZoneInfo("Europe/Berlin")) == "Europe/Berlin"
    assert zone_name(None, tmp_path / "localtime") == "Asia/Kolkata"
    assert re.fullmatch(r"[+-]\d\d:\d\d", zone_name(None, tmp_path / "none"))
