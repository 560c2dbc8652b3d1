"""The topic that tells others of this instance: its name, version, cameras and page."""

from __future__ import annotations

from collections.abc import Sequence

from engine.default_bundle import project_version
from stream.sinks.mqtt import MqttSink


class NodeTopic:
    """Used only by the loop. `page`: the address of the web page if others can reach it. `mqtt` None: no topic."""

    def __init__(self, mqtt: MqttSink | None, node: str, page: str | None) -> None:
        self._mqtt = mqtt
        self._node = node
        self._page = page
        self._cameras: list[str] | None = None

    def cameras(self, names: Sequence[str]) -> None:
        """The cameras that are watched now."""
        if self._mqtt is not None and list(names) != self._cameras:
            self._cameras = list(names)
            told = {"node": self._node, "version": project_version(), "cameras": self._cameras, "page": self._page}
            self._mqtt.node(told)
