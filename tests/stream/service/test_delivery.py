"""The service and `--check` on a broker whose access rules forget the topic of events."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.service import running
from tests.stream.cli.test_check import check, row

pytestmark = pytest.mark.slow

ALLOWED = ("mgfn/+/+", "mgfn/+/+/+", "mgfn/available", "mgfn/stats", "mgfn/self_test", "mgfn/node", "homeassistant/#")


def test_a_forgotten_topic_is_named_and_its_messages_arrive_once_it_is_allowed(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    acl, port = tmp_path / "acl", free_port()
    acl.write_text("".join(f"topic readwrite {topic}\n" for topic in ALLOWED))
    address = f"http://127.0.0.1:{port}"
    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        arguments = ["--rtsp", f"door=rtsp://127.0.0.1:{free_port()}/x", "--mqtt", broker.url]
        done = check(tmp_path / "check", tiny_bundle, *arguments)
        assert done.returncode == 1
        assert "failed mgfn/events: the broker's access rules" in row(done.stdout, "topics")
        arguments += ["--bundle", str(tiny_bundle), "--http", f"127.0.0.1:{port}"]
        with running(tmp_path, *arguments) as service:
            until(lambda: service.said("broker connected"), what="the broker")
            subscriber = Subscriber(broker.port)
            until(lambda: subscriber.last("mgfn/door/status") == "offline", what="the camera's state")

            def delivery() -> dict[str, object]:
                health: dict[str, dict[str, object]] = httpx.get(f"{address}/healthz").json()
                return health["delivery"]

            until(lambda: delivery()["proof"] == "proven", what="states that come back")
            subscriber.publish("mgfn/door/test/set", "")
            until(lambda: "mgfn/events" in str(delivery()["failed"]), what="the refusal")
            assert delivery()["proof"] == "failed"
            assert "mgfn_mqtt_topics_failed 1.0" in httpx.get(f"{address}/metrics").text
            assert not subscriber.events()
            acl.write_text("topic readwrite #\n")
            assert broker.process is not None
            broker.process.send_signal(signal.SIGHUP)
            until(lambda: len(subscriber.events()) >= 2, 60, "the messages that were kept")
            assert subscriber.events()[0]["delayed"]
            until(lambda: delivery() == {"proof": "proven", "failed": {}}, what="the recovery")
            assert "mgfn_mqtt_delivery_proven 1.0" in httpx.get(f"{address}/metrics").text
            until(lambda: service.said("messages reach subscribers again"), what="its being said")
            subscriber.close()
            assert service.stop() == 0
