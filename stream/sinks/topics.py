"""The topics that the program publishes below its prefix, except events and images.

Each has the payload of a program that is stopped, without figures: `--check` publishes it, and it has no effect.
"""

from __future__ import annotations

from typing import Final

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
