"""The topics that the program publishes below its prefix, except events and images.

Each has the payload of a program that is stopped, without figures: `--check` publishes it, and it has no effect.
"""

from __future__ import annotations

from typing import Final

from stream.base.ownership import SITE as THE_SITE
from stream.base.ownership import Ownership

SITE: Final = {
    "available": "offline",
    "stats": "{}",
    "self_test": "{}",
    "node": "{}",
    "mode/state": "none",
}
CAMERA: Final = {
    "available": "offline",
    "status": "offline",
    "problem": "none",
    "anomaly": "OFF",
    "score": "{}",
    "enabled/state": "ON",
    "threshold/state": "1",
    "snooze/state": "off",
    "calibration/state": "{}",
}


class Allowed:
    """Whether this instance may publish a retained topic at this moment. `outside`: of topics that are not below the
    prefix, the camera. `available`: the topic that says whether this instance runs.
    """

    def __init__(self, prefix: str, ownership: Ownership) -> None:
        self.outside: dict[str, str] = {}
        self._prefix = f"{prefix}/"
        self._ownership = ownership
        worker = ownership.worker
        self.available = f"{prefix}/available" if worker is None else f"{prefix}/worker/{worker}/available"

    def __call__(self, topic: str) -> bool:
        worker = self._ownership.worker
        if worker is None:
            return True
        if topic == self.available:  # a run of this worker that stands by has the same topic
            return self._ownership.fence(f"@{worker}") is not None
        name, _, below = topic.removeprefix(self._prefix).partition("/")
        name = self.outside.get(topic, name if below and name != "mode" else THE_SITE)
        return self._ownership.fence(name) is not None
