"""What a worker tells people of itself."""

from __future__ import annotations

from typing import Any

from stream.cluster.placement import NO_LABELS
from stream.cluster.standing import standing
from tests.stream.cluster.test_keeper import World
from tests.stream.cluster.world import Instance

CAMERAS = {"door": NO_LABELS, "gate": frozenset({"net=yard"}), "roof": frozenset({"net=roof"})}


def told(instance: Instance) -> dict[str, Any]:
    return standing(instance.keeper)


def test_a_worker_says_what_it_is_and_why_it_has_a_camera() -> None:
    world = World()
    x, y = world.add("x", cameras=CAMERAS), world.add("y", cameras=CAMERAS, labels=frozenset({"net=yard"}))
    assert told(x)["fence"] is None
    world.run(12, x, y)
    assert {name: value for name, value in told(y).items() if name != "cameras"} == {
        "worker": "y", "cluster": "c", "host": "", "capacity": None, "labels": ["net=yard"], "draining": False,
        "fence": 1,
    }  # fmt: skip
    assert told(y)["cameras"]["gate"] == {"fence": 3, "choice": 1, "of": 1, "needs": ["net=yard"]}  # x was first
    (owner,) = [each for each in (x, y) if "door" in told(each)["cameras"]]
    assert told(owner)["cameras"]["door"] == {"fence": 3, "choice": 1, "of": 2}
    assert not [each for each in (x, y) if "roof" in told(each)["cameras"]]  # nobody can watch it


def test_a_camera_that_is_about_to_move_says_where() -> None:
    world = World()
    x = world.add("x", cameras=CAMERAS)
    world.run(8, x)
    y = world.add("y", cameras=CAMERAS)
    y.ready = frozenset()
    world.ground.drained.add("s-x")
    world.run(3, x, y)
    assert told(x)["draining"]
    assert told(x)["cameras"]["door"] == {"fence": 1, "moves_to": "y"}
    y.ready = frozenset(CAMERAS)
    world.run(3, x, y)
    assert told(x)["cameras"] == {}
    assert told(y)["cameras"]["door"]["fence"] == 3
