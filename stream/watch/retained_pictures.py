"""The picture of each camera's last alarm on its retained topic, as long as the file exists.

The loop says which cameras there are; the journal's threads say which files were written and which expired.
"""

from __future__ import annotations

import threading
from pathlib import Path

from stream.archive.media import Kind, media_path
from stream.sinks.mqtt import MqttSink


class RetainedPictures:
    """`media` is the folder of pictures; `mqtt` is None where nothing is published. Verbs from any thread."""

    def __init__(self, mqtt: MqttSink | None, media: Path) -> None:
        self._mqtt = mqtt
        self._media = media
        self._lock = threading.Lock()
        self._shown: dict[str, str | None] = {}  # camera -> event whose picture is retained

    def add(self, camera: str) -> None:
        with self._lock:
            self._shown.setdefault(camera, None)

    def remove(self, camera: str) -> None:
        """The camera is gone; whoever forgets its topics empties this one, too."""
        with self._lock:
            self._shown.pop(camera, None)

    def show(self, camera: str, event_id: str) -> None:
        """The event's picture is the camera's newest."""
        if self._mqtt is None or camera not in self._shown:
            return
        try:
            jpeg = media_path(self._media, event_id, "snapshot").read_bytes()
        except OSError:
            return
        with self._lock:
            if camera not in self._shown:  # gone meanwhile
                return
            self._shown[camera] = event_id
        self._mqtt.camera_snapshot(camera, jpeg)

    def expired(self, event_id: str, kind: Kind) -> None:
        """A file is gone."""
        if kind != "snapshot" or self._mqtt is None:
            return
        with self._lock:
            emptied = [camera for camera, shown in self._shown.items() if shown == event_id]
            self._shown.update(dict.fromkeys(emptied))
        for camera in emptied:
            self._mqtt.camera_snapshot(camera, b"")
