"""paho's client without its limit on descriptors: it waits with select(), which cannot watch numbers from 1024 on.

With hundreds of cameras a connection that is opened again gets a larger number than that, and would be given up at once
without a word.
"""

from __future__ import annotations

import select

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode


class PolledClient(mqtt.Client):
    """Waits with poll(). It differs from its base class in nothing else."""

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """One turn of paho's network thread: read, write and keep alive, after waiting at most `timeout` seconds."""
        network, wake = self._sock, self._sockpairR  # `wake` can be read once there is something new to send
        if network is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        pending = hasattr(network, "pending") and network.pending() > 0  # TLS has decrypted it, but nobody has read it
        poller = select.poll()
        poller.register(network, select.POLLIN | (select.POLLOUT if self.want_write() else 0))
        if wake is not None:
            poller.register(wake, select.POLLIN)
        ready = dict(poller.poll(0 if pending else 1000 * timeout))
        state = ready.get(network.fileno(), 0)
        if pending or state & ~select.POLLOUT:  # closed and broken connections are noticed by reading, too
            result = self.loop_read()
            if result or self._sock is None:
                return result
        woken = wake is not None and wake.fileno() in ready
        if wake is not None and woken:
            wake.recv(10_000)
        if woken or state & select.POLLOUT:
            result = self.loop_write()
            if result or self._sock is None:
                return result
        return self.loop_misc()
