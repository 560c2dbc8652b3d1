"""What the desk tells Prometheus: gauges of the nodes and their workers, and where to find the metrics of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge, generate_latest

_NODE = ("prefix", "node")
_WORKER = (*_NODE, "worker")


def exposition(state: Mapping[str, Any]) -> bytes:
    """The text for Prometheus; `state` as `DeskListener.state` returns it."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"mgfn_{name}", text, labels, registry=registry)

    connected = gauge("desk_connected", "1 while the desk is connected to the broker")
    node_up = gauge("node_up", "1 while the instance, or one of those that share its cameras, runs", _NODE)
    owned = gauge("node_cameras_owned", "Cameras that somebody watches", _NODE)
    unowned = gauge("node_cameras_unowned", "Cameras that nobody watches", _NODE)
    worker_up = gauge("worker_up", "1 while the worker runs", _WORKER)
    draining = gauge("worker_draining", "1 while the worker gives its cameras away", _WORKER)
    cameras = gauge("worker_cameras", "Cameras of the worker", _WORKER)

    connected.set(not state["problem"])
    for node in state["nodes"]:
        labels = (node["prefix"], node["name"])
        has_one = [camera["owned"] for camera in node["cameras"]]
        node_up.labels(*labels).set(node["up"])
        owned.labels(*labels).set(sum(has_one))
        unowned.labels(*labels).set(len(has_one) - sum(has_one))
        for worker in node["workers"]:
            own = (*labels, worker["name"])
            worker_up.labels(*own).set(worker["state"] != "down")
            draining.labels(*own).set(worker["state"] == "draining")
            cameras.labels(*own).set(worker["cameras"])
    return generate_latest(registry)


def targets(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whatever serves metrics at a known address, running or not, as Prometheus' `http_sd_configs` reads it."""
    found = []
    for node in state["nodes"]:
        labels = {"prefix": node["prefix"], "node": node["name"]}
        if not node["workers"]:
            found += _target(node["page"], labels)
        for worker in node["workers"]:
            found += _target(worker["page"], {**labels, "worker": worker["name"]})
    return found


def _target(page: str | None, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    if page is None:
        return []
    address = urlsplit(page)
    path = f"{address.path.rstrip('/')}/metrics"
    host = address.netloc.rpartition("@")[2]
    return [{"targets": [host], "labels": {"__scheme__": address.scheme, "__metrics_path__": path, **labels}}]
