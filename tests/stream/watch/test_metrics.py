"""Metrics by their published names, and a dashboard that asks for no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.base.errors import Reason
from stream.camera.messages import Counters
from stream.settings.settings import CameraConfig
from stream.watch.metrics import Metrics
from stream.watch.watched_camera import WatchedCamera

LOST = {
    "events_lost": 1,
    "score_chunks_lost": 2,
    "commands_dropped": 3,
    "processes_stuck": 4,
    "lines_lost": 5,
    "log_lines_lost": 6,
}
MODEL = ModelName("default", "ab" * 32, "openvino")
DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana-dashboard.json"


def told() -> dict[str, dict[tuple[str, ...], float]]:
    metrics = Metrics(MODEL)
    camera = WatchedCamera(CameraConfig(Source("door", "rtsp://d/1", live=True), AlarmSettings(0.8, 0.6)), MODEL)
    metrics.camera(camera, "no frame in time")
    metrics.camera(camera, "nothing is scored: 13 frames in 100 s, but never 16 in a row")
    metrics.counted("door", Counters(0, 0, 0, 0, 0), Counters(25.0, 100, 2, 1, 0))
    metrics.counted("door", Counters(25.0, 100, 2, 1, 0), Counters(25.0, 10, 0, 0, 0))  # a replaced decoder
    metrics.counted(
        "door",
        Counters(25.0, 10, 0, 0, 0),
        Counters(25.0, 30, 1, 0, 0, broken_clips=2, late_frames=5, skipped_packets=7),
    )
    metrics.shed("door")
    metrics.disconnected("door", Reason.STALLED)
    metrics.scored("door", 0.25)
    metrics.alarm("door")
    metrics.stage("backbone", 0.03)
    metrics.published(640)
    metrics.clock_set()
    metrics.delivery(proven=True, failed=2)
    metrics.recipient("frigate")
    metrics.notified("frigate", "failed")
    families = text_string_to_metric_families(metrics.exposition(outbox=3, lost=LOST).decode())
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_names_labels_and_values() -> None:
    found = told()
    assert found["mgfn_camera_up"] == {("door",): 0.0}
    assert found["mgfn_camera_problem"] == {("door", "nothing is scored"): 1.0}
    assert found["mgfn_threshold"] == {("door",): 0.8}
    assert found["mgfn_score"] == {("door",): 0.25}
    assert found["mgfn_window_fill_ratio"] == {("door",): 0.0}
    assert found["mgfn_frames_total"] == {("door", "decoded"): 120.0, ("door", "corrupt"): 3.0, ("door", "late"): 5.0}
    assert found["mgfn_packets_skipped_total"] == {("door",): 7.0}
    assert found["mgfn_clips_broken_total"] == {("door",): 2.0}
    assert [found[f"mgfn_{name}"][()] for name in LOST] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert found["mgfn_clips_dropped_total"] == {("door",): 2.0}
    assert found["mgfn_reconnects_total"] == {("door", "stalled"): 1.0}
    assert found["mgfn_alarms_total"] == {("door",): 1.0}
    assert found["mgfn_stage_seconds_count"] == {("backbone",): 1.0}
    assert found["mgfn_alarm_latency_seconds_sum"] == {(): 0.64}
    assert found["mgfn_clock_steps_total"] == {(): 1.0}
    assert found["mgfn_mqtt_delivery_proven"] == {(): 1.0}
    assert found["mgfn_mqtt_topics_failed"] == {(): 2.0}
    assert found["mgfn_mqtt_outbox_messages"] == {(): 3.0}
    assert found["mgfn_model_info"] == {("openvino", "default", "ab" * 32): 1.0}
    assert found["mgfn_camera_fps"] == {("door",): 0.0}
    assert found["mgfn_notifications_total"] == {
        ("delivered", "frigate"): 0.0, ("failed", "frigate"): 1.0, ("dropped", "frigate"): 0.0
    }  # fmt: skip


def test_the_dashboard_asks_for_what_there_is() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for p in panels for t in p["targets"] for name in re.findall(r"mgfn_\w+", t["expr"])}
    assert asked <= set(told())
    assert len({panel["id"] for panel in panels}) == len(panels)
