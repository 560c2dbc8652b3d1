"""The settings of `mgfn-stream`: a flag takes precedence over the site file, and the site file over the default."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.archive.retention import Retention
from stream.base.addresses import BrokerAddress, broker_at, parse_broker, parse_sources, prefix_problem
from stream.base.errors import UsageError
from stream.base.people import People
from stream.base.redaction import secrets_of, typed_password
from stream.settings.bundle import check_device
from stream.settings.settings import CanarySettings
from stream.settings.site.convert import canary, frigate, notify, people, retention
from stream.settings.site.http_models import HttpModel
from stream.settings.site.models import MqttModel, SiteFile
from stream.settings.site.reading import Site
from stream.sinks.frigate import FrigateSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.notifications import NotifySettings


@dataclass(frozen=True)
class Flags:
    """Flags that have a key in the site file; None if not given."""

    mqtt: str | None = None
    mqtt_ca: Path | None = None
    mqtt_cert: Path | None = None
    mqtt_key: Path | None = None
    topic_prefix: str | None = None
    bundle: Path | None = None
    backend: str | None = None
    device: str | None = None
    scores: Path | None = None
    http: str | None = None
    http_token_file: Path | None = None
    node: str | None = None
    data: Path | None = None
    self_test: str | None = None


@dataclass(frozen=True)
class Options:
    """Everything except the cameras. `broker` None: an embedded one. `bundle` or `data` None: the default."""

    broker: BrokerAddress | None
    tls: TlsFiles
    topic_prefix: str
    bundle: Path | None
    backend: str
    device: str
    scores: Path | None
    http: str | None
    page: str | None
    http_token_file: Path | None
    node: str
    data: Path | None
    retention: Retention
    self_test: float | None
    frigate: FrigateSettings | None
    notify: NotifySettings | None
    people: People
    canary: CanarySettings | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not appear in any output."""
        password = () if self.broker is None or not self.broker.password else (self.broker.password,)
        address = () if self.frigate is None else secrets_of(self.frigate.url)
        return (*password, *address, *self.people.secrets, *(() if self.notify is None else self.notify.secrets))


def typed_on_the_command_line(rtsp: Sequence[str], mqtt: str | None) -> list[str]:
    """What to write instead, for each flag whose value contains a password."""
    flags = [
        (f"--rtsp {source.name}", f"{source.name}_PW", value)
        for source, value in zip(parse_sources(rtsp), rtsp, strict=True)
    ]
    flags += [] if mqtt is None else [("--mqtt", "MQTT_PW", mqtt)]
    return [
        f"{flag}: other users of this machine can see a password on a command line, and shells keep it; write "
        f"{{MGFN_{re.sub('[^A-Z0-9]', '_', name.upper())}}} instead, and set it in the environment or a secret file"
        for flag, name, value in flags
        if typed_password(value)
    ]


def options(flags: Flags, site: Site | None) -> Options:
    """Combine flags and site file; flags take precedence. Raises UsageError for an invalid flag."""
    if flags.topic_prefix is not None and (problem := prefix_problem(flags.topic_prefix)):
        raise UsageError(f"--topic-prefix {flags.topic_prefix!r}: {problem}")
    if flags.device is not None:
        check_device(flags.device)
    given = SiteFile.model_construct() if site is None else site.given
    mqtt = given.mqtt or MqttModel.model_construct()
    http = given.http or HttpModel.model_construct()
    broker = None
    if flags.mqtt is not None:
        broker = parse_broker(flags.mqtt)
    elif mqtt.url is not None:
        broker = broker_at(mqtt.url)
    return Options(
        broker,
        TlsFiles(
            flags.mqtt_ca or _path(mqtt.ca), flags.mqtt_cert or _path(mqtt.cert), flags.mqtt_key or _path(mqtt.key)
        ),
        topic_prefix=flags.topic_prefix or mqtt.topic_prefix or "mgfn",
        bundle=flags.bundle or _path(given.bundle),
        backend=flags.backend or given.backend or "auto",
        device=flags.device or given.device or "auto",
        scores=flags.scores or _path(given.scores),
        http=flags.http or http.address,
        page=http.url,
        http_token_file=flags.http_token_file or _path(http.token_file),
        node=flags.node or given.node or socket.gethostname(),
        data=flags.data or _path(given.data),
        retention=retention(given.retention),
        self_test=_self_test(flags.self_test, given.self_test),
        frigate=frigate(given.frigate),
        notify=notify(given.notify),
        people=people(given.http),
        canary=canary(given.canary),
    )


def _self_test(flag: str | None, hours: float | None) -> float | None:
    if flag is None and hours is not None:
        return hours * 3_600 or None
    return self_test_every("24" if flag is None else flag)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def self_test_every(text: str) -> float | None:
    """Seconds between self-tests for `--self-test HOURS|off`. Raises UsageError for anything else."""
    if text == "off":
        return None
    try:
        hours = float(text)
    except ValueError:
        hours = float("nan")
    if not 0.005 <= hours <= 10_000:
        raise UsageError(f"--self-test {text}: must be off or a number of hours from 0.005 to 10000")
    return hours * 3_600
