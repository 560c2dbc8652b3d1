"""The output of `mgfn-events` for people."""

from __future__ import annotations

import sys
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from rich.table import Table

from stream.alarm.event import UNKNOWN
from stream.cli.tables import console

if TYPE_CHECKING:
    from stream.alarm.audit import Change
    from stream.alarm.event import EventMessage
    from stream.archive.event_store import ListedEvent
    from stream.lookback.digest import Digest
    from stream.lookback.history import Answer, Suggestion
    from stream.lookback.reproduction import Reproduction


def print_events(events: list[ListedEvent], since: str) -> None:
    """A table of events; `since` as the user gave it."""
    table = Table("began", "lasted", "camera", "what", "top score", "ended by", "verdict", "answered by", "files", "id")
    for listed in events:
        event, sizes = listed.message, {"snapshot": listed.snapshot_bytes, "clip": listed.clip_bytes}
        at_least = "at least " if event.end_reason == "restart" else ""  # the program was killed during the alarm
        table.add_row(
            datetime.fromisoformat(event.local_time).isoformat(sep=" ", timespec="seconds"),
            "open" if event.end_time is None else f"{at_least}{event.end_time - event.start_time:.1f} s",
            event.camera,
            _what(event),
            f"{event.top_score:.2f}" if event.label == "anomaly" else "",
            event.end_reason or "",
            listed.verdict or "",
            "" if event.acknowledged is None else event.acknowledged.by,
            ", ".join(kind for kind, size in sizes.items() if size),
            event.id,
        )
    out = console(180)
    out.print(table)
    out.print(f"{len(events)} events in the last {since}")


def print_audit(changes: list[Change], since: str) -> None:
    """A table of changes; `since` as the user gave it."""
    table = Table("when", "who", "through", "camera", "what", "value")
    for change in changes:
        when = datetime.fromtimestamp(change.at).isoformat(sep=" ", timespec="seconds")
        table.add_row(when, change.who, change.via, change.camera, change.what, change.value)
    out = console(160)
    out.print(table)
    out.print(f"{len(changes)} changes in the last {since}")


def print_digests(found: list[Digest], since: str) -> None:
    """A table with a line for each camera; `since` as the user gave it."""
    table = Table("camera", "alarms", "true", "false", "unanswered", "notices", "suppressed", "lost", "budget")
    for one in found:
        lost = f"{one.lost} times, {one.lost_seconds / 60:.0f} min" if one.lost else ""
        budget = "fixed threshold" if one.budget is None else "nothing scored"
        if one.kept is not None:
            verb = "kept" if one.kept else "NOT KEPT"
            budget = f"{verb}: {one.not_true} alarms not marked true, {one.budget:g} allowed"
        counts = (one.alarms, one.true, one.false_alarms, one.unanswered, one.notices, one.suppressed)
        table.add_row(one.camera, *map(str, counts), lost, budget)
    out = console(180)
    out.print(table)
    out.print(f"{len(found)} cameras in the last {since}")


def _what(event: EventMessage) -> str:
    """The kind of event and, if it was not published, the reason."""
    what: str = "test" if event.test else "notice" if event.severity == "notice" else event.label
    if event.kind != UNKNOWN:
        what = f"{what} ({event.kind})"
    if event.suppressed is None:
        return what
    return f"{what}, suppressed: {event.suppressed}{f' of {event.resembles}' if event.resembles else ''}"


