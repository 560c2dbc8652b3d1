"""The Frigate bridge against a server written to Frigate's published API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.alarm.event import EventMessage
from stream.base.errors import UsageError
from stream.sinks.courier import UndeliveredError
from stream.sinks.frigate import FrigateBridge, FrigateSettings
from tests.events import event_message
from tests.servers.http import FrigateServer
from tests.servers.processes import free_port


@pytest.fixture
def frigate() -> Iterator[FrigateServer]:
    server = FrigateServer({"door", "Back_Yard"})
    with server.http.running():
        yield server


def message(kind: str, event_id: str = "1000.00-aaaaaa", camera: str = "door", **more: Any) -> EventMessage:
    base = {"type": kind, "id": event_id, "camera": camera, "score": 0.91}
    return event_message(**(base | {"end_time": 1010.5 if kind == "end" else None} | more))


def test_an_alarm_is_an_event_from_its_beginning_to_its_end(frigate: FrigateServer) -> None:
    bridge = FrigateBridge(FrigateSettings(frigate.url, cameras={"yard": "Back_Yard"}))
    bridge.deliver(message("new"))
    bridge.deliver(message("new", "2000.00-bbbbbb", "yard", test=True))
    first, second = frigate.events.values()
    made = {"sub_label": "mgfn", "score": 0.91, "duration": None, "include_recording": True}
    assert first == made | {"id": first["id"], "camera": "door", "label": "anomaly", "end_time": None}
    assert (second["camera"], second["sub_label"]) == ("Back_Yard", "mgfn test")
    bridge.deliver(message("end", end_time=1010.5))
    assert (first["end_time"], second["end_time"]) == (1010.5, None)
    bridge.deliver(message("end", "2000.00-bbbbbb", "yard"))
    assert frigate.open() == []
    assert "0.17.0" in bridge.probe()
    bridge.close()


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (message("new"), True),
        (message("end"), True),
        (message("update"), False),
        (message("media"), False),
        (message("new", label="camera_lost"), False),
    ],
)
def test_what_it_wants(payload: EventMessage, wanted: bool) -> None:
    bridge = FrigateBridge(FrigateSettings("http://frigate:5000"))
    assert bridge.wants(payload, 0.0) is wanted
    bridge.close()


def test_an_end_after_a_restart_finds_the_event(frigate: FrigateServer) -> None:
    before = FrigateBridge(FrigateSettings(frigate.url))
    before.deliver(message("new"))
    before.close()
    frigate.events["other"] = {"id": "other", "camera": "door", "label": "person", "end_time": None}
    after = FrigateBridge(FrigateSettings(frigate.url))
    after.deliver(message("end"))
    assert frigate.open() == ["other"]
    after.close()


def test_a_lost_answer_leaves_no_event_open_for_ever(frigate: FrigateServer) -> None:
    bridge = FrigateBridge(FrigateSettings(frigate.url))
    frigate.broken_for = 1
    with pytest.raises(UndeliveredError, match="refused: 502"):
        bridge.deliver(message("new"))
    assert len(frigate.open()) == 1
    bridge.deliver(message("new"))  # the courier's second try
    assert len(frigate.events) == 2
    assert len(frigate.open()) == 1
    bridge.deliver(message("end"))
    assert frigate.open() == []
    bridge.close()


def test_an_end_that_was_given_up_is_made_good_before_the_next_event(frigate: FrigateServer) -> None:
    bridge = FrigateBridge(FrigateSettings(frigate.url))
    bridge.deliver(message("new"))
    frigate.away = True
    with pytest.raises(UndeliveredError, match="refused: 503"):
        bridge.deliver(message("end"))
    frigate.away = False
    bridge.deliver(message("new", "2000.00-bbbbbb"))
    first, second = frigate.events.values()
    assert first["end_time"] is not None
    assert frigate.open() == [second["id"]]
    bridge.close()


def test_what_is_refused_for_good_and_what_may_pass(frigate: FrigateServer) -> None:
    bridge = FrigateBridge(FrigateSettings(frigate.url))
    with pytest.raises(UndeliveredError, match="POST /api/events/nobody/anomaly/create refused: 404") as refused:
        bridge.deliver(message("new", camera="nobody"))
    assert refused.value.lasting
    bridge.close()
    away = FrigateBridge(FrigateSettings(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(UndeliveredError, match="no response") as unreachable:
        away.deliver(message("new"))
    assert not unreachable.value.lasting
    away.close()


def test_login_again_when_the_cookie_has_run_out_and_no_password_in_errors() -> None:
    server = FrigateServer({"door"}, login=("mgfn", "hunter2"))
    with server.http.running():
        port = server.http.port
        bridge = FrigateBridge(FrigateSettings(f"http://mgfn:hunter2@127.0.0.1:{port}"))
        bridge.deliver(message("new"))
        server.token = "second"
        bridge.deliver(message("end"))
        assert server.open() == []
        bridge.close()
        assert not any("hunter2" in str(asked.headers) for asked in server.http.asked)
        wrong = FrigateBridge(FrigateSettings(f"http://mgfn:hunter3@127.0.0.1:{port}"))
        with pytest.raises(UndeliveredError, match="refused: 401") as refused:
            wrong.deliver(message("new"))
        assert "hunter3" not in str(refused.value)
        wrong.close()


@pytest.mark.parametrize(
    "url", ["", "frigate:5000", "ftp://frigate", "http://", "http://u:hunter2@h:x/", "http://h?a=b"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match=r"frigate: url .*must be http\[s\]://") as refused:
        FrigateBridge(FrigateSettings(url))
    assert "hunter2" not in str(refused.value)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"frigate: ca .*none\.pem: not a usable"):
        FrigateBridge(FrigateSettings("https://frigate:8971", ca=tmp_path / "none.pem"))
