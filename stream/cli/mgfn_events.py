"""`mgfn-events`: look back at past events."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from configs.command import called, run_command
from stream.base.errors import StreamError, UsageError
from stream.base.redaction import redact_all
from stream.cli.canary_report import canary
from stream.cli.looking_back import Camera, DataFolder, SiteFile, duration, login_name, looked_at, moment

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(canary)


@app.callback()
def main_options() -> None:
    """Look back at alarms. Works while mgfn-stream is running.

    Example: mgfn-events list --since 24h
    """


@app.command("list")
def list_events(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """List alarms, lost cameras and tests, oldest first.

    Example: mgfn-events list --since 24h --json
    """
    from stream.cli import event_reports

    began = time.time() - duration(since, "--since")
    with looked_at(data, config) as store:
        events = store.events.since(began)
    if as_json:
        for event in events:
            sys.stdout.write(json.dumps(event.as_json()) + "\n")
    else:
        event_reports.print_events(events, since)


def _unknown(event_id: str) -> UsageError:
    return UsageError(f"{event_id}: no such event; {called('mgfn-events')} list shows all events")


@app.command()
def digest(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "1d",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per camera.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Sum up each camera: alarms, answers, times without images, and the budget of false alarms.

    Example: mgfn-events digest --since 1d
    """
    from stream.cli import event_reports
    from stream.lookback.digest import digests

    now = time.time()
    with looked_at(data, config) as store:
        found = digests(store, now - duration(since, "--since"), now)
    if as_json:
        for one in found:
            sys.stdout.write(json.dumps(one.as_json()) + "\n")
    else:
        event_reports.print_digests(found, since)


