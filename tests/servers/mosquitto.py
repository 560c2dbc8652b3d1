"""A real Mosquitto on a free loopback port."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers.processes import ended, free_port, listening, until

PROGRAM = shutil.which("mosquitto") or ("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else None)


class Mosquitto:
    """A broker that can be stopped and started again on the same port; it keeps what a broker must keep.

    `durable`: it writes each change at once, so that a kill loses no sessions or queued messages.
    """

    def __init__(
        self, folder: Path, password: str | None = None, *, durable: bool = False, extra: tuple[str, ...] = ()
    ) -> None:
        if PROGRAM is None:
            pytest.skip("needs Mosquitto: apt-get install mosquitto")
        self.port = free_port()
        self._folder = folder
        lines = [f"listener {self.port} 127.0.0.1", "user root", "persistence true", f"persistence_location {folder}/"]
        lines.append("max_queued_messages 100000")  # as docs/cluster.md recommends; `extra` may set another one
        lines += extra
        if durable:
            lines += ["autosave_interval 1", "autosave_on_changes true"]
        if password is None:
            lines.append("allow_anonymous true")
        else:
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "passwords"), "mgfn", password], check=True)
            lines += ["allow_anonymous false", f"password_file {folder / 'passwords'}"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(PROGRAM), "-c", str(self._folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        until(lambda: listening(self.port), what="Mosquitto listening")

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()  # it saves retained messages and persistent sessions
        self.process.wait(10)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    @contextmanager
    def running(self) -> Iterator[Mosquitto]:
        self.start()
        try:
            yield self
        finally:
            assert self.process is not None
            with ended(self.process):
                pass


class Subscriber:
    """An ordinary subscriber with its own persistent session; keeps all messages in order."""

    def __init__(self, port: int, topics: str = "mgfn/#", password: str | None = None) -> None:
        self.messages: list[tuple[str, str, bool]] = []
        self.latest: dict[str, bytes] = {}
        self._events: list[dict[str, Any]] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"test-{secrets.token_hex(4)}", clean_session=False
        )
        if password is not None:
            self._client.username_pw_set("mgfn", password)
        self._client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(60)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.latest[message.topic] = bytes(message.payload)
        self.messages.append((message.topic, message.payload.decode("utf-8", "replace"), message.retain))
        if message.topic.endswith("/events"):
            self._events.append(json.loads(message.payload))

    def events(self) -> list[dict[str, Any]]:
        """Those that have come so far."""
        return list(self._events)

    def last(self, topic: str) -> str | None:
        return next((payload for name, payload, _ in reversed(self.messages) if name == topic), None)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Send a command; returns once the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # break the cycles, so that paho closes its sockets now; otherwise the garbage collector warns of them
        self._client.on_message = self._client.on_subscribe = None


class Hoard:
    """A forgotten session that subscribed to everything: what it has not fetched fills the memory of the broker."""

    def __init__(self, port: int) -> None:
        self._port = port
        client = self._connected("hoard", clean=False)
        client.subscribe("#", qos=1)
        until(lambda: not client.want_write(), 10)
        client.publish("hoarding", "", qos=1).wait_for_publish(10)  # so that the subscription has arrived
        _gone(client)

    def fill(self) -> None:
        """Publish smaller and smaller messages, each size until the broker drops the connection for it, or accepts none
        any more.
        """
        for size in (100_000, 10_000, 1_000):
            try:
                client = self._connected(f"hoarder{size}", clean=True, seconds=5)
            except AssertionError:
                return
            with suppress(RuntimeError):  # not connected any more
                while client.is_connected():
                    client.publish("hoard", b"x" * size, qos=1).wait_for_publish(0.5)
            _gone(client)

    def empty(self) -> None:
        """Give up the session. A broker without memory may refuse that at first."""
        _gone(self._connected("hoard", clean=True))

    def _connected(self, name: str, *, clean: bool, seconds: float = 60) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
        client.reconnect_delay_set(1, 1)
        client.connect_async("127.0.0.1", self._port)
        client.loop_start()
        try:
            until(client.is_connected, seconds, "a connection to the full broker")
        except AssertionError:
            _gone(client)
            raise
        return client


def _gone(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
