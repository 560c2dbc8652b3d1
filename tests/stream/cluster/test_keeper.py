"""Leases: one speaker for each camera, whatever freezes, dies and comes back."""

from __future__ import annotations

import random

import pytest

from stream.base.ownership import SITE
from stream.cluster.keeper import DEAD, LEASE, MARGIN, PATIENCE, READY_WITHIN, STRANGE_AFTER
from stream.cluster.placement import NO_LABELS
from stream.cluster.records import Record
from tests.stream.cluster.world import CAMERAS, KEYS, Ground, Instance


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    def __init__(self) -> None:
        self.clock, self.ground = Clock(), Ground()

    def add(self, worker: str, **options: object) -> Instance:
        cameras = options.pop("cameras", CAMERAS)
        return Instance(self.ground, worker, self.clock, cameras=cameras, **options)  # type: ignore[arg-type]

    def run(self, seconds: float, *instances: Instance) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            for each in instances:
                each.turn()
            self.clock.now += 0.5


@pytest.fixture
def world() -> World:
    return World()


def owned(*instances: Instance) -> set[str]:
    return {key for each in instances for key in KEYS if each.speaks(key) is not None}


def test_all_cameras_are_shared_and_each_has_one_owner(world: World) -> None:
    names = ("x", "y")
    x, y = (world.add(name, expected=names) for name in names)
    world.run(2, x, y)
    assert owned(x, y) == set(KEYS)
    assert not owned(x) & owned(y)
    assert owned(x) - {SITE}
    assert owned(y) - {SITE}


def test_the_first_shard_leaves_the_cameras_of_those_that_start_later(world: World) -> None:
    x = world.add("x", expected=("x", "y"))
    world.run(DEAD - 1, x)
    assert owned(x) < set(KEYS)
    world.run(DEAD, x)
    assert owned(x) == set(KEYS)


