"""Runs the demo: python -m stream.cli.demo [--duration SECONDS].

Standard output has the events as a subscriber receives them, one JSON object per line. Progress goes to standard error;
its last line says how many alarms began within three seconds of the staged incident and how many did not. With a
duration, counted from the first score, the exit code is 0 if an alarm arrived and 1 otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion

from configs.command import run_command
from configs.pinned import FetchError, PinnedFile, cache_folder, fetch
from configs.processes import ChildError, child, logged, rtsp_server, wait_for
from engine.default_bundle import default_bundle_path
from stream.base.errors import StreamError
from stream.cli.demo.incidents import Playback, judge, playbacks
from stream.service.staged_footage import INCIDENT, STAGED_THRESHOLD, staged_footage

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 -- for the user of the demo


@app.command()
def demo(
    duration: Annotated[
        float | None, typer.Option(min=1, metavar="S", help="Seconds from the first score; default: until Ctrl-C.")
    ] = None,
) -> None:
    """Watch street footage with a staged incident over RTSP, and print the alarms that an MQTT subscriber receives.

    Example: python -m stream.cli.demo --duration 60
    """
    samples = cache_folder("samples")
    recording = staged_footage(fetch(PinnedFile.named("samples.json", "bikes"), samples), samples)
    say(f"real street footage with a staged incident from {INCIDENT[0]:.0f} to {INCIDENT[1]:.0f} s")
    events: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch, rtsp_server(recording.parent) as (server, _):
        url = f"{server}{recording.name}?play_count=0"
        say(f"camera: {url}")
        scores = Path(scratch) / "scores.jsonl"
        with watching(url, scores, Path(scratch) / "log.jsonl") as (service, broker_port):
            subscriber = subscribe(broker_port, events)
            seen = run(service, scores, duration)
            subscriber.loop_stop()
    # count the first message of each alarm
    alarms = [event for event in events if (event["type"], event["label"], event["test"]) == ("new", "anomaly", False)]
    starts = [event["start_time"] for event in alarms]
    inside, outside = judge(starts, seen)
    what = "1 alarm" if len(starts) == 1 else f"{len(starts)} alarms"
    say(f"{what}: {inside} in the staged incident, {outside} outside")
    raise typer.Exit(0 if alarms else 1)


@contextmanager
def watching(url: str, scores: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mgfn-stream` watching the camera, and the port of its embedded broker."""
    command = [sys.executable, "-m", "stream.cli", "--rtsp", f"demo={url}", "--scores", str(scores)]
    # a minute of one street is not enough history to learn a threshold from
    command += ["--data", str(scores.parent / "data"), "--threshold", str(STAGED_THRESHOLD)]
    if not default_bundle_path().exists():
        say("building the model bundle (once, a minute or two)")
    with log.open("w") as file, child(command, stderr=file, start_new_session=True) as process:
        try:
            wait_for(lambda: logged(log, "embedded broker"), process, "mgfn-stream", seconds=600)
        except ChildError:
            say(log.read_text())
            raise
        say(f"engine: {logged(log, 'engine')['backend']}; page: {logged(log, 'web page')['address']}")
        broker = logged(log, "embedded broker")["broker"]
        say(f"broker: {broker}; events on mgfn/events as a subscriber receives them:")
        yield process, int(broker.rpartition(":")[2])


def subscribe(port: int, events: list[dict[str, Any]]) -> mqtt.Client:
    """An ordinary subscriber to `mgfn/events`."""

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        print(message.payload.decode(), flush=True)  # noqa: T201 -- the output of the demo
        events.append(json.loads(message.payload))

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda c, *_: c.subscribe("mgfn/events", qos=1)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def run(service: subprocess.Popen[str], scores: Path, duration: float | None) -> list[Playback]:
    """Wait until the end; returns the playback of each connection."""
    began = time.monotonic()
    wait_for(lambda: scores.exists() and scores.read_text().strip(), service, "mgfn-stream", seconds=120)
    say(f"first score after {time.monotonic() - began:.1f} s")
    if duration is None:
        service.wait()
    else:
        try:
            service.wait(duration)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise StreamError("mgfn-stream ended unexpectedly: see above")
    whole = scores.read_text().rpartition("\n")[0]  # the last line may be incomplete
    return playbacks([json.loads(line) for line in whole.splitlines()])


def main() -> NoReturn:
    """Entry point."""
    run_command(app, lambda error: 1 if isinstance(error, (StreamError, FetchError, ChildError)) else None)


if __name__ == "__main__":
    main()
