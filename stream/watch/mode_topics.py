"""What the broker retains of the modes of the site: the mode in force, and Home Assistant's device."""

from __future__ import annotations

from collections.abc import Sequence

from engine.default_bundle import project_version
from stream.sinks.home_assistant import mode_discovery
from stream.sinks.mqtt import MqttSink


class ModeTopics:
    """Used only by the loop. `page`: the address of the web page if others can reach it. `mqtt` None: no topics."""

    def __init__(self, mqtt: MqttSink | None, prefix: str, node: str, page: str | None) -> None:
        self._mqtt = mqtt
        self._prefix = prefix
        self._node = node
        self._page = page

    def options(self, options: Sequence[str]) -> None:
        """What can be chosen; nothing, if the site has no modes any more."""
        if self._mqtt is None:
            return
        topic, payload = mode_discovery(self._prefix, self._node, options, project_version(), self._page)
        if options:
            self._mqtt.announce(topic, payload)
        else:
            self._mqtt.withdraw([topic, f"{self._prefix}/mode/state"])

    def name(self, name: str) -> None:
        """The mode in force."""
        if self._mqtt is not None:
            self._mqtt.mode(name)
