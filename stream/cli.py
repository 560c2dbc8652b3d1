"""`mgfn-stream`: watch cameras."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, NoReturn

import platformdirs
import typer

from configs.command import run_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def watch(
    rtsp: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]URL", help="A camera (rtsp://, rtsps://) or video file; again for each."),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="URL", help="mqtt[s]://[user:pw@]host[:port]; absent: an embedded broker."),
    ] = None,
    mqtt_ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA of the broker's certificate.")] = None,
    mqtt_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    topic_prefix: Annotated[str, typer.Option(metavar="P", help="First level of all topics.")] = "mgfn",
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model bundle; absent: the default one, built on first use.")
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="auto, openvino, onnxruntime, tensorrt or torch; auto: the fastest.")
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda[:N].")] = "auto",
    threshold: Annotated[
        float | None, typer.Option(metavar="F", help="Alarm-on threshold in 0..1; absent: the bundle's.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="Append every score, one JSON a line.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Read recordings losslessly, at full speed; exit.")] = False,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT|off", help="/healthz, /metrics; default 127.0.0.1:8080 or the next free."),
    ] = None,
    http_token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Token that every request must bring.")
    ] = None,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="This instance's name; default: host name.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Events, pictures, clips; default: the user's state folder.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Try bundle, broker and every camera; print a table.")] = False,
) -> None:
    """Watch cameras and publish alarms over MQTT.

    Example: mgfn-stream --rtsp door=rtsp://user:{MGFN_DOOR_PW}@192.168.1.20/stream2 --mqtt mqtt://192.168.1.5
    """
    # the engine's and FFmpeg's libraries load after the flags have been looked at by typer: --help is instant
    from engine.engine import Engine
    from stream import web
    from stream.alarms import AlarmSettings
    from stream.check import check_all
    from stream.errors import UsageError
    from stream.log import configure, log
    from stream.model import cached_bundle, check_device
    from stream.service import Service
    from stream.settings import CameraConfig, ServiceSettings
    from stream.sinks.client import TlsFiles, make_client
    from stream.store import Store
    from stream.urls import parse_broker, parse_sources

    if not rtsp:
        raise UsageError("--rtsp: give at least one camera: --rtsp [NAME=]URL")
    sources = parse_sources(rtsp)
    if replay and any(source.live for source in sources):
        raise UsageError("--replay: sources are recordings; a live URL was given")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold}: allowed is 0 to 1")
    if not topic_prefix or any(mark in topic_prefix for mark in "+#") or topic_prefix.startswith("$"):
        raise UsageError(f"--topic-prefix {topic_prefix!r}: allowed is a topic without + # and a leading $")
    check_device(device)
    broker = None if mqtt is None else parse_broker(mqtt)
    tls = TlsFiles(mqtt_ca, mqtt_cert, mqtt_key)
    node_name = node or socket.gethostname()
    if broker is not None:
        make_client(broker, tls, node_name)  # certificates are looked at before anything starts
    secrets = [secret for source in sources for secret in source.secrets]
    configure([*secrets, *((broker.password,) if broker and broker.password else ())])
    listener = None if http == "off" or replay or check else web.bind(http, http_token_file)
    state = Path(platformdirs.user_state_dir("mgfn-stream"))
    folder = data or (state / "check" if check else state)
    # a replay keeps nothing, a check touches nothing
    store = Store.in_memory(folder) if replay or check else Store.open(folder)

    with store:
        path = bundle if bundle is not None else cached_bundle()
        with Engine.open(path, backend, device) as engine:
            log.info("engine", backend=engine.backend.name, reason=engine.reason, bundle=str(path))
            thresholds = engine.manifest.thresholds
            if thresholds is None:
                raise UsageError(f"--bundle {path}: holds a backbone alone; build one with a head: mgfn-export --head")
            alarm = AlarmSettings(thresholds.on, thresholds.off)
            if threshold is not None:
                alarm = alarm.with_threshold(threshold)
            cameras = tuple(CameraConfig(source, alarm) for source in sources)
            settings = ServiceSettings(cameras, broker, tls, topic_prefix, node_name, replay, scores, folder)
            if check:
                raise typer.Exit(0 if check_all(settings, engine, folder) else 1)
            if listener is not None:
                host, port = listener[0].getsockname()[:2]
                log.info("health page", address=f"http://{host}:{port}/healthz")
            service = Service(settings, engine, store, listener)
            service.obey_signals()
            service.run()
    service.leave()


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError
    from stream.errors import StreamError, UsageError

    if isinstance(error, (UsageError, EngineError)):
        return 2
    return 1 if isinstance(error, StreamError) else None


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code, stopping_is_success=True)


if __name__ == "__main__":
    main()
