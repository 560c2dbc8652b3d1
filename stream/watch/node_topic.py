"""The topics that tell others of this instance: its name, version, cameras and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.default_bundle import project_version
from stream.base.ownership import fenced
from stream.sinks.mqtt import MqttSink


class NodeTopic:
    """Used only by the loop. `page`: the address of the web page if others can reach it. `mqtt` None: no topic."""

    def __init__(self, mqtt: MqttSink | None, node: str, page: str | None) -> None:
        self._mqtt = mqtt
        self._node = node
        self._page = page
        self._told: dict[str, Any] = {}
        self._standing: Mapping[str, Any] = {}

    def cameras(self, names: Sequence[str], fence: int | None = None) -> None:
        """The cameras that are watched now; `fence` of the site, if they are shared."""
        told = {"node": self._node, "version": project_version(), "cameras": list(names), "page": self._page}
        told = fenced(told, fence)
        if self._mqtt is not None and told != self._told:
            self._told = told
            self._mqtt.node(told)

    def worker(self, standing: Mapping[str, Any]) -> None:
        """What this instance is among those that share its cameras; the same object again says nothing new."""
        if self._mqtt is not None and standing and standing is not self._standing:
            self._standing = standing
            self._mqtt.worker({"node": self._node, "version": project_version(), "page": self._page, **standing})
