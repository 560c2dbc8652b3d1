"""Who is scored next and who gives up a clip, told as time lines of a few cameras."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from stream.camera.messages import ClipReady
from stream.watch.scheduling import LONGEST_WAIT, STARVED, Scheduler, Standing

CLIP = 0.64


@dataclass(eq=False)
class Camera:
    name: str
    pending_clips: deque[ClipReady] = field(default_factory=deque)
    nearness: float = 0.0
    is_free: bool = False

    @property
    def standing(self) -> Standing:
        return Standing(self.is_free, self.nearness)

    def waits(self, *arrivals: float) -> Camera:
        self.pending_clips.extend(ClipReady(0, number, at - CLIP, at, at, 0) for number, at in enumerate(arrivals))
        return self


def names(lines: list[Camera]) -> list[str]:
    return [line.name for line in lines]


def test_one_clip_of_each_camera_those_first_that_wait_longest() -> None:
    lines = [
        Camera("a").waits(3.0, 3.1),
        Camera("b").waits(1.0, 5.0),
        Camera("c"),
        Camera("d", nearness=1.0).waits(2.0),
    ]
    assert names(Scheduler().next_batch(lines, 8, 5.0)) == ["b", "d", "a"]
    assert names(Scheduler().next_batch(lines, 2, 5.0)) == ["b", "d"]
    assert names(Scheduler().next_batch(lines, 1, 5.0)) == ["b"]


def test_nobody_waits() -> None:
    assert Scheduler().next_batch([Camera("a")], 8, 0.0) == []
    assert Scheduler().overdue([Camera("a")], 9.0) == []


def test_what_waited_longer_than_the_limit_is_overdue() -> None:
    a, b = Camera("a").waits(0.0, 0.7), Camera("b").waits(0.1)
    scheduler = Scheduler()
    assert scheduler.overdue([a, b], LONGEST_WAIT) == []
    assert scheduler.overdue([a, b], LONGEST_WAIT + 0.05) == [a]
    assert scheduler.overdue([a, b], 2 * LONGEST_WAIT) == [a, a, b]
    a.pending_clips.popleft()
    assert scheduler.overdue([a, b], LONGEST_WAIT + 0.05) == []


def test_under_overload_those_near_an_alarm_are_scored_and_others_dropped() -> None:
    quiet, busy, near = Camera("quiet").waits(0.0), Camera("busy", nearness=0.5), Camera("near", nearness=1.0)
    lines = [quiet, busy.waits(0.1), near.waits(0.2)]
    scheduler = Scheduler()
    assert scheduler.overdue(lines, 1.05) == [quiet]
    assert names(scheduler.next_batch(lines, 3, 1.5)) == ["near", "busy", "quiet"]
    assert names(scheduler.next_batch(lines, 3, 1.5 + STARVED + 0.1)) == ["quiet", "busy", "near"]  # it has passed


def test_what_costs_nothing_is_scored_first_and_kept() -> None:
    free, near = Camera("free", is_free=True).waits(0.0), Camera("near", nearness=1.0).waits(0.2)
    scheduler = Scheduler()
    assert scheduler.overdue([free, near], 1.5) == [near]
    assert names(scheduler.next_batch([near, free], 1, 1.5)) == ["free"]


def test_a_camera_that_is_starved_comes_before_what_costs_nothing() -> None:
    free, costly = Camera("free", is_free=True), Camera("costly")
    scheduler = Scheduler()
    for now in (0.0, 1.0):
        scheduler.dropped(now)
        assert names(scheduler.next_batch([costly.waits(now), free.waits(now)], 1, now)) == ["free"]
    scheduler.dropped(STARVED)
    assert names(scheduler.next_batch([costly, free], 1, STARVED)) == ["costly"]


@dataclass
class Run:
    """Cameras that finish a clip every 0.64 s each, and an engine that takes `cost` seconds for one."""

    cameras: int
    cost: float
    urgent: int = 0  # of these cameras
    scored: Counter[str] = field(default_factory=Counter)
    shed: list[tuple[float, str]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    served: dict[str, list[float]] = field(default_factory=dict)

    def go(self, seconds: float, cost_later: float | None = None) -> Run:
        lines = [Camera(chr(ord("a") + k), nearness=float(k < self.urgent)) for k in range(self.cameras)]
        due = sorted((k * CLIP / self.cameras + n * CLIP, k) for k in range(self.cameras) for n in range(200))
        arrivals, scheduler, now = deque(due), Scheduler(), 0.0
        while now < seconds:
            while arrivals and arrivals[0][0] <= now:
                at, k = arrivals.popleft()
                lines[k].waits(at)
            for line in scheduler.overdue(lines, now):
                line.pending_clips.popleft()
                self.shed.append((now, line.name))
            batch = scheduler.next_batch(lines, 1, now)
            for line in batch:
                self.waits.append((now, now - line.pending_clips.popleft().arrival))
                self.scored[line.name] += 1
                self.served.setdefault(line.name, []).append(now)
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
    assert len(run.scored) == cameras
    gave = Counter(name for _, name in run.shed)
    assert max(gave.values()) - min(gave.get(chr(ord("a") + k), 0) for k in range(cameras)) <= 4
    assert max(run.scored.values()) - min(run.scored.values()) <= 4


@pytest.mark.parametrize(("cameras", "cost", "urgent"), [(10, 0.128, 3), (12, 0.2, 2), (20, 0.128, 1)])
def test_urgent_cameras_lose_little_and_no_camera_starves(cameras: int, cost: float, urgent: int) -> None:
    run = Run(cameras, cost, urgent).go(60)
    gave = Counter(name for _, name in run.shed)
    first = [chr(ord("a") + k) for k in range(urgent)]
    assert all(gave[name] <= 0.1 * run.scored[name] for name in first)
    assert len(run.scored) == cameras
    longest = max(later - at for times in run.served.values() for at, later in pairwise(times))
    assert longest <= STARVED + 2 * CLIP + cost
    assert max(wait for _, wait in run.waits) <= LONGEST_WAIT + 2 * cost


def test_it_recovers_when_the_load_is_gone() -> None:
    run = Run(cameras=10, cost=0.1).go(60, cost_later=0.05)
    assert run.shed
    assert max(at for at, _ in run.shed) < 31
    assert max(wait for at, wait in run.waits if at > 35) < 0.2