def test_a_dead_worker_is_replaced_after_its_lease_and_not_before(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    lost = owned(x)
    died = world.clock.now
    while owned(y) != set(KEYS):
        assert not (owned(x) & owned(y))
        world.run(0.5, y)
        assert world.clock.now < died + DEAD + 2
    assert world.clock.now > died + LEASE - MARGIN
    assert all(world.ground.records[key].fence == 2 for key in lost)


def test_a_camera_that_does_not_deliver_yet_is_taken_over_later(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    y.ready = frozenset()
    lost = owned(x)
    world.run(DEAD + 2, y)
    assert owned(y) & lost <= {SITE}
    world.run(READY_WITHIN, y)
    assert owned(y) == set(KEYS)


def test_a_frozen_worker_does_not_speak_after_its_lease_and_comes_back(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    before = owned(x)
    world.run(20, y)
    assert not owned(x)
    x.step()
    x.step()
    assert not owned(x) & before
    world.run(4, x, y)
    assert owned(x) == before
    assert owned(x, y) == set(KEYS)
    assert all(world.ground.records[key].fence == 4 for key in before)  # taken, released, taken


def test_a_freeze_that_nobody_noticed_costs_no_fence(world: World) -> None:
    x = world.add("x")
    world.run(2, x)
    world.clock.now += 60
    assert not owned(x)
    world.run(1, x)
    assert owned(x) == set(KEYS)
    assert {record.fence for record in world.ground.records.values()} == {1}


def test_fences_grow_even_if_the_store_forgets_them(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    world.run(DEAD + 2, y)
    world.ground.records.clear()
    world.run(2, y)
    assert all(record.fence > 1 for record in world.ground.records.values())
    assert owned(y) == set(KEYS)


def test_after_the_store_lost_its_memory_nobody_takes_what_another_may_speak_for(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    before = owned(x)
    world.run(3, y)  # x has been silent for less than a lease, and is suspect
    x.turn()
    world.ground.records.clear()
    world.ground.beats.clear()
    world.run(LEASE - MARGIN, y)
    assert owned(x) == set()
    assert not owned(y) & before
    world.run(DEAD, y)
    assert owned(y) == set(KEYS)


def test_after_a_time_without_the_store_nobody_is_suspect(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    x.turn()  # it has seen the last beat of y
    before = world.ground.records.copy()
    world.clock.now += 60  # the store was away
    x.turn()
    assert x.keeper.mine == {key for key, record in before.items() if record.worker == "x" and key in KEYS}
    assert not x.keeper.mine & y.keeper.mine


def test_a_worker_that_comes_takes_only_its_share(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    before = {key: world.ground.records[key].worker for key in KEYS}
    z = world.add("z")
    world.run(4, x, y, z)
    moved = {key for key in KEYS if world.ground.records[key].worker != before[key]}
    assert moved == owned(z)
    assert moved


def test_a_camera_is_handed_over_only_when_the_other_one_delivers(world: World) -> None:
    x = world.add("x")
    world.run(2, x)
    y = world.add("y")
    y.ready = frozenset()
    world.run(10, x, y)
    assert owned(y) <= {SITE}
    y.ready = frozenset(CAMERAS)
    world.run(3, x, y)
    assert owned(y) - {SITE}


def test_a_worker_that_is_drained_gives_everything_away(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    world.ground.drained.add("s-x")
    world.run(3, x, y)
    assert owned(y) == set(KEYS)
    y.turn()
    assert not owned(x)


def test_a_drained_worker_that_is_left_alone_watches_again(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    world.ground.drained.add("s-x")
    world.run(3, x, y)
    world.run(DEAD + 2, x)
    assert owned(x) == set(KEYS)


def test_a_camera_that_the_site_has_no_more_is_released(world: World) -> None:
    x = world.add("x")
    world.run(2, x)
    assert not x.keeper.removed()
    x.keeper.cameras = {name: labels for name, labels in CAMERAS.items() if name != "a"}
    assert x.keeper.removed() == {"a"}
    assert x.keeper.released(x.keeper.removed()) == {"a": Record(2)}
    assert owned(x) == set(KEYS) - {"a"}


def test_a_drained_worker_does_not_wait_for_ever(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    y.ready = frozenset()
    world.run(0.5, y)
    world.ground.drained.add("s-x")
    world.run(PATIENCE - 1, x, y)
    assert owned(x)
    world.run(READY_WITHIN + 4, x, y)
    assert owned(y) == set(KEYS)


def test_a_second_run_of_a_worker_stands_by_until_the_first_is_dead(world: World) -> None:
    first, second = world.add("x", session="one"), world.add("x", session="two")
    world.run(5, first, second)
    assert owned(first) == set(KEYS)
    assert not owned(second)
    world.run(2 * DEAD, second)
    assert owned(second) == set(KEYS)


def test_leases_of_a_run_that_stands_by_after_a_freeze_are_released(world: World) -> None:
    first, second = world.add("x", session="one"), world.add("x", session="two")
    world.run(2, first, second)
    second.ready = frozenset()  # so it takes the name, and not yet the cameras
    world.run(DEAD + 2, second)
    assert owned(second) == {SITE}
    second.ready = frozenset(CAMERAS)
    world.run(4, first, second)
    assert owned(second) == set(KEYS)


def run_until(instance: Instance, step: str) -> None:
    while next(instance.steps) != step:
        pass


def test_a_claim_whose_outcome_was_lost_is_released_for_the_worker_that_should_have_it(world: World) -> None:
    x = world.add("x")
    x.turn()
    run_until(x, "claimed")
    x.steps = x.begun()  # the exchange failed
    y = world.add("y")
    world.run(DEAD - 1, x, y)
    assert not owned(y)  # somebody may have held them before, and speak
    world.run(4, x, y)
    assert owned(x, y) == set(KEYS)
    assert owned(y)


def test_a_lease_that_is_given_back_is_free_only_once_its_holder_has_seen_it(world: World) -> None:
    x, y = world.add("x"), world.add("y")
    world.run(2, x, y)
    before = owned(x)
    world.run(DEAD - 0.5, y)
    run_until(y, "decided")
    x.turn()  # back just in time
    run_until(y, "end")
    world.run(3, y)
    assert owned(x) == before
    assert not owned(y) & before
    world.run(2, x, y)
    assert owned(x) == before
    assert owned(x, y) == set(KEYS)


def test_a_camera_that_nobody_can_watch_is_spoken_for_by_the_one_that_has_the_site(world: World) -> None:
    cameras = {**CAMERAS, "far": frozenset({"roof"})}
    x, y = world.add("x", cameras=cameras), world.add("y", cameras=cameras)
    world.run(3, x, y)
    speaker = x if x.speaks(SITE) else y
    assert speaker.speaks("far")
    assert speaker.keeper.orphans == {"far"}
    z = world.add("z", cameras=cameras, labels=frozenset({"roof"}))
    z.ready = frozenset()
    world.run(READY_WITHIN + 4, x, y, z)
    assert z.speaks("far")


def test_workers_of_two_clusters_notice_each_other(world: World) -> None:
    x, y = world.add("x"), world.add("y", cluster="other", cameras={"else": NO_LABELS})
    world.run(STRANGE_AFTER + 2, x, y)
    assert (found := x.keeper.stranger(world.clock.now)) is not None
    assert found.worker == "y"
    assert y.keeper.stranger(world.clock.now)


@pytest.mark.parametrize("loses", [False, True])
@pytest.mark.parametrize("seed", [*range(10), 138, 164, 195])
def test_no_two_speak_for_one_camera_whatever_freezes_between_any_two_steps(seed: int, loses: bool) -> None:
    rng, world = random.Random(seed), World()
    names = ("x", "y", "z")
    instances = {name: world.add(name) for name in names}
    frozen = dict.fromkeys(names, 0.0)
    spoken: dict[str, int] = {}
    for step in range(4_000):
        world.clock.now += rng.uniform(0, 0.1)
        name = rng.choice(names)
        if rng.random() < 0.004:
            frozen[name] = world.clock.now + rng.expovariate(0.15)
        if rng.random() < 0.0005:  # killed, and started again
            instances[name] = world.add(name, session=f"{name}{step}")
        if loses and rng.random() < 0.01:  # an exchange fails, so the turn ends
            instances[name].steps = instances[name].begun()
        if world.clock.now >= frozen[name]:
            instances[name].step()
        for key in KEYS:
            fences = [fence for each in instances.values() if (fence := each.speaks(key)) is not None]
            assert len(fences) < 2
            if fences:
                assert fences[0] >= spoken.get(key, 0)  # it never goes back
                spoken[key] = fences[0]
    assert spoken.keys() == set(KEYS)
    assert max(spoken.values()) > 1
    world.run(60, *instances.values())
    assert owned(*instances.values()) == set(KEYS)
