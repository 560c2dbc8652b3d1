"""What the service is told: one frozen object for each camera, one for the whole. A site file can fill them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule
from stream.archive.retention import Retention
from stream.base.addresses import BrokerAddress, Source
from stream.camera.clips import TRAINED_RATE, Stride
from stream.camera.hwaccel import Hwaccel
from stream.camera.view import View
from stream.sinks.frigate import FrigateSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.notifications import NotifySettings


@dataclass(frozen=True)
class ClipSettings:
    """What an alarm's clip holds, in seconds. A field with a `doc` is a key of the site file."""

    pre_roll: Annotated[float, Field(ge=0, le=60)] = field(
        default=5.0, metadata={"doc": "Seconds before the alarm. Default: {default}."}
    )
    post_roll: Annotated[float, Field(ge=0, le=300)] = field(
        default=5.0, metadata={"doc": "Seconds after it. Default: {default}."}
    )
    longest: Annotated[float, Field(ge=1, le=3_600)] = field(
        default=300.0, metadata={"doc": "Seconds after which the clip is cut. Default: {default}."}
    )


@dataclass(frozen=True)
class CameraConfig:
    """One camera: its source, when it alarms, what it keeps, how it is read.

    A field with a `doc` is a key of the site file under `cameras` and `defaults`, with the limits of its annotation;
    `docs/design/decisions.md` says how to add one. The others:
    `schedule`: outside of it the camera is scored and does not alarm; its clock is that of `local_time`, too.
    `view`: what of the picture the model sees. `sub_stream`: the same picture in a smaller size; where it can be
    opened, it is watched instead of `source`. `is_self_test`: the self-test's own camera. Its
    alarms are tests; nothing else of it is published or kept.
    """

    source: Source
    alarm: AlarmSettings
    enabled: bool = field(
        default=True, metadata={"doc": "Whether it is scored. Default: {default}. Set over MQTT, that holds instead."}
    )
    transport: Literal["tcp", "udp"] = field(
        default="tcp", metadata={"doc": "How RTSP brings the pictures. Default: {default}."}
    )
    schedule: Schedule = field(default_factory=Schedule)
    fps: Annotated[float, Field(ge=2, le=120)] = field(
        default=TRAINED_RATE,
        metadata={
            "doc": "Frames a second that are looked at, as near as leaving out whole pictures comes; a slower camera "
            "gives all of its own. Fewer mean less work, on clips that the model was not trained on. "
            "Default: {default}."
        },
    )
    hwaccel: Hwaccel = field(
        default="none", metadata={"doc": "What decodes; where it does not work, the CPU does. Default: {default}."}
    )
    stride: Stride = field(
        default=16,
        metadata={"doc": "Frames from one clip's start to the next one's; under 16 clips overlap. Default: {default}."},
    )
    motion_threshold: Annotated[float, Field(ge=0, le=255)] = field(
        default=0.0,
        metadata={
            "doc": "Grey levels: a clip in which nothing moved by more takes the feature of the last one that did. "
            "Default: {default}, every clip passes the backbone."
        },
    )
    clip: ClipSettings = field(default_factory=ClipSettings)
    lost_after: Annotated[float, Field(ge=1, le=86_400)] = field(
        default=30.0, metadata={"doc": "Seconds without a picture until `camera_lost`. Default: {default}."}
    )
    view: View = field(default_factory=View)
    is_self_test: bool = False
    sub_stream: Source | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def streams(self) -> tuple[Source, ...]:
        """What may be watched, in the order in which it is tried."""
        return (self.source,) if self.sub_stream is None else (self.sub_stream, self.source)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in anything shown."""
        return tuple(secret for stream in self.streams for secret in stream.secrets)


@dataclass(frozen=True)
class ServiceSettings:
    """What to watch and where to publish.

    `self_test` is the time between self-tests in seconds, None without them. `broker` None starts the embedded one
    (not in a replay). `data` is the folder of events, pictures and clips. `frigate` and `notify` are None where nobody
    asked for them; a replay leaves them alone. `events` takes every message of an event, one JSON line each.
    `calibration` is what each camera learnt in another run, `save_calibration` where what they learn is written.
    """

    cameras: tuple[CameraConfig, ...]
    broker: BrokerAddress | None
    tls: TlsFiles
    topic_prefix: str
    node: str
    replay: bool
    scores: Path | None
    data: Path
    retention: Retention = field(default_factory=Retention)
    frigate: FrigateSettings | None = None
    notify: NotifySettings | None = None
    self_test: float | None = None
    events: Path | None = None
    calibration: Mapping[str, Any] | None = None
    save_calibration: Path | None = None
