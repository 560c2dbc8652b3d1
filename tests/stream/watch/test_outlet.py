"""Who is told of an event: a mode may name the recipients."""

from __future__ import annotations

from typing import cast

import pytest

from stream.alarm.outbox import Waiting
from stream.archive.journal import Journal
from stream.sinks.courier import Courier
from stream.watch.metrics import Metrics
from stream.watch.outlet import Outlet
from tests.events import MODEL, event_message


class Told:
    """A courier that keeps what it is offered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.types: list[str] = []

    def offer(self, payload: object) -> None:
        self.types.append(getattr(payload, "type", ""))


class Delivered:
    """A journal that only hears what was delivered."""

    def delivered_early(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("recipients", "phone", "frigate"),
    [
        (None, ["new", "end"], ["new", "end"]),
        ({"notify-1"}, ["new", "end"], ["end"]),  # what it was told before a mode began must end there, too
        (set(), ["end"], ["end"]),
    ],
)
def test_a_mode_names_who_is_told(recipients: set[str] | None, phone: list[str], frigate: list[str]) -> None:
    told = [Told("notify-1"), Told("frigate")]
    outlet = Outlet(Metrics(MODEL), lambda *_: None, cast("list[Courier]", told), keeps=True)
    outlet.connect(cast(Journal, Delivered()), None)
    outlet.tell_only(None if recipients is None else frozenset(recipients))
    for kind in ("new", "end"):
        outlet.committed(Waiting(event_message(type=kind), 1.0))
    assert [courier.types for courier in told] == [phone, frigate]
