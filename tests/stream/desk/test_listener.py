"""The desk's connection to a broker, with a real Mosquitto."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from stream.base.addresses import parse_broker
from stream.desk.listener import DeskListener
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until


@pytest.mark.slow
def test_an_answer_counts_only_when_the_broker_has_accepted_it(tmp_path: Path) -> None:
    with Mosquitto(tmp_path).running() as broker:
        site = Subscriber(broker.port, "a/#")
        site.publish("a/node", json.dumps({"node": "site", "cameras": ["door"]}), retain=True)
        desk = DeskListener(parse_broker(broker.url), TlsFiles(), [])
        desk.start()
        until(lambda: desk.state()["nodes"], what="the node")
        told = {"id": "1.00-abcdef", "camera": "door", "severity": "alarm", "start_time": 1.0, "acknowledged": None}

        def alarm_is_known() -> bool:
            site.publish("a/events", json.dumps(told))  # again, until the desk has subscribed
            return bool(desk.state()["alarms"])

        until(alarm_is_known, what="the alarm")
        assert not desk.acknowledge("a", "door", "2.00-abcdef", "anna")
        assert desk.acknowledge("a", "door", "1.00-abcdef", "anna")
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        try:
            assert not desk.acknowledge("a", "door", "1.00-abcdef", "berta")
        finally:
            broker.process.send_signal(signal.SIGCONT)
        until(lambda: "berta" in str(site.last("a/door/ack/set")), what="the late answer")
        desk.stop()
        site.close()
