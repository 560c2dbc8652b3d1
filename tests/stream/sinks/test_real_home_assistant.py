"""A real Home Assistant discovers a camera and the modes, shows their states, and changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.home_assistant import home_assistant
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.service import running

pytestmark = pytest.mark.slow

SITE = """
mqtt: {{url: {mqtt}}}
http: {{address: "off"}}
bundle: {bundle}
modes:
  home: {{}}
  away: {{}}
  off: {{every: {{enabled: false}}}}
cameras:
  door: {{url: "rtsp://127.0.0.1:1/nothing", alarm: {{threshold_on: 0.5}}}}
"""
ACTIONS: dict[str, tuple[str, str, dict[str, object]]] = {
    "disable": ("switch.turn_off", "switch.door_enabled", {}),
    "threshold": ("number.set_value", "number.door_alarm_threshold", {"value": 0.75}),
    "snooze": ("number.set_value", "number.door_snooze", {"value": 30}),
    "arm": ("alarm_control_panel.alarm_arm_away", "alarm_control_panel.pi_alarm", {}),
    "mode": ("select.select_option", "select.pi_mode", {"option": "home"}),
}


def test_it_discovers_shows_and_commands(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(mqtt=mosquitto.url, bundle=tiny_bundle))
    home = Subscriber(mosquitto.port, "ha/#")
    ours = Subscriber(mosquitto.port)

    def shown(entity: str) -> str | None:
        return home.last(f"ha/{entity}/state")

    with (
        running(tmp_path, "--config", site, "--node", "pi", "--self-test", "off") as service,
        home_assistant(tmp_path / "home-assistant", mosquitto.port, ACTIONS) as log,
    ):
        until(lambda: shown("switch/door_enabled") == "on", 90, f"the camera; see {log}")
        until(lambda: shown("select/pi_mode") == "home", 30, "the modes")
        assert shown("binary_sensor/door_connection") == "off"  # it has the state, and the camera is not there
        assert shown("binary_sensor/door_anomaly") == "unavailable"
        assert shown("number/door_alarm_threshold") == "0.5"
        assert shown("alarm_control_panel/pi_alarm") == "armed_home"
        assert shown("button/door_acknowledge") == "unknown"  # never pressed

        home.publish("test/disable", "")
        until(lambda: shown("switch/door_enabled") == "off", 30, "the camera off")
        assert ours.last("mgfn/door/enabled/state") == "OFF"
        home.publish("test/threshold", "")
        until(lambda: shown("number/door_alarm_threshold") == "0.75", 30, "the threshold")
        home.publish("test/snooze", "")
        until(lambda: shown("number/door_snooze") == "30", 30, "the snooze")
        home.publish("test/arm", "")
        until(lambda: shown("alarm_control_panel/pi_alarm") == "armed_away", 30, "the mode by the panel")
        assert ours.last("mgfn/mode/state") == "away"
        home.publish("test/mode", "")
        until(lambda: shown("select/pi_mode") == "home", 30, "the mode by the select")

        assert service.stop() == 0
        until(lambda: shown("switch/door_enabled") == "unavailable", 30, "that the program has stopped")
        assert "ERROR" not in "\n".join(line for line in log.read_text().splitlines() if "mqtt" in line)
    home.close()
    ours.close()
