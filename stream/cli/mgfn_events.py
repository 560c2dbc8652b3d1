"""`mgfn-events`: look back at what happened."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import platformdirs
import typer

from configs.command import run_command
from stream.base.errors import StreamError, UsageError
from stream.base.redaction import redact_all

if TYPE_CHECKING:
    from stream.alarm.event import EventMessage
    from stream.archive.event_store import ListedEvent
    from stream.archive.store import Store
    from stream.lookback.history import Answer, Suggestion
    from stream.lookback.reproduction import Reproduction

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder of mgfn-stream; default: the user's state folder."),
]
SiteFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Site file of mgfn-stream, whose `data` is looked at."),
]
Camera = Annotated[str | None, typer.Option("--camera", metavar="NAME", help="This camera alone.")]


@app.callback()
def main_options() -> None:
    """Look back at alarms, also while mgfn-stream runs.

    Example: mgfn-events list --since 24h
    """


def duration(text: str, flag: str) -> float:
    """Seconds of `7d`, `12h`, `90m`, `30s`, `2w`. Raises UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])", text)
    if found is None:
        raise UsageError(f"{flag} {text}: allowed is a number and a unit: 30s, 90m, 12h, 7d, 2w")
    return float(found[1]) * _UNITS[found[2]]


def folder_of(data: Path | None, config: Path | None) -> Path:
    """The data folder: --data, else what the site file says, else the user's state folder. Raises UsageError."""
    if data is None and config is not None:
        from stream.settings.site.reading import data_folder

        data = data_folder(config)
    return data or Path(platformdirs.user_state_dir("mgfn-stream"))


@contextmanager
def looked_at(data: Path | None, config: Path | None, *, writes: bool = False) -> Iterator[Store]:
    """The data folder's store. Raises UsageError where there is none, StreamError where it cannot be read."""
    from stream.archive.store import Store

    folder = folder_of(data, config)
    try:
        with (Store.beside if writes else Store.read_only)(folder) as store:
            yield store
    except sqlite3.Error as error:
        raise StreamError(
            f"--data {folder}: the database cannot be {'written' if writes else 'read'}: {error}"
        ) from None


