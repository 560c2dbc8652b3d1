"""Who is scored next and who gives up a clip, told as time lines of a few cameras."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from stream.camera.messages import ClipReady
from stream.watch.scheduling import LONGEST_WAIT, Shedder, next_batch

CLIP = 0.64


@dataclass(eq=False)
class Camera:
    name: str
    pending_clips: deque[ClipReady] = field(default_factory=deque)

    def waits(self, *arrivals: float) -> Camera:
        self.pending_clips.extend(ClipReady(0, number, at - CLIP, at, at, 0) for number, at in enumerate(arrivals))
        return self


def names(lines: list[Camera]) -> list[str]:
    return [line.name for line in lines]


def test_one_clip_of_each_camera_those_first_that_wait_longest() -> None:
    lines = [Camera("a").waits(3.0, 3.1), Camera("b").waits(1.0, 5.0), Camera("c"), Camera("d").waits(2.0)]
    assert names(next_batch(lines, 8)) == ["b", "d", "a"]
    assert names(next_batch(lines, 2)) == ["b", "d"]
    assert names(next_batch(lines, 1)) == ["b"]


def test_nobody_waits() -> None:
    assert next_batch([Camera("a")], 8) == []
    assert Shedder().choose([Camera("a")]) is None


def test_overdue_is_what_waited_longer_than_the_limit() -> None:
    lines = [Camera("a").waits(0.0, 0.7), Camera("b").waits(0.1)]
    shedder = Shedder()
    assert [shedder.overdue(lines, now) for now in (LONGEST_WAIT, 1.05, 1.2, 2.0)] == [0, 1, 2, 3]


def test_the_oldest_is_given_up_first_and_nobody_twice_in_a_row() -> None:
    a, b, c = Camera("a").waits(0.0, 0.1, 0.2, 0.3), Camera("b").waits(1.0, 1.1), Camera("c").waits(2.0)
    shedder, gave = Shedder(), []
    while (line := shedder.choose([a, b, c])) is not None:
        line.pending_clips.popleft()
        gave.append(line.name)
    assert gave[:5] == ["a", "b", "c", "a", "b"]
    assert gave[5:] == ["a", "a"]  # nobody else is left


def test_the_last_of_a_round_is_not_the_first_of_the_next() -> None:
    a, b = Camera("a").waits(0.0, 5.0, 6.0), Camera("b").waits(1.0, 2.0, 3.0)
    shedder, gave = Shedder(), []
    for _ in range(4):
        line = shedder.choose([a, b])
        assert line is not None
        line.pending_clips.popleft()
        gave.append(line.name)
    assert gave == ["a", "b", "a", "b"]


@dataclass
class Run:
    """Cameras that finish a clip every 0.64 s each, and an engine that takes `cost` seconds for one."""

    cameras: int
    cost: float
    scored: Counter[str] = field(default_factory=Counter)
    shed: list[tuple[float, str]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)

    def go(self, seconds: float, cost_later: float | None = None) -> Run:
        lines = [Camera(chr(ord("a") + k)) for k in range(self.cameras)]
        due = sorted((k * CLIP / self.cameras + n * CLIP, k) for k in range(self.cameras) for n in range(200))
        arrivals, shedder, now = deque(due), Shedder(), 0.0
        while now < seconds:
            while arrivals and arrivals[0][0] <= now:
                at, k = arrivals.popleft()
                lines[k].waits(at)
            for _ in range(shedder.overdue(lines, now)):
                line = shedder.choose(lines)
                assert line is not None
                line.pending_clips.popleft()
                self.shed.append((now, line.name))
            batch = next_batch(lines, 1)
            for line in batch:
                self.waits.append((now, now - line.pending_clips.popleft().arrival))
                self.scored[line.name] += 1
            half = cost_later is not None and now > seconds / 2
            now += (cost_later if half and cost_later is not None else self.cost) if batch else 0.001
        return self


def test_who_keeps_up_sheds_nothing() -> None:
    run = Run(cameras=10, cost=0.06).go(20)
    assert not run.shed
    assert max(wait for _, wait in run.waits) < 0.2


@pytest.mark.parametrize(("cameras", "cost"), [(3, 0.32), (4, 0.2), (10, 0.1), (16, 0.08), (7, 0.64)])
def test_overload_is_shared_and_bounded(cameras: int, cost: float) -> None:
    run = Run(cameras, cost).go(60)
    assert run.shed
    assert max(wait for _, wait in run.waits) <= LONGEST_WAIT + 2 * cost
    assert all(one != other for (_, one), (_, other) in itertools.pairwise(run.shed))
    assert len(run.scored) == cameras
    gave = Counter(name for _, name in run.shed)
    assert max(gave.values()) - min(gave.get(chr(ord("a") + k), 0) for k in range(cameras)) <= 2
    assert max(run.scored.values()) - min(run.scored.values()) <= 4


def test_it_recovers_when_the_load_is_gone() -> None:
    run = Run(cameras=10, cost=0.1).go(60, cost_later=0.05)
    assert run.shed
    assert max(at for at, _ in run.shed) < 31
    assert max(wait for at, wait in run.waits if at > 35) < 0.2
