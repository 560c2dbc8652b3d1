"""`mgfn-stream`: watch cameras."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import platformdirs
import typer

from configs.command import called, run_command
from stream.base.redaction import redact_all
from stream.cli.subcommands import cluster_app, desk, discover, people_app

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


app.command()(discover)
app.command()(desk)
app.add_typer(cluster_app, name="cluster")
app.add_typer(people_app, name="people")


@app.callback(invoke_without_command=True)
def watch(
    context: typer.Context,
    rtsp: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]URL", help="Camera (rtsp://, rtsps://) or video file; repeat for each."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Site file (YAML), instead of --rtsp; flags override it.")
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="URL", help="mqtt[s]://[user:pw@]host[:port]; default: an embedded broker."),
    ] = None,
    mqtt_ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate of the broker.")] = None,
    mqtt_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Key of the client certificate.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(metavar="P", help="Prefix of all topics; default: mgfn.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model bundle; default: the default one, built on first use.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto (default: the fastest one), openvino[-int8], onnxruntime[-fp16], tensorrt or torch.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, cpu, cuda[:N], gpu or npu (both with OpenVINO); default: auto."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="F", help="Fixed alarm-on threshold, 0 to 1; default: each camera learns its own."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every score, one JSON object per line.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Read recordings at full speed, without dropping frames, then exit.")
    ] = False,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|off",
            help="Web page, /metrics, /healthz; default: 127.0.0.1:8080, or the next free port.",
        ),
    ] = None,
    http_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with the token of an operator; for others: mgfn-stream people add --help."
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of this instance on MQTT; default: the host name.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for events, images and clips; default: the user's state folder."),
    ] = None,
    self_test: Annotated[
        str | None,
        typer.Option(metavar="HOURS|off", help="Hours between self-tests with a staged incident; default: 24."),
    ] = None,
    false_alarms_per_day: Annotated[
        float | None,
        typer.Option(metavar="F", help="False alarms per day that a learned threshold aims for; default: 1."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every event message, one JSON object per line.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from a file written by --save-calibration.")
    ] = None,
    save_calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="At the end, write what each camera has learned.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Share the cameras with N - 1 others that are started alike (docs/cluster.md)."
        ),
    ] = None,
    leases: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the leases of shared cameras; default: the broker keeps them."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What this instance can reach, for `labels` of cameras; repeat for each."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|local", help="Spread the cameras over the machines of a Ray cluster (docs/cluster.md)."
        ),
    ] = None,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
    expected: Annotated[str, typer.Option(hidden=True)] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Test the bundle, the broker and every camera, and print a table.")
    ] = False,
) -> None:
    """Watch cameras and publish alarms over MQTT.

    Example: mgfn-stream --rtsp door=rtsp://user:{MGFN_DOOR_PW}@192.168.1.20/stream2 --mqtt mqtt://192.168.1.5

    Many cameras: mgfn-stream --config site.yaml
    """
    if context.invoked_subcommand is not None:
        return
    # imported here because the engine and FFmpeg load slowly, and --help should be instant
    from engine.engine import Engine
    from stream.alarm.rule import AlarmSettings
    from stream.alarm.schedule import Schedule
    from stream.archive.store import Store
    from stream.base.addresses import parse_sources, unfilled
    from stream.base.errors import UsageError
    from stream.base.log import configure, log, serve
    from stream.base.open_files import allow_open_files
    from stream.camera.allocation import share_heaps
    from stream.camera.confinement import landlock_version
    from stream.cli.calibration import calibration_for
    from stream.cli.canary import opened_canary
    from stream.cli.check import check_all
    from stream.cli.sharing import Sharing, run_workers
    from stream.service.service import Service
    from stream.settings.bundle import alarm_of, cached_bundle
    from stream.settings.flags import Flags, options, typed_on_the_command_line
    from stream.settings.settings import CameraConfig, ServiceSettings
    from stream.settings.site.reading import Site, read_site
    from stream.settings.site.watching import SiteWatcher
    from stream.sinks.mqtt_client import make_client
    from stream.sinks.score_file import ScoresFile
    from stream.web import server as web

    share_heaps()
    serve()
    if not replay:  # SIGHUP reloads a site file; without one, and until then, it must not end the service
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if rtsp and config is not None:
        raise UsageError("--config, --rtsp: both were given; use only one, and put the camera into the site file")
    if not rtsp and config is None:
        raise UsageError("--rtsp: give at least one camera: --rtsp [NAME=]URL, or a site file: --config FILE")
    asks_token = http is None and http_token_file is None and not replay
    site = None if config is None else read_site(config, asks_token=asks_token)
    sources = parse_sources(rtsp or ())
    if false_alarms_per_day is not None and not 0 < false_alarms_per_day <= 10_000:
        raise UsageError(f"--false-alarms-per-day {false_alarms_per_day}: must be above 0 and at most 10000")
    if false_alarms_per_day is not None and threshold is not None:
        raise UsageError("--threshold, --false-alarms-per-day: both were given; use only one")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold}: must be from 0 to 1")
    given = options(
        Flags(
            mqtt, mqtt_ca, mqtt_cert, mqtt_key, topic_prefix, bundle, backend, device, scores, http, http_token_file,
            node, data, self_test,
        ),
        site,
    )  # fmt: skip

    def cameras_of(site: Site | None, bundle_alarm: AlarmSettings) -> tuple[CameraConfig, ...]:
        """The cameras of the site file, or else of --rtsp."""
        if site is None:
            cameras = tuple(CameraConfig(source, bundle_alarm) for source in sources)
        else:
            cameras = site.cameras(bundle_alarm)
        if threshold is not None:
            cameras = tuple(replace(camera, alarm=camera.alarm.with_threshold(threshold)) for camera in cameras)
        if false_alarms_per_day is not None:
            cameras = tuple(
                replace(c, alarm=replace(c.alarm, false_alarms_per_day=false_alarms_per_day, learnt=True))
                for c in cameras
            )
        if replay:  # a recording has no time of day
            cameras = tuple(replace(camera, schedule=Schedule(zone=camera.schedule.zone)) for camera in cameras)
        live = next((camera.name for camera in cameras if replay and any(s.live for s in camera.streams)), None)
        if live is not None:
            raise UsageError(f"--replay: sources must be recordings; {live} is a live URL")
        secrets.update(secret for camera in cameras for secret in camera.secrets)
        configure(list(secrets))
        return cameras

    def told_of_braces(cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
        for name in [camera.name for camera in cameras if any(unfilled(stream.url) for stream in camera.streams)]:
            log.warning(braces, camera=name)
        return cameras

    braces = "{NAME} in braces is sent unchanged: only {MGFN_NAME} is replaced"
    secrets = set(given.secrets)
    # report invalid cameras, and too many of them, before anything starts; those that are shared run elsewhere, too
    given_cameras = told_of_braces(cameras_of(site, AlarmSettings(1.0, 1.0)))
    allow_open_files(0 if shard or worker or cluster else len(given_cameras))
    if unfilled(mqtt or (site.given.mqtt.url if site and site.given.mqtt else None) or ""):
        log.warning(braces, key="mqtt")
    for warning in typed_on_the_command_line(rtsp or (), mqtt):
        if cluster is not None:  # it would be on the command lines of all machines
            raise UsageError(warning)
        log.warning(warning)
    sharing = Sharing(shard, worker, expected, leases, tuple(label or ()), cluster)
    sharing.check(given, replay=replay, check=check)
    if given.broker is not None:
        make_client(given.broker, given.tls, given.node)  # report invalid certificates, too
    state = Path(platformdirs.user_state_dir("mgfn-stream"))
    if cluster is not None:
        run_workers(context, cluster, given, config, state, (http, save_calibration))
        return
    listener = None
    # a replay serves no page, and does not take the port of a running service unless --http names an address
    wanted = given.http if not replay else http or "off"
    if wanted != "off":
        try:
            if check:  # the running service may be using the address
                *_, people = web.check_address(wanted, given.http_token_file, given.people)
            else:
                # a site file names one address for all workers of a machine
                free = worker is not None
                listener = _, people = web.bind(wanted, given.http_token_file, given.people, next_free=free)
        except UsageError as error:
            raise UsageError(f"{config}: http: {error}" if site and http is None else str(error)) from None
        if not people.nobody and not any(person.operator for person in people.people):
            log.warning(
                "nobody can operate the page: `people` has only viewers, and nobody is let in without a token",
                instead=f"give --http-token-file, or: {called()} people add NAME --config {config}",
            )
    folder = given.data or state / ("check" if check else sharing.folder)
    # a replay stores nothing, and a check changes nothing
    store = Store.in_memory(folder) if replay or check else Store.open(folder, given.retention)

    with store:
        for flag, file in (("--scores", given.scores), ("--events", events)):
            if file is not None and not check:
                fresh = not file.exists()
                ScoresFile(file, flag).close()  # report a file that cannot be written before the engine loads
                if fresh:  # leave no empty file behind
                    file.unlink()
        if save_calibration is not None and not save_calibration.parent.is_dir():
            raise UsageError(f"--save-calibration {save_calibration}: the folder does not exist")
        path = given.bundle if given.bundle is not None else cached_bundle()
        with ExitStack() as engines:
            engine = engines.enter_context(Engine.open(path, given.backend, given.device))
            log.info("confinement of decoder processes", landlock=landlock_version() or "not available")
            log.info("engine", backend=engine.backend.name, reason=engine.reason, bundle=str(path))
            alarm = alarm_of(engine.bundle)
            settings = ServiceSettings(
                cameras_of(site, alarm), given.broker, given.tls, given.topic_prefix, given.node, replay, given.scores,
                folder, given.retention, given.frigate, given.notify, None if replay or check else given.self_test,
                events, None, save_calibration, {} if site is None or replay else site.modes(), config, given.page,
                None if site is None else site.zone, None if replay else given.canary,
            )  # fmt: skip
            canary = engines.enter_context(opened_canary(settings.canary, engine, given.backend, given.device))
            if calibration is not None:
                settings = replace(settings, calibration=calibration_for(settings.cameras, calibration, engine.bundle))
            if check:
                raise typer.Exit(0 if check_all(settings, engine, folder) else 1)
            if listener is not None:
                log.info("web page" if not replay else "metrics", address=web.page_address(listener[0]))
            watcher = None
            if site is not None and not replay:
                watcher = SiteWatcher(site, lambda changed: told_of_braces(cameras_of(changed, alarm)))
                signal.signal(signal.SIGHUP, lambda *_: watcher.ask())
            shared = sharing.joined(settings, engine, watcher)
            service = Service(settings, engine, store, listener, shared or watcher, shared, canary)
            service.obey_signals()
            service.run()
    service.leave()


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError
    from stream.base.errors import StreamError, UsageError

    if isinstance(error, (UsageError, EngineError)):
        return 2
    return 1 if isinstance(error, StreamError) else None


def _after_the_log(text: str) -> str:
    """An error line without secrets; the log's lines come before it."""
    from stream.base.log import FLUSHED_WITHIN, standard_error

    standard_error.flush(FLUSHED_WITHIN)
    return redact_all(text)


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code, stopping_is_success=True, redact=_after_the_log)
