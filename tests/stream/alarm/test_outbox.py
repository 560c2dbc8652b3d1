"""What is given up when a broker stays away."""

from __future__ import annotations

from stream.alarm.event import MessageType
from stream.alarm.outbox import Outbox, Waiting
from tests.events import event_message

KINDS: tuple[MessageType, ...] = ("new", "update", "update", "end")


def message(kind: MessageType, seq: int, made: float = 0.0) -> Waiting:
    return Waiting(event_message(type=kind, seq=seq), made, seq)


def drained(box: Outbox) -> list[int]:
    return [w.payload.seq for _ in range(len(box)) if (w := box.take()) is not None]


def test_a_full_box_gives_up_its_oldest_update_first() -> None:
    box = Outbox(limit=4)
    for number, kind in enumerate(KINDS):
        assert box.put(message(kind, number)) is None
    gone = [box.put(message("new", number)) for number in (4, 5, 6)]
    assert [w.payload.seq for w in gone if w] == [1, 2, 0]
    assert drained(box) == [3, 4, 5, 6]


def test_what_waited_too_long_goes() -> None:
    box = Outbox(longest_wait=100.0)
    for number in range(3):
        box.put(message("new", number, made=float(number)))
    assert [w.key for w in box.expire(101.5)] == [0, 1]
    assert drained(box) == [2]
    assert box.take() is None


def test_the_order_of_each_camera_is_kept_while_another_is_held() -> None:
    box = Outbox()
    for number, camera in enumerate(("door", "yard", "door", "yard")):
        box.put(Waiting(event_message(type="new", seq=number, camera=camera), 0.0))
    first = box.take()
    assert first is not None
    box.put_back(first)
    found = [box.take({"door"}) for _ in range(3)]
    assert [w and w.payload.seq for w in found] == [1, 3, None]
    assert drained(box) == [0, 2]


def test_what_did_not_reach_the_broker_is_the_oldest_again() -> None:
    box = Outbox()
    for number in range(3):
        box.put(message("update", number))
    first = box.take()
    assert first is not None
    box.put_back(first)
    assert drained(box) == [0, 1, 2]
