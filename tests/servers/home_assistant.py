"""A real Home Assistant from the package index, in a Python of its own: `make home-assistant` installs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.servers.processes import ended, free_port

PROGRAM: Final = Path(
    os.environ.get("MGFN_HOME_ASSISTANT", Path(__file__).parents[2] / ".home-assistant" / "bin" / "hass")
)
_CONFIGURATION: Final = """
homeassistant: {{name: test, time_zone: UTC, unit_system: metric, latitude: 0, longitude: 0, elevation: 0}}
frontend:
http: {{server_host: 127.0.0.1, server_port: {port}}}
mqtt_statestream: {{base_topic: ha}}
automation:
"""
_AUTOMATION: Final = """
  - alias: {name}
    trigger: {{platform: mqtt, topic: test/{name}}}
    action: {{service: {action}, target: {{entity_id: {entity}}}, data: {data}}}
"""


@contextmanager
def home_assistant(folder: Path, broker: int, actions: dict[str, tuple[str, str, dict[str, object]]]) -> Iterator[Path]:
    """Runs it in `folder`; gives its log. It is connected to the broker at that port, publishes the states of its
    entities below `ha/`, and calls an action (name, entity, data) when a message arrives at `test/NAME`.
    """
    if not PROGRAM.exists():
        pytest.skip("needs Home Assistant: make home-assistant (Python 3.13)")
    text = _CONFIGURATION.format(port=free_port())
    for name, (action, entity, data) in actions.items():
        text += _AUTOMATION.format(name=name, action=action, entity=entity, data=json.dumps(data))
    (folder / ".storage").mkdir(parents=True)
    (folder / "configuration.yaml").write_text(text)
    entry = {
        "entry_id": "1" * 32, "version": 1, "domain": "mqtt", "title": "broker", "source": "user", "unique_id": None,
        "data": {"broker": "127.0.0.1", "port": broker}, "options": {}, "disabled_by": None,
        "pref_disable_new_entities": False, "pref_disable_polling": False,
    }  # fmt: skip
    store = {"version": 1, "minor_version": 1, "key": "core.config_entries", "data": {"entries": [entry]}}
    (folder / ".storage" / "core.config_entries").write_text(json.dumps(store))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(PROGRAM), "--config", str(folder), "--skip-pip"], stdout=out, stderr=out, text=True
        )
    with ended(process):
        yield log
