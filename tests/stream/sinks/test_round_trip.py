"""`--check` on real brokers that forget topics, let nobody read, or accept small packets only."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.base.addresses import parse_broker
from stream.sinks import mqtt_client
from stream.sinks.broker_visit import BrokerVisit
from stream.sinks.echo import NOT_BACK, Proof
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.round_trip import ImageProof, TopicProof, check_image, check_topics
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.stream.sinks.delivering import FORBIDDEN, old_dialect
from tests.stream.sinks.test_image_queue import jpeg

pytestmark = pytest.mark.slow

CAMERAS = ("door", "yard")
SNAPSHOT = "mgfn/door/anomaly/snapshot"


def checked(broker: Mosquitto) -> dict[str, TopicProof]:
    with BrokerVisit(parse_broker(broker.url), TlsFiles(), "test") as visit:
        return {proof.topic: proof for proof in check_topics(visit, "mgfn", "test", CAMERAS)}


@pytest.fixture(params=["5", "3.1.1"])
def speaks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The version of MQTT that the program uses."""
    if request.param == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    return str(request.param)


def test_every_topic_comes_back_and_nothing_changes(mosquitto: Mosquitto, speaks: str) -> None:
    subscriber = Subscriber(mosquitto.port, "#")
    states = {"mgfn/door/status": "online", "mgfn/door/anomaly": "ON", "mgfn/available": "online"}
    for topic, payload in states.items():
        subscriber.publish(topic, payload, retain=True)
    picture = jpeg(60_000)
    with BrokerVisit(parse_broker(mosquitto.url), TlsFiles(), "test") as visit:
        assert visit.version == speaks
        proofs = check_topics(visit, "mgfn", "test", CAMERAS)
        assert {proof.proof for proof in proofs} == {Proof.PROVEN}
        assert len(proofs) == len({proof.topic for proof in proofs}) == 7 + len(CAMERAS) * 16
        found = check_image(visit, SNAPSHOT, picture)
        assert (found.tried, found.accepted) == (len(picture), len(picture))
    until(lambda: subscriber.latest[SNAPSHOT] == b"", what="the picture being taken back")
    assert {topic: subscriber.last(topic) for topic in states} == states
    assert [e["type"] for e in subscriber.events()] == ["new", "end"]
    assert all(e["test"] for e in subscriber.events())
    subscriber.close()
    late = Subscriber(mosquitto.port, "#")
    until(lambda: len(late.latest) == len(states), what="what the broker retains")
    assert {topic: late.last(topic) for topic in states} == states
    late.close()


def test_a_topic_that_the_access_rules_forget_is_named(tmp_path: Path, speaks: str) -> None:
    acl = tmp_path / "acl"
    lines = [f"mgfn/{name}" for name in ("available", "stats", "self_test", "node", "mode/#", "door/#", "yard/#")]
    lines.append("homeassistant/#")
    acl.write_text("".join(f"topic readwrite {line}\n" for line in lines))
    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        proofs = checked(broker)
    reason = FORBIDDEN if speaks == "5" else NOT_BACK
    assert proofs.pop("mgfn/events") == TopicProof("mgfn/events", Proof.FAILED, reason)
    assert {proof.proof for proof in proofs.values()} == {Proof.PROVEN}


def test_an_account_that_may_publish_and_not_read_is_unproven(tmp_path: Path, speaks: str) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic write mgfn/#\ntopic write homeassistant/#\n")
    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        proofs = checked(broker)
    assert {proof.proof for proof in proofs.values()} == {Proof.UNPROVEN}


def test_nobody_need_be_allowed_to_give_himself_commands(tmp_path: Path, speaks: str) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite mgfn/events\ntopic readwrite mgfn/door/status\ntopic read mgfn/+/test/set\n")
    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        proofs = checked(broker)
    assert proofs["mgfn/door/test/set"].proof is Proof.UNPROVEN
    assert proofs["mgfn/events"].proof is Proof.PROVEN
    assert proofs["mgfn/yard/status"].proof is Proof.FAILED
    assert proofs["mgfn/yard/status"].reason == (FORBIDDEN if speaks == "5" else NOT_BACK)


def test_the_limit_of_packets_is_found(tmp_path: Path, speaks: str) -> None:
    picture = jpeg(100_000)
    with (
        Mosquitto(tmp_path, extra=("max_packet_size 20000",)).running() as broker,
        BrokerVisit(parse_broker(broker.url), TlsFiles(), "test") as visit,
    ):
        assert {proof.proof for proof in check_topics(visit, "mgfn", "test", CAMERAS)} == {Proof.PROVEN}
        found = check_image(visit, SNAPSHOT, picture)
    assert found.tried == len(picture)
    assert (15_000 if speaks == "5" else 8_000) < found.accepted < 20_000


def test_a_broker_that_drops_the_connection_for_a_topic(tmp_path: Path) -> None:
    """3.1.1 has no other word; here the events are larger than the broker's packets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
        with (
            Mosquitto(tmp_path, extra=("max_packet_size 600",)).running() as broker,
            BrokerVisit(parse_broker(broker.url), TlsFiles(), "test") as visit,
        ):
            proofs = check_topics(visit, "mgfn", "test", CAMERAS)
            failed = {proof.topic: proof.reason for proof in proofs if proof.proof is Proof.FAILED}
            assert failed == {"mgfn/events": "the broker drops the connection because of it"}
            assert {p.proof for p in proofs if p.topic not in failed} == {Proof.PROVEN}
            assert check_image(visit, SNAPSHOT, jpeg(9_000)) == ImageProof(len(jpeg(9_000)), 0, 0.0)
