"""All drills, in the order of the table."""

from __future__ import annotations

from typing import Final

from recipes.drills import brokers, damage, decoders, disks, engines, lost_cameras, ours, scale
from recipes.drills.drill import Drill
from recipes.drills.tested import by

_STREAM: Final = "tests/stream"
DRILLS: Final = (
    Drill("camera-killed", "a camera's process is killed 50 times in 10 minutes", lost_cameras.killed),
    Drill("camera-stalls", "a camera stalls while its connection stays open, in three ways", lost_cameras.stalls),
    Drill("bytes-flipped", "bytes are flipped in 10 % of a camera's access units, for 10 minutes", damage.flipped),
    Drill("packets-lost", "5 % of a camera's packets are lost over UDP, for 10 minutes", damage.lost),
    Drill("stream-changes", "size, rate and codec change in mid-stream", damage.changes),
    Drill(
        "times-jump",
        "presentation times jump, the wall clock is set, summer time begins and ends",
        by(
            f"{_STREAM}/camera/test_timeline.py",
            f"{_STREAM}/camera/test_live_decoder.py::test_stamps_that_slip_cost_no_clip_and_no_second_of_the_event",
            f"{_STREAM}/service/test_wall_clock.py",
            f"{_STREAM}/archive/test_clock.py",
            f"{_STREAM}/archive/test_janitor.py",
            f"{_STREAM}/alarm/test_schedule.py",
        ),
    ),
    Drill("decoder-breaks", "a decoder is killed with -9, leaks, and spins", decoders.broken),
    Drill("scorer-slowed", "scoring takes ten times as long for 5 minutes", engines.slowed),
    Drill("backend-fails", "the backend fails in mid-run: exception, out of memory, wrong answers", engines.fails),
    Drill("backends-alike", "scores of the backends that take over", engines.scores_alike),
    Drill("broker-lost", "600 alarms while the broker is gone, slow or full, in eight ways", brokers.lost),
    Drill(
        "broker-limits",
        "brokers with small packets, short queues, access rules, certificates",
        by(*(f"{_STREAM}/sinks/test_mqtt_{name}.py" for name in ("limits", "proof", "tls"))),
    ),
    Drill("killed-by-9", "this program is killed with -9, 20 times, with the broker down", ours.killed),
    Drill(
        "killed-with-broker",
        "200 events over kills of this program and of the broker",
        by(f"{_STREAM}/service/test_kill_drills.py"),
    ),
    Drill("last-will", "kill -9, restart and clean stop, as the broker tells them", brokers.last_will),
    Drill(
        "disk",
        "the disk is full, read-only, hangs, is locked by another program, or has no locks",
        by(
            f"{_STREAM}/watch/test_alarm_path.py::test_a_full_disk_and_a_flood_of_commands_stop_no_alarm",
            f"{_STREAM}/watch/test_hanging_disk.py",
            f"{_STREAM}/archive/test_journal.py",
            f"{_STREAM}/archive/test_store.py",
        ),
    ),
    Drill("disk-full", "the data folder is on a disk of 20 MB, which clips and another program fill", disks.full),
    Drill("soak", "16 cameras for an hour, one of which goes away and returns every ten seconds", scale.soak),
    Drill("many-cameras", "200 simulated cameras and 100,000 events", scale.many),
    Drill(
        "signals",
        "SIGTERM and SIGINT, once and twice, in mid-run, during the start and during the build of a bundle",
        ours.signals,
    ),
    Drill(
        "stop-while-stuck",
        "a stop while the engine, a decoder or the broker hangs, and of a whole process group",
        by(
            f"{_STREAM}/service/test_stopping.py",
            f"{_STREAM}/service/test_service.py::test_sigterm_to_every_process_at_once_keeps_the_clip",
            f"{_STREAM}/service/test_service.py::test_kill_9_leaves_no_process_and_no_memory",
        ),
    ),
    Drill("loop-hangs", "the scoring loop hangs: systemd's watchdog and /healthz", engines.hangs),
)
# In `make test`, in their short form: what other tests do not do yet, in less than a minute altogether.
SHORT: Final = ("camera-killed", "backend-fails", "loop-hangs")
