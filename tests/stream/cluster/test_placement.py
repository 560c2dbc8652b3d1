"""Owners follow from the names; a change of workers moves only what must move."""

from __future__ import annotations

import random

import pytest

from stream.cluster.placement import NO_LABELS, Worker, choices, place

CAMERAS = {f"camera{index}": NO_LABELS for index in range(2000)}
ROOMY = [Worker(f"worker{index}", 5000.0) for index in range(5)]


def counts(owners: dict[str, str | None]) -> dict[str | None, int]:
    return {owner: list(owners.values()).count(owner) for owner in set(owners.values())}


def test_the_order_of_cameras_and_workers_does_not_matter() -> None:
    shuffled = list(CAMERAS.items())
    random.Random(1).shuffle(shuffled)
    tight = [Worker(f"worker{index}", 410.0) for index in range(5)]
    assert place(dict(shuffled), tight[::-1]) == place(CAMERAS, tight)


def test_owners_are_the_same_in_every_version() -> None:
    """During an upgrade, workers of two releases must agree on the owner of every camera."""
    owners = place(dict.fromkeys(("yard", "door", "gate", "hall"), NO_LABELS), ROOMY)
    assert owners == {"yard": "worker4", "door": "worker4", "gate": "worker2", "hall": "worker0"}


def test_cameras_are_shared_in_proportion_to_capacity() -> None:
    shares = counts(place(CAMERAS, [Worker("small", 1e4), Worker("large", 3e4)]))
    assert shares["large"] / 2000 == pytest.approx(0.75, abs=0.03)


def test_a_worker_that_goes_moves_only_its_own_cameras() -> None:
    before, after = place(CAMERAS, ROOMY), place(CAMERAS, ROOMY[:-1])
    assert {before[name] for name in CAMERAS if before[name] != after[name]} == {"worker4"}


def test_a_worker_that_comes_takes_only_its_fair_share() -> None:
    before, after = place(CAMERAS, ROOMY[:-1]), place(CAMERAS, ROOMY)
    moved = [name for name in CAMERAS if before[name] != after[name]]
    assert {after[name] for name in moved} == {"worker4"}
    assert len(moved) / 2000 == pytest.approx(1 / 5, abs=0.03)


def test_no_worker_holds_more_than_it_can_while_another_has_room() -> None:
    shares = counts(place(CAMERAS, [Worker(f"worker{index}", 405.0) for index in range(5)]))
    assert max(shares.values()) <= 405
    assert sum(shares.values()) == 2000


def test_a_full_worker_that_goes_moves_little_else() -> None:
    tight = [Worker(f"worker{index}", 520.0) for index in range(5)]
    before, after = place(CAMERAS, tight), place(CAMERAS, tight[:-1])
    moved_of_others = [name for name in CAMERAS if before[name] not in (after[name], "worker4")]
    assert len(moved_of_others) < 0.02 * 2000


def test_cameras_beyond_the_capacity_of_all_are_shared_in_proportion() -> None:
    shares = counts(place(CAMERAS, [Worker("small", 10.0), Worker("large", 30.0)]))
    assert shares["large"] / 2000 == pytest.approx(0.75, abs=0.03)


def test_a_camera_goes_only_to_a_worker_that_has_its_labels() -> None:
    workers = [Worker("a", 9.0), Worker("b", 9.0, frozenset({"hall"})), Worker("c", 9.0, frozenset({"hall", "yard"}))]
    cameras = {
        "x": frozenset({"hall"}),
        "y": frozenset({"hall", "yard"}),
        "z": frozenset({"roof"}),
    }
    owners = place(cameras, workers)
    assert owners["x"] in ("b", "c")
    assert owners["y"] == "c"
    assert owners["z"] is None


def test_without_workers_nobody_owns_a_camera() -> None:
    assert place({"x": NO_LABELS}, []) == {"x": None}
    assert place({}, ROOMY) == {}


def test_whoever_has_room_gets_its_first_choices() -> None:
    told = {worker.name: choices(worker.name, CAMERAS, ROOMY) for worker in ROOMY}
    owners = place(CAMERAS, ROOMY)
    assert all(told[str(owner)][name] == (1, 5) for name, owner in owners.items())
    assert {sum(told[worker.name][name][0] for worker in ROOMY) for name in CAMERAS} == {1 + 2 + 3 + 4 + 5}
    tight = [Worker(f"worker{index}", 405.0) for index in range(5)]
    told = {worker.name: choices(worker.name, CAMERAS, tight) for worker in tight}
    later = [name for name, owner in place(CAMERAS, tight).items() if told[str(owner)][name][0] > 1]
    assert 0 < len(later) < 500


def test_a_worker_without_the_label_of_a_camera_is_no_choice() -> None:
    cameras = {"gate": frozenset({"yard"}), "door": NO_LABELS}
    workers = [Worker("x"), Worker("y", labels=frozenset({"yard"}))]
    assert choices("y", cameras, workers)["gate"] == (1, 1)
    assert choices("y", cameras, workers)["door"][1] == 2
    assert "gate" not in choices("x", cameras, workers)
    assert choices("z", cameras, workers) == choices("x", {}, workers) == {}
