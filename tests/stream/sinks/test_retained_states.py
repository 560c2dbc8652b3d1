"""The last word on each topic, said again on every connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream.base.ownership import Ownership
from stream.sinks.retained_states import AT_ONCE, RetainedStates
from stream.sinks.topics import Allowed


def test_the_last_word_on_a_topic_waits_for_the_one_before_it() -> None:
    states = RetainedStates()
    assert states.set("door/anomaly", "ON")
    assert states.next(0.0) == {"door/anomaly": "ON"}
    assert not states.set("door/anomaly", "OFF")
    assert states.next(0.0) == {}
    assert not states.acknowledged("door/anomaly")
    assert states.next(0.0) == {"door/anomaly": "OFF"}
    assert not states.settled
    states.acknowledged("door/anomaly")
    assert states.settled


def test_a_new_connection_hears_all_of_them() -> None:
    states = RetainedStates()
    states.set("a", "1")
    states.set("b", "2")
    states.next(0.0)
    states.acknowledged("a")
    states.connection_lost()
    assert set(states.next(0.0)) == {"a", "b"}
    states.publish_again(outside="a")
    assert states.next(0.0) == {}  # still under way
    for topic in ("a", "b"):
        states.acknowledged(topic)
    assert states.next(0.0) == {"b": "2"}


def test_few_are_under_way_at_once_so_that_an_event_can_go_between() -> None:
    states = RetainedStates()
    for number in range(3 * AT_ONCE):
        states.set(f"{number}", "x")
    first = states.next(0.0)
    assert len(first) == AT_ONCE
    assert states.next(0.0) == {}
    states.acknowledged("0")
    assert list(states.next(0.0)) == [f"{AT_ONCE}"]


def test_what_is_removed_is_emptied_and_reported_unless_it_comes_back() -> None:
    states = RetainedStates()
    states.set("a", "1")
    states.next(0.0)
    states.acknowledged("a")
    states.remove("a")
    assert states.topics() == []
    assert states.next(0.0) == {"a": ""}
    assert states.acknowledged("a")
    states.remove("b")  # of an earlier run
    states.next(0.0)
    states.set("b", "2")
    assert not states.acknowledged("b")
    assert states.topics() == ["b"]
    states.remove("c")
    states.forget("c")
    assert states.next(0.0) == {"b": "2"}


def test_one_topic_is_published_again_if_it_is_in_use() -> None:
    states = RetainedStates()
    for topic in ("a", "b"):
        states.set(topic, "1")
        states.next(0.0)
        states.acknowledged(topic)
    states.refresh("a")
    states.refresh("c")
    assert states.next(0.0) == {"a": "1"}


@dataclass
class Shared(Ownership):
    """Has these leases."""

    worker: str | None = "w"
    open: dict[str, int] = field(default_factory=dict)

    def fence(self, name: str) -> int | None:
        return self.open.get(name)


def test_a_run_that_stands_by_does_not_say_that_the_worker_is_there_or_away() -> None:
    shared = Shared()
    allowed = Allowed("mgfn", shared)
    assert allowed.available == "mgfn/worker/w/available"
    assert not allowed(allowed.available)
    shared.open = {"@w": 3}
    assert allowed(allowed.available)
    assert not allowed("mgfn/door/status")
