"""The courier: lines that are bounded, tried again, and hold nobody up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from stream.alarm.event import EventMessage
from stream.sinks import courier as module
from stream.sinks.courier import Courier, UndeliveredError
from tests.events import event_message
from tests.servers.processes import until


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY", 0.001)


class Box:
    """A recipient that fails on demand."""

    def __init__(self, name: str, failures: int = 0, worth: float = 100.0, *, lasting: bool = False) -> None:
        self.name = name
        self.got: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.called = threading.Event()
        self._failures = failures
        self._worth = worth
        self._lasting = lasting

    def wants(self, payload: EventMessage, now: float) -> bool:  # noqa: ARG002 -- the protocol
        return payload.type == "new"

    def worth(self, payload: EventMessage) -> float:  # noqa: ARG002 -- the protocol
        return self._worth

    def deliver(self, payload: EventMessage) -> None:
        self.called.set()
        self.open.wait(10)
        if self._failures:
            self._failures -= 1
            raise UndeliveredError("not today", lasting=self._lasting)
        self.got.append(int(float(payload.id[:-7])))


def message(number: int, kind: str = "new") -> EventMessage:
    return event_message(id=f"{number}.00-aaaaaa", type=kind)


@contextmanager
def running(box: Box, **more: Any) -> Iterator[tuple[Courier, Counter[tuple[str, str]]]]:
    told: Counter[tuple[str, str]] = Counter()
    courier = Courier(box, lambda name, fate: told.update([(name, fate)]), **more)
    thread = threading.Thread(target=courier.run)
    thread.start()
    try:
        yield courier, told
    finally:
        courier.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_in_order_and_only_what_is_wanted() -> None:
    box = Box("a")
    with running(box) as (courier, told):
        for number in range(50):
            courier.offer(message(number, "new" if number % 2 else "update"))
        until(lambda: len(box.got) == 25)
    assert box.got == list(range(1, 50, 2))
    assert told == {("a", "delivered"): 25}


def test_a_defect_costs_one_message_and_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    box = Box("a")
    fine = box.deliver

    def deliver(payload: EventMessage) -> None:
        if payload.id.startswith("1."):
            raise AttributeError("json://hunter2")
        fine(payload)

    box.deliver = deliver  # type: ignore[method-assign]
    with running(box) as (courier, told):
        courier.offer(message(1))
        courier.offer(message(2))
        until(lambda: box.got == [2])
    assert told == {("a", "failed"): 1, ("a", "delivered"): 1}
    said = "".join(capsys.readouterr())
    assert "internal error: AttributeError" in said
    assert "hunter2" not in said


def test_tried_again_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Box("bad", failures=5)
    with running(bad) as (courier, told):
        for number in range(3):
            courier.offer(message(number))
        until(lambda: len(bad.got) == 3)
    assert bad.got == [0, 1, 2]
    assert told == {("bad", "delivered"): 3}
    said = "".join(capsys.readouterr())
    assert said.count("delivery failed") == 1
    assert "not today" in said
    assert said.count("delivery works again") == 1


@pytest.mark.parametrize("box", [Box("old", failures=1, worth=0.0), Box("refused", failures=1, lasting=True)])
def test_given_up_when_too_old_or_refused_for_good(box: Box) -> None:
    with running(box) as (courier, told):
        courier.offer(message(1))
        courier.offer(message(2))
        until(lambda: box.got == [2])
    assert told == {(box.name, "failed"): 1, (box.name, "delivered"): 1}


def test_one_that_does_not_answer_holds_up_no_other() -> None:
    stuck, good = Box("stuck"), Box("good")
    stuck.open.clear()
    with ExitStack() as stack:
        couriers = [stack.enter_context(running(box))[0] for box in (stuck, good)]
        for number in range(3):
            for courier in couriers:
                courier.offer(message(number))
        until(lambda: len(good.got) == 3)
        assert stuck.called.wait(10)
        assert not stuck.got
        stuck.open.set()


def test_a_full_line_gives_up_its_oldest_and_nobody_waits_for_it() -> None:
    stuck = Box("stuck")
    stuck.open.clear()
    with running(stuck, queue_limit=5) as (courier, told):
        courier.offer(message(0))
        assert stuck.called.wait(10)
        for number in range(1, 100):  # returns at once each time, with nothing delivered
            courier.offer(message(number))
        assert told == {("stuck", "dropped"): 95}
        stuck.open.set()
        until(lambda: len(stuck.got) == 6)  # the first was under way already
    assert stuck.got == [0, 95, 96, 97, 98, 99]


def test_a_stop_tries_once_more_and_no_further() -> None:
    dead = Box("dead", failures=1000)
    with running(dead) as (courier, told):
        for number in range(3):
            courier.offer(message(number))
        assert dead.called.wait(10)
    assert told == {("dead", "failed"): 3}
