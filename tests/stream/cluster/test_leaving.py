"""A camera that leaves before its worker has begun to speak for it: a moment that real workers seldom show."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

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


@pytest.fixture
def leases(tmp_path: Path) -> SharedLeases:
    """Those of a worker that owns the camera `gate`, which is leaving."""
    config = CameraConfig(Source("gate", "gate.mp4", live=False), AlarmSettings(0.5, 0.4))
    leases = SharedLeases(FolderStore(tmp_path), Beat("x", "s"), (), [config], None)
    leases._keeper.held = leases._board.open = {"gate": 1}
    leases._board.until = float("inf")
    leases._board.leaving = frozenset({"gate"})
    return leases


def test_a_camera_that_another_is_ready_for_is_let_go_before_we_have_spoken_for_it(leases: SharedLeases) -> None:
    turn(leases)
    assert leases._board.take_let_go() == {"gate": None}
    leases.let_go("gate", b"what it has learned")
    turn(leases)  # the thread of the leases has not run since
    assert leases._board.take_let_go() == {"gate": b"what it has learned"}


def test_what_the_loop_repeats_about_a_camera_that_is_ours_again_releases_nothing(leases: SharedLeases) -> None:
    leases._board.leaving = frozenset()
    leases.let_go("gate", None)
    leases._renewal._hand_over()
    assert leases._keeper.held == {"gate": 1}
    leases.let_go("gate", b"what it has learned")  # its target is gone, but we have stopped speaking for it
    leases._renewal._hand_over()
    assert leases._keeper.held == {}