@app.command("list")
def list_events(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Alarms, lost cameras and tests, oldest first.

    Example: mgfn-events list --since 24h --json
    """
    began = time.time() - duration(since, "--since")
    with looked_at(data, config) as store:
        events = store.events.since(began)
    if as_json:
        for event in events:
            sys.stdout.write(json.dumps(event.as_json()) + "\n")
    else:
        _print_table(events, since)


@app.command("what-if")
def what_if(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    threshold: Annotated[float | None, typer.Option(metavar="F", help="Alarm-on threshold; absent: as it is.")] = None,
    min_duration: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that the score must stay up; absent: as it is.")
    ] = None,
    camera: Camera = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a camera instead of a table.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """The alarms there would have been with other settings, from stored scores.

    Example: mgfn-events what-if --since 7d --threshold 0.7 --min-duration 2
    """
    from stream.lookback import history

    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold}: allowed is 0 to 1")
    if min_duration is not None and not 0 <= min_duration <= 3_600:
        raise UsageError(f"--min-duration {min_duration}: allowed is 0 to 3600 seconds")
    now = time.time()
    began = now - duration(since, "--since")
    with looked_at(data, config) as store:
        names = history.cameras(store, camera)
        answers = (
            history.what_if(store, name, store.scores.columns(name, began, now), threshold, min_duration)
            for name in names
        )
        if as_json:
            for answer in answers:
                sys.stdout.write(json.dumps(answer.as_json()) + "\n")
        else:
            _print_answers(list(answers), since)


def _print_answers(answers: list[Answer], since: str) -> None:
    from rich.table import Table

    from stream.cli.tables import console

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
            f"{len(answer.alarms) / answer.days:.2f} a day" if answer.days > 0.5 else "less than half a day was scored"
        )
        scored = f"{answer.days:.2f} scored days" if answer.days > 0.5 else f"{answer.days * 24:.2f} scored hours"
        out.print(
            f"{answer.camera}: {len(answer.alarms)} in {scored} of the last {since} ({rate}) at "
            f"threshold {rule.threshold_on:g}, off {rule.threshold_off:.3g}, {rule.min_duration:g} s"
        )
    if not answers:
        out.print(f"no scores in the last {since} (they are stored by the minute)")


@app.command("suggest-threshold")
def suggest_threshold(
    per_day: Annotated[float, typer.Option(metavar="N", help="False alarms a day that you can bear.")],
    camera: Camera = None,
    apply: Annotated[bool, typer.Option("--apply", help="Put it into force, also while mgfn-stream runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a camera instead of text.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """The threshold for an alarm budget, from each camera's scores and verdicts of the last 30 days.

    Example: mgfn-events suggest-threshold --per-day 2 --camera front_door --apply
    """
    from stream.lookback import history

    if not 0 < per_day <= 1_000:
        raise UsageError(f"--per-day {per_day:g}: allowed is more than 0, up to 1000")
    now = time.time()
    with looked_at(data, config, writes=apply) as store:
        names = history.cameras(store, camera)
        if not names and not as_json:
            sys.stdout.write("no scores of any camera yet (they are stored by the minute)\n")
        for name in names:
            suggestion = history.suggest(store, name, per_day, now)
            applied = apply and suggestion.proposal is not None
            if applied:
                history.apply(store, suggestion)
            if as_json:
                sys.stdout.write(json.dumps(suggestion.as_json() | {"applied": applied}) + "\n")
            else:
                _print_suggestion(suggestion, applied)


def _print_suggestion(suggestion: Suggestion, applied: bool) -> None:
    say = sys.stdout.write
    proposal = suggestion.proposal
    say(f"{suggestion.camera}: threshold now {suggestion.now:g}\n")
    if suggestion.misfit:
        say(f"  it no longer fits: {suggestion.misfit}\n")
    if proposal is None:
        say(f"  no proposal: {suggestion.days * 24:.1f} hours were scored, half a day is needed\n")
        return
    how = {
        "counted": f"counted in {proposal.days:.1f} scored days: {proposal.counted} alarms",
        "extrapolated": f"extrapolated from the highest episodes of {proposal.days:.1f} scored days",
        "quiet": f"{proposal.counted} alarms in {proposal.days:.1f} scored days, and no more at any lower threshold",
    }[proposal.method]
    verb = "now in force" if applied else "proposed"
    say(f"  {verb}: {proposal.threshold:g}  ({how})\n")
    say(f"  expect {proposal.per_day:.2f} false alarms a day; 95 %: {proposal.low:.2f} to {proposal.high:.2f}\n")
    say(f"  of {proposal.found + len(proposal.missed)} alarms called true it keeps {proposal.found}")
    say(
        f" and would have missed: {', '.join(_local(begin, suggestion.zone) for begin, _ in proposal.missed)}\n"
        if proposal.missed
        else "\n"
    )


@app.command()
def verdict(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id, as `list` shows it.")],
    said: Annotated[str, typer.Argument(metavar="true|false_alarm|none", help="none takes it back.")],
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Say whether an alarm was right, or take that back; also while mgfn-stream runs.

    Example: mgfn-events verdict 1795466000.12-a1b2c3 false_alarm
    """
    if said not in ("true", "false_alarm", "none"):
        raise UsageError(f"{said}: allowed is true, false_alarm or none")
    with looked_at(data, config, writes=True) as store:
        event = store.events.get(event_id)
        if event is None:
            raise UsageError(f"{event_id}: no such event; mgfn-events list shows them")
        store.events.judge(event.message.camera, event_id, None if said == "none" else said)


@app.command()
def reproduce(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id, as `list` shows it.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The event's bundle, where it lies elsewhere now.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="Engine as in mgfn-stream --backend; absent: the event's.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda[:N].")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Score an alarm again from its stored features and its saved clip, and compare.

    Exit code 0: they agree within 0.001 on the same engine, 0.02 on another; 1: they do not. What was scored in INT8
    and is scored again in float32, or the other way round, may exceed 0.02 where pictures are compared.

    Example: mgfn-events reproduce 1795466000.12-a1b2c3
    """
    from engine.engine import Engine
    from engine.errors import BackendError
    from stream.archive.explanation import read
    from stream.archive.media import media_path
    from stream.lookback.reproduction import reproduce as score_again
    from stream.settings.bundle import bundle_of, check_device

    check_device(device)
    with looked_at(data, config) as store:
        event = store.events.get(event_id)
        if event is None:
            raise UsageError(f"{event_id}: no such event; mgfn-events list shows them")
        window = read(media_path(store.media, event_id, "window"))
        clip = media_path(store.media, event_id, "clip")
    model = event.message.model
    path = bundle_of(model.sha256, [bundle] if bundle is not None else [Path(window.bundle)])
    try:
        opened = Engine.open(path, backend or model.backend.removesuffix("-cuda"), device)
    except BackendError:
        if backend is not None:
            raise
        opened = Engine.open(path, "auto", device)  # the event's engine is not on this machine
    with opened as engine:
        found = score_again(engine, window, model.backend, clip if clip.is_file() else None)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found) | {"id": event_id, "agrees": found.agrees}) + "\n")
    else:
        _print_reproduction(found)
    if not found.agrees:
        raise typer.Exit(1)


def _print_reproduction(found: Reproduction) -> None:
    say = sys.stdout.write
    say(f"recorded on {found.recorded_backend}, again on {found.backend}; allowed are {found.limit:g}\n")
    say(f"score: {found.recorded:.6f} recorded, {found.again:.6f} from the stored features\n")
    if found.from_pictures is None:
        say(f"pictures not compared: {found.no_pictures}\n")
    else:
        say(f"       {found.from_pictures:.6f} with {found.compared} features from the saved clip\n")
        say(f"features: relative error {found.error:.2g}, 1 - cosine {found.distance:.2g}\n")
    say("they agree\n" if found.agrees else "THEY DIFFER\n")
    was, now = (_arithmetic(name) for name in (found.recorded_backend, found.backend))
    if was != now:
        say(
            f"the event was scored in {was}, this engine computes in {now}: that alone moves features by some percent "
            f"and scores by some hundredths; --backend {found.recorded_backend.removesuffix('-cuda')} compares like "
            "with like\n"
        )


def _arithmetic(backend: str) -> str:
    from engine.backends import BACKENDS

    row = BACKENDS.get(backend.removesuffix("-cuda"))
    return "another arithmetic" if row is None else row.form


def _local(epoch: float, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(epoch).astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _print_table(events: list[ListedEvent], since: str) -> None:
    from rich.table import Table

    from stream.cli.tables import console

    table = Table("began", "lasted", "camera", "what", "top score", "ended by", "verdict", "files", "id")
    for listed in events:
        event, sizes = listed.message, {"snapshot": listed.snapshot_bytes, "clip": listed.clip_bytes}
        at_least = "at least " if event.end_reason == "restart" else ""  # it ran on until it was cut off
        table.add_row(
            datetime.fromisoformat(event.local_time).isoformat(sep=" ", timespec="seconds"),
            "open" if event.end_time is None else f"{at_least}{event.end_time - event.start_time:.1f} s",
            event.camera,
            _what(event),
            f"{event.top_score:.2f}" if event.label == "anomaly" else "",
            event.end_reason or "",
            listed.verdict or "",
            ", ".join(kind for kind, size in sizes.items() if size),
            event.id,
        )
    out = console(180)
    out.print(table)
    out.print(f"{len(events)} in the last {since}")


def _what(event: EventMessage) -> str:
    """What kind of event it is, and why nobody was told where that is so."""
    what = "test" if event.test else "notice" if event.severity == "notice" else event.label
    if event.suppressed is None:
        return what
    return f"{what}, suppressed: {event.suppressed}{f' of {event.resembles}' if event.resembles else ''}"


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code, redact=redact_all)


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError

    return 2 if isinstance(error, (UsageError, EngineError)) else 1 if isinstance(error, StreamError) else None


if __name__ == "__main__":
    main()
