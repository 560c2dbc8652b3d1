"""The daily digest: when it is due, what it says, and that Apprise delivers it."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.archive.store import Store
from stream.service.daily_digest import DailyDigest, next_time
from stream.service.processes import start_process
from stream.settings.flags import Flags, options
from stream.sinks.notifications import NotifySettings
from tests.servers.http import HttpServer
from tests.servers.processes import until
from tests.stream.settings.site.site_texts import problems, site

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-06-01T07:59:59", "2026-06-01T08:00"), ("2026-06-01T08:00:00", "2026-06-02T08:00"),
        ("2026-10-24T09:00", "2026-10-25T08:00"),  # a day of 25 hours
        ("2026-12-31T23:59", "2027-01-01T08:00"),
    ],
)  # fmt: skip
def test_when_it_is_due(now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=BERLIN).timestamp()
    assert datetime.fromtimestamp(next_time("08:00", at, BERLIN), BERLIN) == datetime.fromisoformat(due).replace(
        tzinfo=BERLIN
    )


def test_the_site_file_says_when() -> None:
    text = 'notify: {targets: ["json://h/"], digest: "08:00"}\ncameras: {door: {url: rtsp://h/1}}\n'
    assert options(Flags(), site(text)).notify == NotifySettings(("json://h/",), digest="08:00")
    for becomes, says in (('"8:00"', '"HH:MM"'), ('"24:00"', '"HH:MM"'), ('"08:00", targets: null', "targets")):
        assert any(says in problem for problem in problems(text.replace('"08:00"', becomes))), becomes


@pytest.mark.slow
def test_it_is_delivered(tmp_path: Path) -> None:
    phone = HttpServer(lambda _asked: (200, {}, {}))
    with Store.open(tmp_path) as store, store.transaction():
        event = Event.begun("door", time.time() - 60, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
        store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=False)
    now, kept = time.time(), [time.time() - 3 * 86_400]
    with phone.running():
        notify = NotifySettings((f"json://127.0.0.1:{phone.port}/",))
        for _ in range(2):  # the program starts twice, three days after the last digest
            digest = DailyDigest(notify, "08:00", tmp_path, "north", BERLIN, start_process, kept[-1], kept.append)
            thread = threading.Thread(target=digest.run)
            thread.start()
            until(lambda: kept[-1] >= now, 60, "the late digest")
            digest.stop()
            thread.join(10)
        (late,) = phone.asked
        assert late.body["title"].startswith("north: 1 alarms since ")
        assert late.body["title"].endswith(", 1 NOT ANSWERED")
        digest.send(time.time())  # stopped: not counted as sent
        assert len(kept) == 2
        DailyDigest(notify, "08:00", tmp_path, "north", BERLIN, start_process, None, kept.append).send(time.time())
    asked = phone.asked[-1]
    assert asked.body["title"] == "north: 1 alarms in the last day, 1 NOT ANSWERED"
    assert asked.body["message"].startswith("door: 1 alarms (0 true, 0 false, 1 unanswered)")
