"""The rules for leases on a broker: everyone who follows the messages agrees, and so does who comes later."""

from __future__ import annotations

import random

from stream.cluster.mirror import SETTLED_AFTER, Mirror
from stream.cluster.records import Record

FIRST, SECOND = Record(1, "s1", "x"), Record(1, "s2", "y")


def took(mirror: Mirror, record: Record, *, retained: bool = False, again: bool = False) -> Record | None:
    return mirror.take("door", record, 0.0, retained=retained, again=again)


def in_force(mirror: Mirror) -> Record:
    return mirror.snapshot(100.0).records["door"]


def test_the_first_of_two_claims_takes_effect() -> None:
    mirror = Mirror()
    assert took(mirror, FIRST) is None
    assert took(mirror, SECOND) == FIRST  # to be published again, because the broker retains the second
    assert in_force(mirror) == FIRST


def test_a_claim_that_comes_too_late_has_no_effect() -> None:
    mirror = Mirror()
    for record in (FIRST, Record(2, "s2", "y"), Record(3, "s3", "z")):
        assert took(mirror, record) is None
    assert took(mirror, Record(2, "s4", "w")) == Record(3, "s3", "z")
    assert mirror.snapshot(0.0).displaced["door"] == Record(2, "s2", "y")


def test_who_connects_later_is_corrected() -> None:
    late = Mirror()
    assert took(late, SECOND, retained=True) is None
    assert late.snapshot(SETTLED_AFTER / 2).unsure == {"door"}
    assert took(late, FIRST, again=True) is None
    assert in_force(late) == FIRST
    assert not late.snapshot(SETTLED_AFTER).unsure


def test_who_follows_is_not_confused_by_what_is_published_again() -> None:
    mirror = Mirror()
    took(mirror, FIRST)
    took(mirror, Record(2, "s2", "y"))
    assert took(mirror, FIRST, again=True) == Record(2, "s2", "y")  # the broker retains the older one now
    assert in_force(mirror) == Record(2, "s2", "y")


def test_who_has_missed_messages_learns_it_from_what_is_published_again() -> None:
    mirror = Mirror()
    took(mirror, FIRST)
    assert took(mirror, Record(7, "s2", "y"), again=True) is None
    assert in_force(mirror) == Record(7, "s2", "y")


def test_who_has_followed_for_a_while_corrects_others() -> None:
    mirror = Mirror()
    took(mirror, FIRST, retained=True)
    second, wrong = Record(2, "s2", "y"), Record(2, "s3", "z")
    assert mirror.take("door", second, SETTLED_AFTER, retained=False, again=False) is None
    assert mirror.take("door", wrong, SETTLED_AFTER, retained=False, again=False) == second


def test_all_agree_whatever_is_claimed_and_whoever_connects_when() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        mirrors: list[Mirror] = [Mirror()]
        retained: Record | None = None
        line = [(Record(rng.randint(1, 4), f"s{rng.randint(1, 4)}"), False) for _ in range(12)]
        while line:
            if rng.random() < 0.2:
                mirrors.append(late := Mirror())
                if retained is not None:
                    took(late, retained, retained=True)
            record, again = line.pop(0)
            retained = record
            # whoever must publish the lease again does so behind what others have sent meanwhile
            line += [
                (right, True)
                for mirror in mirrors
                if (right := took(mirror, record, again=again)) is not None
            ]  # fmt: skip
        assert len({in_force(mirror) for mirror in mirrors}) == 1
        assert retained == in_force(mirrors[0])
