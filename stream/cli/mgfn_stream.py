"""`mgfn-stream`: watch cameras."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import platformdirs
import typer

from configs.command import run_command
from stream.base.redaction import redact_all

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def watch(
    rtsp: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]URL", help="A camera (rtsp://, rtsps://) or video file; again for each."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Site file (YAML) instead of --rtsp; flags go before it.")
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="URL", help="mqtt[s]://[user:pw@]host[:port]; absent: an embedded broker."),
    ] = None,
    mqtt_ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA of the broker's certificate.")] = None,
    mqtt_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    topic_prefix: Annotated[
        str | None, typer.Option(metavar="P", help="First level of all topics; default: mgfn.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model bundle; absent: the default one, built on first use.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto (default, the fastest), openvino[-int8], onnxruntime[-fp16], tensorrt or torch.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu or cuda[:N]; default: auto.")] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="F", help="Fixed alarm-on threshold in 0..1; absent: learnt.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="Append every score, one JSON a line.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Read recordings losslessly, at full speed; exit.")] = False,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|off", help="Web page, /metrics, /healthz; default 127.0.0.1:8080 or the next free."
        ),
    ] = None,
    http_token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Token that every request must bring.")
    ] = None,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="This instance's name; default: host name.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Events, pictures, clips; default: the user's state folder.")
    ] = None,
    self_test: Annotated[
        str | None,
        typer.Option(metavar="HOURS|off", help="Time between self-tests (a staged incident, all the way); default 24."),
    ] = None,
    false_alarms_per_day: Annotated[
        float | None,
        typer.Option(metavar="F", help="Budget that each camera's threshold is learnt to keep; default: 1."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every message of an event, one JSON a line.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from what --save-calibration wrote.")
    ] = None,
    save_calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write at the end what each camera has learnt.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Try bundle, broker and every camera; print a table.")] = False,
) -> None:
    """Watch cameras and publish alarms over MQTT.

    Example: mgfn-stream --rtsp door=rtsp://user:{MGFN_DOOR_PW}@192.168.1.20/stream2 --mqtt mqtt://192.168.1.5

    Many cameras: mgfn-stream --config site.yaml
    """
    # the engine's and FFmpeg's libraries load after the flags have been looked at by typer: --help is instant
    from engine.engine import Engine
    from stream.alarm.rule import AlarmSettings
    from stream.alarm.schedule import Schedule
    from stream.archive.store import Store
    from stream.base.addresses import parse_sources, unfilled
    from stream.base.errors import UsageError
    from stream.base.log import configure, log
    from stream.cli.calibration import calibration_for
    from stream.cli.check import check_all
    from stream.service.service import Service
    from stream.settings.bundle import cached_bundle
    from stream.settings.flags import Flags, options
    from stream.settings.settings import CameraConfig, ServiceSettings
    from stream.settings.site.reading import Site, read_site
    from stream.settings.site.watching import SiteWatcher
    from stream.sinks.mqtt_client import make_client
    from stream.sinks.score_file import ScoresFile
    from stream.web import server as web

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
        """Those of the site file, else those of --rtsp."""
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
            raise UsageError(f"--replay: sources are recordings; {live} is a live URL")
        secrets.update(secret for camera in cameras for secret in camera.secrets)
        configure(list(secrets))
        return cameras

    def told_of_braces(cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
        for name in [camera.name for camera in cameras if any(unfilled(stream.url) for stream in camera.streams)]:
            log.warning(braces, camera=name)
        return cameras

    braces = "a {NAME} in braces is sent as it stands: only {MGFN_NAME} is filled in"
    secrets = set(given.secrets)
    told_of_braces(cameras_of(site, AlarmSettings(1.0, 1.0)))  # wrong ones are told before anything starts
    if unfilled(mqtt or (site.given.mqtt.url if site and site.given.mqtt else None) or ""):
        log.warning(braces, key="mqtt")
    if given.broker is not None:
        make_client(given.broker, given.tls, given.node)  # certificates, likewise
    listener = None
    # a replay serves no page and keeps out of the service's way, unless it was told an address itself
    wanted = given.http if not replay else http or "off"
    if wanted != "off":
        try:
            if check:  # a service may have the address by right
                web.check_address(wanted, given.http_token_file)
            else:
                listener = web.bind(wanted, given.http_token_file)
        except UsageError as error:
            raise UsageError(f"{config}: http: {error}" if site and http is None else str(error)) from None
    state = Path(platformdirs.user_state_dir("mgfn-stream"))
    folder = given.data or (state / "check" if check else state)
    # a replay keeps nothing, a check touches nothing
    store = Store.in_memory(folder) if replay or check else Store.open(folder, given.retention)

    with store:
        for flag, file in (("--scores", given.scores), ("--events", events)):
            if file is not None and not check:
                fresh = not file.exists()
                ScoresFile(file, flag).close()  # one that cannot be written is told before the engine loads
                if fresh:  # and one that nothing was written into is not left
                    file.unlink()
        if save_calibration is not None and not save_calibration.parent.is_dir():
            raise UsageError(f"--save-calibration {save_calibration}: the folder does not exist")
        path = given.bundle if given.bundle is not None else cached_bundle()
        with Engine.open(path, given.backend, given.device) as engine:
            log.info("engine", backend=engine.backend.name, reason=engine.reason, bundle=str(path))
            thresholds = engine.manifest.thresholds
            if thresholds is None:
                raise UsageError(f"--bundle {path}: holds a backbone alone; build one with a head: mgfn-export --head")
            alarm = AlarmSettings(thresholds.on, thresholds.off)
            if thresholds.min_duration is not None:
                alarm = replace(alarm, min_duration=thresholds.min_duration)
            settings = ServiceSettings(
                cameras_of(site, alarm), given.broker, given.tls, given.topic_prefix, given.node, replay, given.scores,
                folder, given.retention, given.frigate, given.notify, None if replay or check else given.self_test,
                events, None, save_calibration,
            )  # fmt: skip
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
            elif not replay:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is no site file to reload
            service = Service(settings, engine, store, listener, watcher)
            service.obey_signals()
            service.run()
    service.leave()


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError
    from stream.base.errors import StreamError, UsageError

    if isinstance(error, (UsageError, EngineError)):
        return 2
    return 1 if isinstance(error, StreamError) else None


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code, stopping_is_success=True, redact=redact_all)
