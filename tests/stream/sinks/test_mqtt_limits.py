"""Brokers that refuse large packets, and slow lines: what is dropped, and what nothing may hold up."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.alarm.outbox import Waiting
from stream.base.addresses import parse_broker
from stream.sinks import mqtt_client
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.slow_link import SlowLink
from tests.stream.sinks.delivering import MODEL, delivering, events, old_dialect
from tests.stream.sinks.test_image_queue import jpeg


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_a_picture_that_the_broker_refuses_blocks_no_event(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, speaks: str
) -> None:
    """MQTT 5 names the limit; 3.1.1 just drops the connection."""
    picture = jpeg(60_000)
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    with Mosquitto(tmp_path, extra=("max_packet_size 20000",)).running() as broker:
        subscriber = Subscriber(broker.port)
        with delivering(parse_broker(broker.url)) as sink:
            until(lambda: sink.connected)
            for _ in range(4):
                messages = list(events(3))
                sink.event(Waiting(messages[0], time.time()))
                sink.camera_snapshot("door", picture)
                for message in messages[1:]:
                    sink.event(Waiting(message, time.time()))
            until(lambda: len({(e["id"], e["seq"]) for e in subscriber.events()}) == 12, 20)

            def shown() -> int:
                return len(subscriber.latest.get("mgfn/door/anomaly/snapshot", b""))

            until(lambda: 8_192 < shown() < 20_000, 60, "the picture, smaller")
            until(lambda: sink.connected, 20)
            sink.camera_status("door", "online", available=True)
            until(lambda: subscriber.last("mgfn/door/status") == "online", 20)
        subscriber.close()
    said = "".join(capfd.readouterr())
    assert said.count("maximum packet size") == 1
    assert ("limit=20000" in re.sub(r'"limit": ', "limit=", said)) is (speaks == "5")


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_a_state_that_the_broker_drops_the_connection_for_holds_up_nothing(
    small_packets: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    speaks: str,
) -> None:
    """Discovery messages are larger than this broker takes; a broker may also drop us for a topic."""
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    subscriber = Subscriber(small_packets.port)
    with delivering(parse_broker(small_packets.url)) as sink:
        sink.announce("homeassistant/device/a/config", {"name": "x" * 2_000})
        for camera in ("door", "yard"):
            sink.camera_status(camera, "online", available=True)
        for message in events(5):
            sink.event(Waiting(message, time.time()))
        until(lambda: len(subscriber.events()) >= 5, 60, "the events")
        until(lambda: subscriber.last("mgfn/yard/status") == "online", 60, "the states")
        sink.camera_anomaly("door", active=True)
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON", 60, "a state that comes later")
        until(lambda: sink._backlog.finished(connected=True) or sink._backlog._states.settled, what="all being said")
        until(lambda: sink.connected)
        assert sink.echo.failed() == {}
    said = "".join(capfd.readouterr())
    assert "homeassistant/device/a/config" in said
    subscriber.close()


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_an_event_that_the_broker_does_not_take_holds_up_no_other_camera(
    small_packets: Mosquitto, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], speaks: str
) -> None:
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    subscriber, now = Subscriber(small_packets.port), time.time()
    large = Event.begun("door", now, (0.8, 0.6), ModelName("x" * 1_500, "ab" * 32, "openvino"))
    others = [Event.begun(camera, now, (0.8, 0.6), MODEL) for camera in ("yard", "hall")]
    with delivering(parse_broker(small_packets.url)) as sink:
        until(lambda: sink.connected)
        for event in (large, *others):
            sink.event(Waiting(event.new(Moment(0.9, 0.9, 32, now)), now))
        until(lambda: {e["camera"] for e in subscriber.events()} == {"yard", "hall"}, 60, "the others' events")
        until(lambda: sink.waiting == (0 if speaks == "5" else 1), what="the acknowledgements")
        if speaks == "5":  # the broker has named its limit: it will never take it
            assert sink.events_lost == 1
            assert "larger than the 1500 bytes" in sink.echo.failed().get("mgfn/events", "") + said(capfd)
        else:  # it may be for another reason: it is kept
            assert sink.events_lost == 0
            until(lambda: "message skipped" in said(capfd), what="its being said")
    subscriber.close()


def said(capfd: pytest.CaptureFixture[str]) -> str:
    return "".join(capfd.readouterr())


@pytest.fixture
def small_packets(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, extra=("max_packet_size 1500",)).running() as broker:
        yield broker


@pytest.mark.slow
def test_over_a_slow_line_that_is_cut_an_alarm_waits_for_no_more_than_one_picture(mosquitto: Mosquitto) -> None:
    """An uplink of 12 KB/s and three retained pictures of 100 KB, on a connection that is cut once."""
    picture = jpeg(100_000)
    subscriber, link = Subscriber(mosquitto.port), SlowLink(mosquitto.port, 12_000)
    waits: list[float] = []

    def shown() -> int:
        return len([t for t in subscriber.latest if t.endswith("/snapshot")])

    def alarm() -> None:
        message = next(events(2))
        said = time.monotonic()
        sink.event(Waiting(message, time.time()))
        until(lambda: message.id in {e["id"] for e in subscriber.events()}, 30, "the alarm")
        waits.append(time.monotonic() - said)

    with link.running(), delivering(parse_broker(link.url)) as sink:
        until(lambda: sink.connected)
        for camera in ("door", "yard", "hall"):
            sink.camera_snapshot(camera, picture)
        until(lambda: sink._backlog._images._in_transit is not None, what="an image under way")
        alarm()
        until(lambda: shown() == 1, 30, "the first picture")
        alarm()
        link.cut()
        alarm()
        until(lambda: shown() == 3, 60, "all pictures")
        before = link.sent
        for camera in ("door", "yard", "hall"):
            sink.camera_snapshot(camera, picture[:-2] + b"\xff\xd9")
        until(lambda: link.sent > before + 2_000, what="an image on the wire")
        alarm()
        assert all(len(p) <= 30_000 for t, p in subscriber.latest.items() if t.endswith("/snapshot"))
        assert any(len(p) > 8_192 for t, p in subscriber.latest.items() if t.endswith("/snapshot"))
        # two seconds on the wire, and a second until a cut connection is opened again
        assert max(waits) < 4.0, waits
        assert max(waits[:2] + waits[3:]) < 3.0, waits
        link.rate = None
    subscriber.close()


@pytest.mark.slow
def test_scores_are_left_out_where_the_line_is_full(mosquitto: Mosquitto) -> None:
    subscriber, link = Subscriber(mosquitto.port), SlowLink(mosquitto.port, 2_000)
    with link.running(), delivering(parse_broker(link.url)) as sink:
        until(lambda: sink.connected)
        until(lambda: subscriber.last("mgfn/available") == "online")
        for number in range(2_000):  # 150 KB at once
            sink.score("door", number / 2_000, 0.8, 1000.0 + number, 32)
        message, said = next(events(2)), time.monotonic()
        sink.event(Waiting(message, time.time()))
        until(lambda: subscriber.events(), 60, "the alarm")
        assert time.monotonic() - said < 15.0
        link.rate = None
    subscriber.close()
