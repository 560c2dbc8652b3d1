"""Where event messages go after they are committed: broker, page, Frigate, notification targets.

Called from the threads of the journal and the MQTT sink, never by the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.archive.journal import Journal
from stream.base.addresses import SELF_TEST_CAMERA
from stream.sinks.courier import Courier
from stream.sinks.mqtt import MqttSink
from stream.watch.metrics import Metrics
from stream.watch.score_report import TellPages


class Outlet:
    """Between the journal and the sinks, which call each other through it. Call `connect` before either runs.

    `keeps` is False for a replay, which leaves no retained topics to be emptied later.
    """

    _journal: Journal
    _mqtt: MqttSink | None

    def __init__(self, metrics: Metrics, tell_pages: TellPages, couriers: Sequence[Courier], *, keeps: bool) -> None:
        self._metrics = metrics
        self._tell_pages = tell_pages
        self._couriers = couriers
        self._keeps = keeps
        self._recipients: frozenset[str] | None = None

    def tell_only(self, recipients: frozenset[str] | None) -> None:
        """Tell only these recipients beside MQTT, and all of them if None."""
        self._recipients = recipients

    def connect(self, journal: Journal, mqtt: MqttSink | None) -> None:
        """`mqtt` is None where nothing is published."""
        self._journal, self._mqtt = journal, mqtt

    def committed(self, message: Waiting) -> None:
        """A message is in the database, or must not wait for it any longer."""
        self._tell_pages("event", message.payload.as_json())
        if message.payload.suppressed is not None:  # listed and shown; nobody is told
            if message.key is not None:
                self._journal.delivered(message.key)
            return
        self_test = message.payload.camera == SELF_TEST_CAMERA  # nobody's alarm, once a day
        if not self_test and message.payload.severity == "alarm":
            recipients = self._recipients
            for courier in self._couriers:
                if recipients is None or courier.name in recipients or message.payload.type == "end":
                    courier.offer(message.payload)
        if self._mqtt is not None:
            self._mqtt.event(message)
        else:
            self._delivered(message, None)

    def settled(self, message: Waiting, said: EventMessage | None) -> None:
        """The broker has a message as it was `said`, or it was discarded."""
        self._delivered(message, said)
        if said is None or said.type != "new" or said.label != "anomaly" or said.test or said.severity == "notice":
            return
        if said.latency_ms is not None:
            self._metrics.published(said.latency_ms)

    def _delivered(self, message: Waiting, said: EventMessage | None) -> None:
        if message.key is not None:
            self._journal.delivered(message.key, said)
        else:
            self._journal.delivered_early(message.payload, said)

    def retained(self, topic: str, kept: bool) -> None:
        """The broker started or stopped retaining a message of ours."""
        if self._keeps:
            self._journal.retained(topic, kept=kept)
