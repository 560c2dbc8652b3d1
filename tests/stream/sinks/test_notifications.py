"""Notifications through the real Apprise to a real HTTP receiver."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.alarm.answer_links import AnswerLinks
from stream.alarm.event import EventMessage
from stream.base.errors import UsageError
from stream.sinks.courier import UndeliveredError
from stream.sinks.notifications import EscalateSettings, NotifySettings, NotifyTarget, notify_targets, wording
from tests.events import event_message
from tests.servers.http import Asked, HttpServer
from tests.servers.processes import free_port

EVENT = "1000.00-aaaaaa"


class Phone:
    """Apprise's json:// target."""

    def __init__(self) -> None:
        self.status = 200
        self.http = HttpServer(lambda _asked: (self.status, {}, {}))

    @property
    def url(self) -> str:
        return f"json://me:hunter2@127.0.0.1:{self.http.port}/inbox"

    @property
    def got(self) -> list[Asked]:
        return self.http.asked


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    with phone.http.running():
        yield phone


def message(kind: str = "new", **more: Any) -> EventMessage:
    return event_message(**({"type": kind, "id": EVENT} | more))


def target(phone: Phone, media: Path | None = None, **more: Any) -> NotifyTarget:
    (found,) = notify_targets(NotifySettings((phone.url,), **more), media)
    return found


def test_camera_time_score_and_picture_arrive(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / f"{EVENT}.jpg").write_bytes(b"a picture")
    threads = threading.active_count()
    one = target(phone, tmp_path)
    one.deliver(message(snapshot=f"/api/events/{EVENT}/snapshot.jpg"))
    one.deliver(message(snapshot="/api/events/2000.00-bbbbbb/snapshot.jpg", id="2000.00-bbbbbb", test=True))
    first, second = (asked.body for asked in phone.got)
    assert first["title"] == "front_door: anomaly, score 0.91"
    assert first["message"] == "front_door at 2026-11-23 20:33:20.120+00:00\nscore 0.91 (threshold 0.80)"
    (picture,) = first["attachments"]
    assert base64.b64decode(picture["base64"]) == b"a picture"
    # a picture that has expired meanwhile
    assert (second["title"], second["attachments"]) == ("TEST: front_door: anomaly, score 0.91", [])
    assert threading.active_count() <= threads + 2  # the receiver's: Apprise stays in our thread


def test_a_message_links_to_the_page_and_ntfy_gets_buttons() -> None:
    links = AnswerLinks("a key", "http://192.168.1.5:8080/")
    server = HttpServer(lambda _asked: (200, {}, {}))
    with server.running():
        own = f"ntfy://127.0.0.1:{server.port}/alarms"
        settings = NotifySettings((own, f"{own}?priority=high&click=http://mine/", f"json://127.0.0.1:{server.port}/"))
        for one in notify_targets(settings, None, links):
            one.deliver(message())
            one.tell("digest", "of the day")
        first, digest, second, _, plain, _ = server.asked
    page, answer = f"http://192.168.1.5:8080/#event/{EVENT}", links.answer(EVENT, "notify-1")
    assert first.headers["x-actions"] == f"view, Open, {page}; http, Acknowledge, {answer}, method=POST, clear=true"
    assert first.headers["x-click"] == page
    assert first.body["message"].endswith(f"\n{page}")
    assert "x-actions" not in digest.headers
    assert second.headers["x-click"] == "http://mine/"  # what the user has set stays
    assert str(links.answer(EVENT, "notify-2")) in second.headers["x-actions"]
    assert second.headers["x-priority"] == "high"
    assert plain.body["message"].endswith(page)
    (loopback,) = notify_targets(NotifySettings((own,)), None, AnswerLinks("a key", None))
    assert "http" not in wording(message(), 0, None)[1]
    assert loopback._with_buttons(message(), None) is loopback._box


def test_nothing_of_apprise_in_the_message(phone: Phone) -> None:
    one = target(phone)
    one.deliver(message())
    assert phone.got[0].headers["user-agent"] == "mgfn-stream"
    from apprise import NotifyType

    asset = one._box.asset
    assert asset.app_url == ""
    assert asset.image_url(NotifyType.INFO) is None
    assert asset.image_url(NotifyType.INFO, logo=True) is None


def test_what_it_wants_and_the_hours_bound(phone: Phone, capsys: pytest.CaptureFixture[str]) -> None:
    one = target(phone, per_hour=2)
    assert not one.wants(message("update"), 0.0)
    assert not one.wants(message("end"), 0.0)
    assert not one.wants(message(label="camera_lost"), 0.0)
    assert [one.wants(message(), at) for at in (0.0, 1.0, 2.0, 3599.9)] == [True, True, False, False]
    assert "".join(capsys.readouterr()).count("`per_hour` reached") == 1
    assert one.wants(message(), 3600.0)
    one.deliver(message())
    assert phone.got[0].body["message"].endswith("2 earlier messages were left out: the limit per hour was reached")
    one.deliver(message())
    assert "more before" not in phone.got[1].body["message"]
    assert target(phone, camera_lost=True).wants(message(label="camera_lost"), 0.0)
    assert wording(message(label="camera_lost"), 0)[0] == "front_door: camera lost"


def test_a_refusal_and_a_dead_target_are_said_without_the_url(phone: Phone, capfd: pytest.CaptureFixture[str]) -> None:
    phone.status = 500
    one = target(phone)
    with pytest.raises(UndeliveredError) as refused:
        one.deliver(message())
    (dead,) = notify_targets(NotifySettings((f"json://me:hunter2@127.0.0.1:{free_port()}/x",)), None)
    with pytest.raises(UndeliveredError) as gone:
        dead.deliver(message())
    said = "".join(capfd.readouterr())
    assert "hunter2" not in f"{refused.value}{gone.value}{said}"


@pytest.mark.parametrize("url", ["", "hunter2", "nonsense://hunter2", "json://", "tgram://hunter2"])
def test_targets_that_are_none_are_named_by_position(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"notify\.targets\[1\]: must be a URL that Apprise supports") as refused:
        notify_targets(NotifySettings(("json://localhost", url)), None)
    assert "hunter2" not in f"{refused.value}{capfd.readouterr()}"


def test_a_bound_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"notify\.per_hour: 0: must be 1 or more"):
        notify_targets(NotifySettings(("json://localhost",), per_hour=0), None)


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'mgfn-stream\[notify\]'"):
        notify_targets(NotifySettings(("json://localhost",)), None)


def test_other_people_are_told_of_what_nobody_has_answered(phone: Phone) -> None:
    settings = NotifySettings(("json://localhost",), escalate=EscalateSettings(300.0, (phone.url,)))
    first, other = notify_targets(settings, None)
    assert (first.name, other.name) == ("notify-1", "escalate-1")
    assert [target.wants(message(kind), 0.0) for target in (first, other) for kind in ("new", "escalated")] == [
        True, False, False, True,
    ]  # fmt: skip
    other.deliver(message("escalated"))
    assert phone.got[0].body["title"].startswith("NOT ANSWERED: front_door: anomaly")
    wrong = NotifySettings((), escalate=EscalateSettings(300.0, ("nowhere",)))
    with pytest.raises(UsageError, match=r"notify.escalate.to\[0\]: must be a URL that Apprise supports"):
        notify_targets(wrong, None)
