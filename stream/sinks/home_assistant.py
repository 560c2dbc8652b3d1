"""Discovery messages for Home Assistant: one device for each camera (device-based MQTT discovery). Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from stream.alarm.modes import BY_SCHEDULE, NO_MODE
from stream.alarm.snooze import LONGEST_SNOOZE

BIRTH_TOPIC: Final = "homeassistant/status"


def device_id(node: str, camera: str) -> str:
    """`<node>_<camera>_<hash>`; characters that a discovery topic cannot contain are replaced by `_`.

    The hash distinguishes `pi` + `garage_door` from `pi_garage` + `door`, and names that differ in such characters.
    """
    digest = hashlib.sha256(f"{node}\0{camera}".encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', node)}_{camera}_{digest}"


def discovery_topic(node: str, camera: str) -> str:
    return f"homeassistant/device/{device_id(node, camera)}/config"


def discovery(
    prefix: str, node: str, camera: str, version: str, page: str | None, available: str | None = None
) -> dict[str, Any]:
    """The payload of a camera's discovery message. `page` is the address of our web page, if it is reachable;
    `available` the topic that says whether the program runs that watches the camera.
    """
    own = device_id(node, camera)
    base = f"{prefix}/{camera}"
    program = {"topic": available or f"{prefix}/available"}

    def component(key: str, platform: str, name: str, **options: Any) -> dict[str, Any]:
        identity = {"platform": platform, "unique_id": f"mgfn_{own}_{key}", "name": name}
        return identity | {"default_entity_id": f"{platform}.{camera.lower().replace('-', '_')}_{key}"} | options

    # these entities are useful while the camera is unreachable
    always: dict[str, Any] = {"availability": [program]}
    components = {
        "anomaly": component(
            "anomaly", "binary_sensor", "Anomaly",
            device_class="safety", state_topic=f"{base}/anomaly", payload_on="ON", payload_off="OFF",
        ),
        "score": component(
            "score", "sensor", "Score",
            state_topic=f"{base}/score/slow", value_template="{{ value_json.score }}", state_class="measurement",
            suggested_display_precision=2, enabled_by_default=False, expire_after=60, icon="mdi:chart-bell-curve",
        ),
        "snapshot": component(
            "snapshot", "image", "Last alarm", image_topic=f"{base}/anomaly/snapshot", content_type="image/jpeg",
        ),
        "connection": component(
            "connection", "binary_sensor", "Connection",
            device_class="connectivity", entity_category="diagnostic", state_topic=f"{base}/available",
            payload_on="online", payload_off="offline", **always,
        ),
        "enabled": component(
            "enabled", "switch", "Enabled",
            state_topic=f"{base}/enabled/state", command_topic=f"{base}/enabled/set", payload_on="ON",
            payload_off="OFF", entity_category="config", icon="mdi:shield-check", **always,
        ),
        "threshold": component(
            "threshold", "number", "Alarm threshold",
            state_topic=f"{base}/threshold/state", command_topic=f"{base}/threshold/set", min=0, max=1, step=0.01,
            mode="box", entity_category="config", icon="mdi:tune", **always,
        ),
        "snooze": component(
            "snooze", "number", "Snooze",
            state_topic=f"{base}/snooze/state", command_topic=f"{base}/snooze/set", min=0, max=LONGEST_SNOOZE, step=1,
            value_template="{{ 0 if value == 'off' else ((as_datetime(value) - now()).total_seconds() / 60) | round }}",
            unit_of_measurement="min", mode="box", icon="mdi:bell-sleep", **always,
        ),
        "snoozed_until": component(
            "snoozed_until", "sensor", "Snoozed until",
            state_topic=f"{base}/snooze/state", value_template="{{ None if value == 'off' else value }}",
            device_class="timestamp", icon="mdi:bell-sleep", **always,
        ),
        "false_alarm": component(
            "false_alarm", "button", "False alarm",
            command_topic=f"{base}/feedback/set",
            payload_press=json.dumps({"id": "latest", "verdict": "false_alarm"}), icon="mdi:thumb-down", **always,
        ),
        "acknowledge": component(
            "acknowledge", "button", "Acknowledge",
            command_topic=f"{base}/ack/set", payload_press=json.dumps({"id": "latest", "by": "Home Assistant"}),
            icon="mdi:bell-check", **always,
        ),
    }  # fmt: skip
    device = {
        "identifiers": [f"mgfn_{own}"],
        "name": camera,
        "manufacturer": "mgfn-stream",
        "model": "MGFN anomaly detection",
        "sw_version": version,
    }
    if page is not None:
        device["configuration_url"] = page
    return {
        "device": device,
        "origin": {"name": "mgfn-stream", "sw_version": version},
        "components": components,
        "availability": [program, {"topic": f"{base}/available"}],
        "availability_mode": "all",
        "qos": 1,
    }


_ARMED: Final = {"home": "armed_home", "away": "armed_away", "night": "armed_night", "off": "disarmed"}


def mode_discovery(
    prefix: str, node: str, options: Sequence[str], version: str, page: str | None
) -> tuple[str, dict[str, Any]]:
    """Topic and payload of the device with the modes of the site: a select and, if all modes are named `home`, `away`,
    `night` or `off`, an alarm panel. `options`: the modes, and `auto`.
    """
    own = device_id(node, "mode")
    name = re.sub(r"[^a-z0-9]+", "_", node.lower())
    state, command = f"{prefix}/mode/state", f"{prefix}/mode/set"
    components: dict[str, Any] = {
        "mode": {
            "platform": "select", "unique_id": f"mgfn_{own}_mode", "name": "Mode",
            "default_entity_id": f"select.{name}_mode", "state_topic": state, "command_topic": command,
            "options": [*options, NO_MODE], "icon": "mdi:home-switch",
        }
    }  # fmt: skip
    modes = [option for option in options if option != BY_SCHEDULE]
    if set(modes) <= set(_ARMED) and "off" in modes and len(modes) > 1:
        components["panel"] = {
            "platform": "alarm_control_panel", "unique_id": f"mgfn_{own}_panel", "name": "Alarm",
            "default_entity_id": f"alarm_control_panel.{name}", "state_topic": state, "command_topic": command,
            "value_template": "{{ " + json.dumps(_ARMED) + ".get(value, None) }}",
            "payload_arm_home": "home", "payload_arm_away": "away", "payload_arm_night": "night",
            "payload_disarm": "off", "code_arm_required": False, "code_disarm_required": False,
            "supported_features": [f"arm_{mode}" for mode in modes if mode != "off"],
        }  # fmt: skip
    device = {"identifiers": [f"mgfn_{own}"], "name": node, "manufacturer": "mgfn-stream", "sw_version": version}
    payload = {
        "device": device if page is None else device | {"configuration_url": page},
        "origin": {"name": "mgfn-stream", "sw_version": version},
        "components": components,
        "availability": [{"topic": f"{prefix}/available"}],
        "qos": 1,
    }
    return discovery_topic(node, "mode"), payload
