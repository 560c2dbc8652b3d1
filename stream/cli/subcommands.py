"""The commands of `mgfn-stream` beside watching: discover, desk, people, cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

cluster_app = typer.Typer(
    help="Look after instances that share their cameras (docs/cluster.md).", rich_markup_mode=None, add_completion=False
)

people_app = typer.Typer(help="Give people access to the page.", rich_markup_mode=None, add_completion=False)

_Mqtt = Annotated[
    str | None, typer.Option(metavar="URL", help="mqtt[s]://[user:pw@]host[:port] of the broker that keeps the leases.")
]
_Ca = Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate of the broker.")]
_Cert = Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate.")]
_Key = Annotated[Path | None, typer.Option(metavar="FILE", help="Key of the client certificate.")]
_Prefix = Annotated[str, typer.Option(metavar="P", help="Prefix of all topics.")]
_Leases = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that keeps the leases, instead of --mqtt.")]


@cluster_app.command()
def status(
    mqtt: _Mqtt = None,
    mqtt_ca: _Ca = None,
    mqtt_cert: _Cert = None,
    mqtt_key: _Key = None,
    topic_prefix: _Prefix = "mgfn",
    leases: _Leases = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Print the workers, and which of them watches each camera and why.

    Example: mgfn-stream cluster status --mqtt mqtt://192.168.1.5
    """
    from stream.cli.cluster_commands import opened, print_status
    from stream.sinks.mqtt_client import TlsFiles

    with opened(mqtt, TlsFiles(mqtt_ca, mqtt_cert, mqtt_key), topic_prefix, leases) as store:
        print_status(store, as_json=as_json)


@cluster_app.command()
def drain(
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="Its name, as `cluster status` prints it.")],
    mqtt: _Mqtt = None,
    mqtt_ca: _Ca = None,
    mqtt_cert: _Cert = None,
    mqtt_key: _Key = None,
    topic_prefix: _Prefix = "mgfn",
    leases: _Leases = None,
) -> None:
    """Let a worker hand its cameras over to the others, and wait until it has. It takes cameras again once it is
    started again.

    Example: mgfn-stream cluster drain shard-2-of-5 --mqtt mqtt://192.168.1.5
    """
    from stream.cli.cluster_commands import drain_worker, opened
    from stream.sinks.mqtt_client import TlsFiles

    with opened(mqtt, TlsFiles(mqtt_ca, mqtt_cert, mqtt_key), topic_prefix, leases) as store:
        drain_worker(store, worker)


@people_app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is: a-z A-Z 0-9 . _ @ -")],
    config: Annotated[Path, typer.Option(metavar="FILE", help="Site file of mgfn-stream, which is changed.")],
    viewer: Annotated[bool, typer.Option("--viewer", help="May only look; default: may change everything.")] = False,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Sees only this camera; repeat for each. Default: all.")
    ] = None,
) -> None:
    """Add somebody who may use the page, and print their token. It takes effect at the next start of mgfn-stream.

    Example: mgfn-stream people add anna --viewer --config site.yaml
    """
    from stream.cli.people import add_person

    add_person(name, config, viewer, camera or [])


@people_app.callback()
def people() -> None:
    """Give people access to the page."""


def discover(
    hosts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST[:PORT]|URL...]",
            help="Cameras to ask, or URLs of streams; default: all that answer a multicast.",
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="U[:{MGFN_NAME}]",
            help="User of the cameras; the password is in {MGFN_CAMERAS_PW} or {MGFN_NAME}, or is asked for.",
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add what is found to this site file, or create it.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the images; default: in the user's state folder.")
    ] = None,
    own_ports: Annotated[
        list[int] | None,
        typer.Option("--own-port", metavar="PORT", help="Port of this machine that is not asked; repeat for each."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Find cameras by ONVIF and by the addresses that makers use, and take an image of each.

    Example: mgfn-stream discover --user viewer --write site.yaml

    One camera: mgfn-stream discover 192.168.1.20 --user viewer:{MGFN_DOOR_PW}
    """
    from stream.cli.discover import discover_cameras

    if not discover_cameras(hosts or [], user, write, pictures, own_ports or [], as_json):
        raise typer.Exit(1)


def desk(
    mqtt: Annotated[str, typer.Option(metavar="URL", help="mqtt[s]://[user:pw@]host[:port] of the broker.")],
    mqtt_ca: _Ca = None,
    mqtt_cert: _Cert = None,
    mqtt_key: _Key = None,
    topic_prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P",
            help="Prefix of an instance, needed if it has several levels; repeat for each. Default: all of one level.",
        ),
    ] = None,
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the page.")] = "127.0.0.1:8090",
    http_token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token of an operator; all requests need one.")
    ] = None,
) -> None:
    """Show every instance on a broker on one page, with its cameras and alarms.

    Example: mgfn-stream desk --mqtt mqtt://192.168.1.5
    """
    from stream.cli.desk import serve_desk
    from stream.sinks.mqtt_client import TlsFiles

    serve_desk(mqtt, TlsFiles(mqtt_ca, mqtt_cert, mqtt_key), topic_prefix or [], http, http_token_file)
