"""Runs the self-test within the main loop: adds and removes its camera, stores and publishes its result."""

from __future__ import annotations

from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.addresses import SELF_TEST_CAMERA
from stream.service.self_test import Result, SelfTest
from stream.service.self_test_camera import SelfTestCamera
from stream.sinks.mqtt import MqttSink
from stream.watch.decoder_process import DecoderProcess
from stream.watch.fleet import Fleet


class SelfTestRunner:
    """Used only by the loop. `mqtt` is None if nothing is published."""

    def __init__(
        self,
        test: SelfTest,
        camera: SelfTestCamera,
        decoders: list[DecoderProcess],
        fleet: Fleet,
        journal: Journal,
        mqtt: MqttSink | None,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.camera = camera
        self._test = test
        self._decoders = decoders
        self._fleet = fleet
        self._journal = journal
        self._mqtt = mqtt
        self._published: Result | None = None

    def turn(self, now: float, steady: float) -> None:
        """Begin or end a test if it is due, and report the result."""
        if (decoder := self.camera.arrives(now, steady)) is not None:
            self._decoders.append(decoder)
        if (decoder := self.camera.leaves(now, steady)) is not None:
            self._decoders.remove(decoder)
            self._fleet.dismiss(decoder, "stopped")
        if self._test.result is not self._published:
            self._journal.setting(SELF_TEST_CAMERA, "self_test", self._test.memory())
            self.publish(steady)

    def publish(self, steady: float) -> None:
        """Publish the result of the last test."""
        self._published = self._test.result
        if self._mqtt is not None:
            self._mqtt.self_test(self._test.as_json(steady, self._clock.mark.shift))
