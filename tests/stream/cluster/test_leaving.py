"""A camera that leaves before its worker has begun to speak for it: a moment that real workers seldom show."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.cluster.folder import FolderStore
from stream.cluster.leases import SharedLeases
from stream.cluster.records import Beat
from stream.settings.settings import CameraConfig
from stream.watch.custody import Custody


def turn(leases: SharedLeases) -> None:
    camera = SimpleNamespace(name="gate", is_self_test=False, silent=True, fence=None)
    decoder = SimpleNamespace(camera=camera, pending_clips=[])
    Custody(leases, [cast(Any, decoder)], *cast(Any, [None] * 4)).turn()


def test_a_camera_that_another_is_ready_for_is_let_go_before_we_have_spoken_for_it(tmp_path: Path) -> None:
    config = CameraConfig(Source("gate", "gate.mp4", live=False), AlarmSettings(0.5, 0.4))
    leases = SharedLeases(FolderStore(tmp_path), Beat("x", "s"), (), [config], None)
    leases._board.open, leases._board.until = {"gate": 1}, float("inf")
    leases._board.leaving = frozenset({"gate"})
    turn(leases)
    assert leases._board.take_let_go() == {"gate": None}
    leases.let_go("gate", b"what it has learned")
    turn(leases)  # the thread of the leases has not run since
    assert leases._board.take_let_go() == {"gate": b"what it has learned"}
