"""The image of each camera's last alarm on its retained topic, for as long as the file exists.

If several instances share the cameras, another one may have published it and have the file. Then it stays for as long
as files of the camera are kept, counted from the alarm.

The loop reports cameras; the journal's threads report files that were written or expired.
"""

from __future__ import annotations

import threading
from pathlib import Path

from stream.archive.media import Kind, media_path
from stream.sinks.mqtt import MqttSink


class RetainedPictures:
    """`media` is the folder of images; `mqtt` is None if nothing is published. Thread-safe."""

    def __init__(self, mqtt: MqttSink | None, media: Path) -> None:
        self._mqtt = mqtt
        self._media = media
        self._lock = threading.Lock()
        self._shown: dict[str, str | None] = {}  # camera -> event whose picture is retained
        self._taken: dict[str, float] = {}  # camera -> epoch time of the retained picture, whoever published it

    def add(self, camera: str) -> None:
        with self._lock:
            self._shown.setdefault(camera, None)

    def remove(self, camera: str) -> None:
        """The camera was removed; its topics, including this one, are emptied elsewhere."""
        with self._lock:
            self._shown.pop(camera, None)
            self._taken.pop(camera, None)

    def taken(self, camera: str) -> float | None:
        """Epoch time of the alarm whose image the broker retains; None if there is none."""
        with self._lock:
            return self._taken.get(camera)

    def adopt(self, camera: str, taken: float) -> None:
        """The broker may retain an image that another instance has published, of an alarm at that epoch time."""
        with self._lock:
            if camera in self._shown:
                self._taken[camera] = taken

    def empty_older(self, camera: str, taken: float) -> None:
        """Empty the topic if its image is of an alarm before that epoch time."""
        with self._lock:
            if self._taken.get(camera, taken) >= taken:
                return
            self._shown[camera] = None
            del self._taken[camera]
        if self._mqtt is not None:
            self._mqtt.camera_snapshot(camera, b"")

    def show(self, camera: str, event_id: str) -> None:
        """This event's image is now the camera's newest."""
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
            self._taken[camera] = float(event_id.partition("-")[0])
        self._mqtt.camera_snapshot(camera, jpeg)

    def expired(self, event_id: str, kind: Kind) -> None:
        """A file has expired."""
        if kind != "snapshot" or self._mqtt is None:
            return
        with self._lock:
            emptied = [camera for camera, shown in self._shown.items() if shown == event_id]
            self._shown.update(dict.fromkeys(emptied))
            for camera in emptied:
                del self._taken[camera]
        for camera in emptied:
            self._mqtt.camera_snapshot(camera, b"")
