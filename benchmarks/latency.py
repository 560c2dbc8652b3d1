"""End-to-end latency: from a clip's last frame leaving the camera to its score arriving at an MQTT subscriber.

A real RTSP camera (GStreamer's server, which records when it hands each frame to RTSP), `mgfn-stream` with the default
bundle, a real Mosquitto, and a subscriber in this process. Run from the project's root after `make test` has installed
the servers: python -m benchmarks.latency [SECONDS]
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from configs.pinned import PinnedFile, cache_folder, fetch
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import ended, until
from tests.servers.rtsp import TestCamera, encode

FPS = 25


def street(seconds: float) -> list[np.ndarray]:
    sample = fetch(PinnedFile.named("samples.json", "bikes"), cache_folder("samples"))
    with av.open(str(sample)) as container:
        pictures = [frame.to_ndarray(width=640, height=360, format="rgb24") for frame in container.decode(video=0)]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    return [pictures[order[k % len(order)]] for k in range(round(seconds * FPS))]


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    arrived: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mosquitto").mkdir()
        scores = folder / "scores.jsonl"
        with Mosquitto(folder / "mosquitto").running() as broker:
            subscriber = mqtt.Client(CallbackAPIVersion.VERSION2)
            subscriber.on_message = lambda *_: arrived.append(time.time())
            subscriber.connect("127.0.0.1", broker.port)
            subscriber.subscribe("mgfn/+/score")
            subscriber.loop_start()
            camera = TestCamera(folder, encode(street(seconds), FPS), FPS)
            command = [sys.executable, "-m", "stream.cli", "--rtsp", f"cam={camera.url}", "--mqtt", broker.url]
            command += ["--http", "off", "--scores", str(scores), "--data", str(folder / "data"), *sys.argv[2:]]
            with camera.running(), ended(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)) as service:
                wanted = int(seconds * FPS) // 16
                until(lambda: len(arrived) >= wanted, seconds + 60, "the last score")
                service.terminate()
                log = service.stderr.read() if service.stderr else ""
            subscriber.loop_stop()
        clips = [json.loads(line)["clip"] for line in scores.read_text().splitlines()][:wanted]
        lag = [at - camera.sent[16 * clip + 15] for clip, at in zip(clips, arrived, strict=False)]
    engine = next(json.loads(line) for line in log.splitlines() if '"engine"' in line)
    milliseconds = np.array(lag) * 1000
    p50, p95 = np.percentile(milliseconds, [50, 95])
    print(f"machine: {platform.processor() or platform.machine()}, engine: {engine['backend']}")
    print(f"clips: {len(lag)} of {wanted}; last frame sent -> score received: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


if __name__ == "__main__":
    main()