@app.command("what-if")
def what_if(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    threshold: Annotated[
        float | None, typer.Option(metavar="F", help="Alarm-on threshold; default: the current one.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option(metavar="S", help="Minimum duration in seconds; default: the current one.")
    ] = None,
    camera: Camera = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per camera.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """List the alarms that other settings would have raised, from the stored scores.

    Example: mgfn-events what-if --since 7d --threshold 0.7 --min-duration 2
    """
    from stream.cli import event_reports
    from stream.lookback import history

    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold}: must be from 0 to 1")
    if min_duration is not None and not 0 <= min_duration <= 3_600:
        raise UsageError(f"--min-duration {min_duration}: must be from 0 to 3600 seconds")
    now = time.time()
    began = now - duration(since, "--since")
    with looked_at(data, config) as store:
        names = history.cameras(store, camera)
        answers = (
            history.what_if(store, name, history.history_of(store, name, began, now), threshold, min_duration)
            for name in names
        )
        if as_json:
            for answer in answers:
                sys.stdout.write(json.dumps(answer.as_json()) + "\n")
        else:
            event_reports.print_answers(list(answers), since)


@app.command("suggest-threshold")
def suggest_threshold(
    per_day: Annotated[float, typer.Option(metavar="N", help="Acceptable number of false alarms per day.")],
    camera: Camera = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Set the proposed threshold; works while mgfn-stream is running.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per camera.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Propose a threshold for a number of false alarms, from the scores and verdicts of the last 30 days.

    Example: mgfn-events suggest-threshold --per-day 2 --camera front_door --apply
    """
    from stream.alarm.requests import Origin
    from stream.cli import event_reports
    from stream.lookback import history

    if not 0 < per_day <= 1_000:
        raise UsageError(f"--per-day {per_day:g}: must be above 0 and at most 1000")
    now = time.time()
    with looked_at(data, config, writes=apply) as store:
        names = history.cameras(store, camera)
        if not names and not as_json:
            sys.stdout.write("no scores yet (they are stored once a minute)\n")
        for name in names:
            suggestion = history.suggest(store, name, per_day, now)
            applied = apply and suggestion.proposal is not None
            if applied:
                history.apply(store, suggestion, Origin(login_name(), "command line"))
            if as_json:
                sys.stdout.write(json.dumps(suggestion.as_json() | {"applied": applied}) + "\n")
            else:
                event_reports.print_suggestion(suggestion, applied)


@app.command()
def verdict(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the event, as shown by `list`.")],
    said: Annotated[str, typer.Argument(metavar="true|false_alarm|none", help="none withdraws the verdict.")],
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Mark an alarm as true or false, or withdraw the verdict. Works while mgfn-stream is running.

    Example: mgfn-events verdict 1795466000.12-a1b2c3 false_alarm
    """
    from stream.alarm.requests import GiveVerdict, Origin
    from stream.lookback.audit import note

    verdicts: dict[str, Literal["true", "false_alarm"] | None] = {
        "true": "true", "false_alarm": "false_alarm", "none": None
    }  # fmt: skip
    if said not in verdicts:
        raise UsageError(f"{said}: must be true, false_alarm or none")
    with looked_at(data, config, writes=True) as store:
        event = store.events.get(event_id)
        if event is None:
            raise _unknown(event_id)
        camera = event.message.camera
        with store.transaction():
            store.events.judge(camera, event_id, verdicts[said])
            # a running mgfn-stream hears of settings; the time tells two verdicts apart
            store.settings.set(camera, "verdict", f"{event_id} {said} {time.time():.3f}")
            origin = Origin(login_name(), "command line")
            note(store, GiveVerdict(camera, event_id, verdicts[said], origin=origin))


@app.command()
def erase(
    camera: Annotated[str, typer.Option("--camera", metavar="NAME", help="The camera.")],
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="2026-11-29, or 2026-11-29T06:30[+01:00].")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The end of the period, likewise.")],
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it, only count what would be erased.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Erase images, clips, windows, events and scores of a camera in a period, and say what was erased.

    Works while mgfn-stream is running; alarms that have not ended, and scores of the last minute, are not stored yet
    and stay. What was sent (messages, images retained by the broker, notifications) and files written by --scores and
    --events must be erased where they are.

    Example: mgfn-events erase --camera door --from 2026-11-29T06:00 --to 2026-11-29T07:00 --yes
    """
    from stream.archive.erasure import erase as erase_period

    since, until = moment(begin, "--from"), moment(end, "--to")
    if not since < until:
        raise UsageError(f"--from {begin}, --to {end}: the period must end after it begins")
    with looked_at(data, config, writes=yes) as store:
        erased = erase_period(store, camera, since, until, dry=not yes)
    if as_json:
        sys.stdout.write(json.dumps(asdict(erased) | {"erased": yes}) + "\n")
        return
    what = "erased" if yes else "would be erased (--yes erases it)"
    sys.stdout.write(
        f"{camera}: {what}: {erased.events} events, {erased.images} images, {erased.clips} clips, {erased.windows} "
        f"windows ({erased.bytes / 1e6:.1f} MB), {erased.scores} scores\n"
    )
    if erased.open_events:
        sys.stdout.write(f"{camera}: {erased.open_events} alarms have not ended and stay\n")


@app.command()
def ack(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the event, as shown by `list`.")],
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who answers it; default: the user's name.")] = None,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Acknowledge an alarm. If mgfn-stream is not running, it publishes the acknowledgement at its next start.

    Example: mgfn-events ack 1795466000.12-a1b2c3 --by anna
    """
    from stream.alarm.requests import checked_name
    from stream.lookback.answers import acknowledge

    try:
        name = checked_name(login_name() if by is None else by)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    with looked_at(data, config, writes=True) as store:
        if not acknowledge(store, event_id, name):
            raise _unknown(event_id)


@app.command()
def audit(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """List who changed what: on the page, over MQTT or with mgfn-events; oldest first.

    Example: mgfn-events audit --since 24h
    """
    from stream.archive.audit_store import MOST
    from stream.cli import event_reports

    began = time.time() - duration(since, "--since")
    with looked_at(data, config) as store:
        changes = store.audit.latest(MOST, began)[::-1]
    if as_json:
        for change in changes:
            sys.stdout.write(json.dumps(change.as_json()) + "\n")
    else:
        event_reports.print_audit(changes, since)


@app.command()
def reproduce(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the event, as shown by `list`.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The bundle that scored the event, if it was moved.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="Engine, as in mgfn-stream; default: the one that scored it.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda[:N], gpu or npu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: DataFolder = None,
    config: SiteFile = None,
) -> None:
    """Score an alarm again from its stored features and its saved clip, and compare.

    The exit code is 0 if the scores agree within 0.001 on the same engine, or within 0.02 on another one, and 1 if they
    do not. If one score was computed in INT8 and the other in float32, they may differ by more.

    The saved clip of a camera with masks was encoded again, so its frames only resemble those that the model saw. Then
    the features of these frames are compared (median of 1 - cosine at most 0.03), and not the score.

    Example: mgfn-events reproduce 1795466000.12-a1b2c3
    """
    from engine.engine import Engine
    from engine.errors import BackendError
    from stream.archive.explanation import read
    from stream.archive.media import media_path
    from stream.cli import event_reports
    from stream.lookback.reproduction import reproduce as score_again
    from stream.settings.bundle import bundle_of, check_device

    check_device(device)
    with looked_at(data, config) as store:
        event = store.events.get(event_id)
        if event is None:
            raise _unknown(event_id)
        window = read(media_path(store.media, event_id, "window"))
        clip = media_path(store.media, event_id, "clip")
    model = event.message.model
    path = bundle_of(model.sha256, [bundle] if bundle is not None else [Path(window.bundle)])
    try:
        opened = Engine.open(path, backend or model.backend.removesuffix("-cuda"), device)
    except BackendError:
        if backend is not None:
            raise
        opened = Engine.open(path, "auto", device)  # the engine that scored the event is not available on this machine
    with opened as engine:
        found = score_again(engine, window, model.backend, clip if clip.is_file() else None)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found) | {"id": event_id, "agrees": found.agrees}) + "\n")
    else:
        event_reports.print_reproduction(found)
    if not found.agrees:
        raise typer.Exit(1)


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code, redact=redact_all)


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError

    return 2 if isinstance(error, (UsageError, EngineError)) else 1 if isinstance(error, StreamError) else None


if __name__ == "__main__":
    main()
