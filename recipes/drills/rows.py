"""All drills, in the order of the table."""

from __future__ import annotations

from typing import Final

from recipes.drills import brokers, engines, lost_cameras
from recipes.drills.drill import Drill

DRILLS: Final = (
    Drill("camera-killed", "a camera's process is killed 50 times in 10 minutes", lost_cameras.killed),
    Drill("camera-stalls", "a camera stalls while its connection stays open, in three ways", lost_cameras.stalls),
    Drill("scorer-slowed", "scoring takes ten times as long for 5 minutes", engines.slowed),
    Drill("backend-fails", "the backend fails in mid-run: exception, out of memory, wrong answers", engines.fails),
    Drill("backends-alike", "scores of the backends that take over", engines.scores_alike),
    Drill("loop-hangs", "the scoring loop hangs: systemd's watchdog and /healthz", engines.hangs),
    Drill("broker-lost", "600 alarms at 100 a second while the broker is gone, in six ways", brokers.lost),
    Drill("last-will", "kill -9, restart and clean stop, as the broker tells them", brokers.last_will),
)
