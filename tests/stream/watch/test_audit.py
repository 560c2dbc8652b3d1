"""The audit log: what changed something is stored, and what changed nothing is not."""

from __future__ import annotations

from pathlib import Path

from stream.alarm.requests import Acknowledge, Command, GiveVerdict, Note, Origin, RunTest, SetEnabled, SetThreshold
from stream.archive.store import Store
from stream.watch.audit import Audit
from tests.stream.watch.test_acknowledgements import Desk

ANNA = Origin("anna", "page")


def test_only_what_changed_something_is_stored(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk = Desk(store)
        audit = Audit(desk.journal, store.clock, [])

        def give(command: Command) -> None:
            desk.posted.append(command)
            for _ in range(3):
                while desk.posted:
                    one = desk.posted.pop(0)
                    desk.report.overrides.obey(
                        [desk.decoder],
                        one,
                        lambda changed, one=one: audit.note(one, changed),  # type: ignore[misc]
                    )
                desk.written()

        desk.alarm()
        for command in (
            SetEnabled("door", None, origin=ANNA), SetThreshold("door", 0.7, origin=ANNA), SetEnabled("roof", False),
            GiveVerdict("door", "1.00-aaaaaa", "true"), GiveVerdict("door", "latest", "true", origin=ANNA),
            Acknowledge("door", "1.00-aaaaaa", "bob"), Acknowledge("door", "latest", "anna", origin=ANNA),
            Note("camera_added", camera="yard", origin=ANNA), RunTest("door", origin=ANNA),
        ):  # fmt: skip
            give(command)
            give(command)
        stored = [(change.who, change.camera, change.what, change.value) for change in store.audit.latest(100)[::-1]]
        assert stored == [
            ("anna", "door", "threshold", "0.7"), ("anna", "door", "verdict", "latest true"),
            ("anna", "door", "acknowledged", "latest"), ("anna", "yard", "camera_added", ""),
            ("anna", "yard", "camera_added", ""), ("anna", "door", "test", ""),
        ]  # fmt: skip
        assert audit.last("door")["enabled"]["who"] == "anna"  # for whoever changes the same next