def print_answers(answers: list[Answer], since: str) -> None:
    """A table of alarms, and a line for each camera."""
    out = console(180)
    shown = Table("began", "lasted", "camera", "top score")
    found = [(alarm, answer) for answer in answers for alarm in answer.alarms]
    for alarm, answer in sorted(found, key=lambda one: one[0].start):
        lasted = "open" if alarm.end is None else f"{alarm.end - alarm.start:.1f} s"
        shown.add_row(_local(alarm.start, answer.zone), lasted, answer.camera, f"{alarm.top_score:.2f}")
    out.print(shown)
    for answer in answers:
        rule = answer.settings
        rate = (
            f"{len(answer.alarms) / answer.days:.2f} per day" if answer.days > 0.5 else "less than half a day of scores"
        )
        scored = f"{answer.days:.2f} scored days" if answer.days > 0.5 else f"{answer.days * 24:.2f} scored hours"
        out.print(
            f"{answer.camera}: {len(answer.alarms)} alarms in {scored} of the last {since} ({rate}), with "
            f"alarm-on {rule.threshold_on:g}, alarm-off {rule.threshold_off:.3g}, minimum duration "
            f"{rule.min_duration:g} s"
        )
        if answer.left_out_before is not None:
            out.print(_left_out(answer.left_out_before, answer.zone))
    if not answers:
        out.print(f"no scores in the last {since} (they are stored once a minute)")


def _left_out(before: float, zone: tzinfo | None) -> str:
    return f"scores before {_local(before, zone)} are left out: they are from another bundle and on another scale"


def print_suggestion(suggestion: Suggestion, applied: bool) -> None:
    """The proposal for one camera."""
    say = sys.stdout.write
    proposal = suggestion.proposal
    say(f"{suggestion.camera}: threshold now {suggestion.now:g}\n")
    if suggestion.misfit:
        say(f"  the threshold no longer fits: {suggestion.misfit}\n")
    if suggestion.left_out_before is not None:
        say(f"  {_left_out(suggestion.left_out_before, suggestion.zone)}\n")
    if proposal is None:
        say(f"  no proposal: only {suggestion.days * 24:.1f} hours were scored; half a day is needed\n")
        return
    how = {
        "counted": f"counted in {proposal.days:.1f} scored days: {proposal.counted} alarms",
        "extrapolated": f"extrapolated from the highest episodes of {proposal.days:.1f} scored days",
        "quiet": f"{proposal.counted} alarms in {proposal.days:.1f} scored days; no lower threshold gives more",
    }[proposal.method]
    verb = "now in force" if applied else "proposed"
    say(f"  {verb}: {proposal.threshold:g}  ({how})\n")
    say(f"  expected: {proposal.per_day:.2f} false alarms a day (95 %: {proposal.low:.2f} to {proposal.high:.2f})\n")
    missed = ", ".join(_local(begin, suggestion.zone) for begin, _ in proposal.missed)
    say(f"  of {proposal.found + len(proposal.missed)} alarms marked as true, {proposal.found} are kept")
    say(f"; missed: {missed}\n" if missed else "\n")


def print_reproduction(found: Reproduction) -> None:
    """Both scores, and how far they differ."""
    say = sys.stdout.write
    say(f"recorded with {found.recorded_backend}, scored again with {found.backend}; tolerance {found.limit:g}\n")
    say(f"score: {found.recorded:.6f} recorded, {found.again:.6f} from the stored features\n")
    if found.from_pictures is None:
        say(f"frames not compared: {found.no_pictures}\n")
    else:
        say(f"       {found.from_pictures:.6f} with {found.compared} features from the saved clip\n")
        say(f"features: relative error {found.error:.2g}, 1 - cosine {found.distance:.2g}\n")
        if found.encoded_again:
            say(
                "The saved clip was encoded again (masks). Its frames only resemble those that the model saw, so only "
                f"their features are compared: median of 1 - cosine {found.typical_distance:.2g}, tolerance "
                f"{found.frames_limit:g}.\n"
            )
    say("they agree\n" if found.agrees else "THEY DIFFER\n")
    was, now = (_arithmetic(name) for name in (found.recorded_backend, found.backend))
    if was != now:
        say(
            f"the event was scored in {was}, but this engine computes in {now}: that alone changes features by a few "
            f"percent and scores by a few hundredths; --backend {found.recorded_backend.removesuffix('-cuda')} uses "
            "the same arithmetic\n"
        )


def _arithmetic(backend: str) -> str:
    from engine.backends import BACKENDS

    row = BACKENDS.get(backend.removesuffix("-cuda"))
    return "a different arithmetic" if row is None else row.form


def _local(epoch: float, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(epoch).astimezone(zone).isoformat(sep=" ", timespec="seconds")
