"""The discovery message against the published rules."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from stream.sinks.home_assistant import discovery, discovery_topic, mode_discovery

PLATFORMS = {"binary_sensor", "sensor", "image", "switch", "number", "button"}


@pytest.fixture
def payload() -> dict[str, Any]:
    return json.loads(json.dumps(discovery("mgfn", "nvr.local", "front_door", "0.1.0", "http://nvr:8080/")))


def test_the_topic_takes_what_discovery_topics_carry() -> None:
    topic = discovery_topic("nvr.local", "front_door")
    assert topic == "homeassistant/device/nvr_local_front_door_0cfbb9/config"
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("pi", "garage_door"), ("pi_garage", "door")), (("k\u00fcche", "door"), ("k\u00e4che", "door"))],
)
def test_no_two_cameras_share_a_topic_or_an_entity(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert discovery_topic(*one) != discovery_topic(*other)
    ours, theirs = (discovery("mgfn", *name, "0", None)["components"] for name in (one, other))
    assert not {c["unique_id"] for c in ours.values()} & {c["unique_id"] for c in theirs.values()}


def test_device_and_origin(payload: dict[str, Any]) -> None:
    assert payload["device"]["identifiers"] == ["mgfn_nvr_local_front_door_0cfbb9"]
    assert payload["device"]["configuration_url"] == "http://nvr:8080/"
    assert payload["origin"]["name"] == "mgfn-stream"
    assert payload["availability_mode"] == "all"
    assert payload["availability"] == [{"topic": "mgfn/available"}, {"topic": "mgfn/front_door/available"}]
    assert "configuration_url" not in discovery("mgfn", "n", "c", "0", None)["device"]


def test_every_component_is_complete(payload: dict[str, Any]) -> None:
    components = payload["components"]
    kinds = sorted((c["platform"], str(c.get("device_class"))) for c in components.values())
    assert kinds == sorted(
        [("binary_sensor", "safety"), ("binary_sensor", "connectivity"), ("sensor", "None"), ("image", "None"),
         ("switch", "None"), ("number", "None"), ("button", "None"), ("button", "None"), ("number", "None"),
         ("sensor", "timestamp")],
    )  # fmt: skip
    assert len({c["unique_id"] for c in components.values()}) == 10
    for component in components.values():
        assert component["platform"] in PLATFORMS
        assert len(component) > 3
        assert component["default_entity_id"].startswith(component["platform"] + ".")


def test_what_each_component_listens_to(payload: dict[str, Any]) -> None:
    c = payload["components"]
    assert c["anomaly"]["state_topic"] == "mgfn/front_door/anomaly"
    assert c["score"]["state_topic"] == "mgfn/front_door/score/slow"
    assert c["score"]["enabled_by_default"] is False
    assert (c["snapshot"]["image_topic"], c["snapshot"]["content_type"]) == (
        "mgfn/front_door/anomaly/snapshot",
        "image/jpeg",
    )
    # a connectivity sensor that goes away with the camera could not say so
    assert c["connection"]["availability"] == [{"topic": "mgfn/available"}]
    assert (c["threshold"]["min"], c["threshold"]["max"], c["threshold"]["step"]) == (0, 1, 0.01)
    assert c["enabled"]["command_topic"] == "mgfn/front_door/enabled/set"
    assert json.loads(c["false_alarm"]["payload_press"]) == {"id": "latest", "verdict": "false_alarm"}
    # expire_after is for states that are not retained
    assert [key for key, value in c.items() if "expire_after" in value] == ["score"]


def test_modes_are_a_select_and_an_alarm_panel_only_if_all_are_its_states() -> None:
    topic, payload = mode_discovery("mgfn", "NVR.local", ("home", "night", "off", "auto"), "0.1.0", None)
    assert re.fullmatch(r"homeassistant/device/NVR_local_mode_[0-9a-f]{6}/config", topic)
    select, panel = payload["components"]["mode"], payload["components"]["panel"]
    assert select["options"] == ["home", "night", "off", "auto", "none"]
    assert (select["state_topic"], panel["command_topic"]) == ("mgfn/mode/state", "mgfn/mode/set")
    assert panel["supported_features"] == ["arm_home", "arm_night"]
    assert (panel["payload_arm_night"], panel["payload_disarm"]) == ("night", "off")
    assert '"night": "armed_night"' in panel["value_template"]
    for options in (("home", "garden", "off", "auto"), ("home", "away", "auto"), ("off", "auto")):
        assert list(mode_discovery("mgfn", "n", options, "0", None)[1]["components"]) == ["mode"], options
