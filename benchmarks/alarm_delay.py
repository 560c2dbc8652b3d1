"""Measures the delay from the start of an incident to its alarm at an MQTT subscriber, with the demo's footage.

Run from the project's root: python -m benchmarks.alarm_delay [--cameras 4] [--seconds 200] The footage repeats every 45
s on several cameras; for each one, time starts with its first clip.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from configs.pinned import PinnedFile, cache_folder, fetch
from engine.bundle import Bundle
from export.bench.cameras import Scenes, settle, watching
from stream.service.staged_footage import INCIDENT, LENGTH, staged_footage
from stream.settings.bundle import cached_bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=200.0)
    given = parser.parse_args()
    samples = cache_folder("samples")
    video = staged_footage(fetch(PinnedFile.named("samples.json", "bikes"), samples), samples)
    alarms: list[tuple[str, float]] = []
    began: dict[str, float] = {}

    def take(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload, now = json.loads(message.payload), time.time()
        if message.topic == "mgfn/events":
            if (payload["type"], payload["label"]) == ("new", "anomaly"):
                alarms.append((payload["camera"], now))
        else:
            camera = message.topic.split("/")[1]
            if payload["window"] < 32:  # the mapping of times converges within the first seconds, from above
                start = payload["time"] - payload["window"] * 0.64
                began[camera] = min(start, began.get(camera, start))

    bundle = Bundle.open(cached_bundle())
    with watching(given.cameras, Scenes(video), bundle.path) as watched:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda c, *_: c.subscribe([("mgfn/events", 1), ("mgfn/+/score", 0)])
        client.on_message = take
        client.connect("127.0.0.1", watched.port)
        client.loop_start()
        settle(watched, given.cameras)
        time.sleep(given.seconds)
        now = time.time()
        client.loop_stop()
    delays, missed, elsewhere = [], 0, len(alarms)
    for camera, start in began.items():
        incident = start + INCIDENT[0]
        while incident + INCIDENT[1] - INCIDENT[0] + 3 < now:
            found = [at - incident for name, at in alarms if name == camera and 0 <= at - incident < LENGTH / 2]
            delays += found[:1]
            missed += not found
            elsewhere -= bool(found)
            incident += LENGTH
    print(f"{given.cameras} cameras, {len(delays) + missed} incidents: {missed} missed, {elsewhere} alarms elsewhere")
    if delays:
        p50, p95 = np.percentile(delays, [50, 95])
        print(f"from the incident's start to its alarm at the subscriber: median {p50:.2f} s, p95 {p95:.2f} s")


if __name__ == "__main__":
    main()
