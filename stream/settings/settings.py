"""What the service is told: one frozen object for each camera, one for the whole. A site file can fill them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
    """Of an alarm's clip, in seconds: what it holds before and after the alarm, and where it is cut at the latest."""

    pre_roll: float = 5.0
    post_roll: float = 5.0
    longest: float = 300.0


@dataclass(frozen=True)
class CameraConfig:
    """One camera: its source, when it alarms, what it keeps, how it is read.

    `lost_after`: seconds offline until `camera_lost`. `fps`: frames a second that are looked at, as near as leaving out
    whole pictures comes. `stride`: frames from the start of one clip to that of the
    next; under 16 they overlap. `hwaccel`: what decodes; where it does not work here, the CPU does.
    `motion_threshold`: grey levels; a clip in which no part of the picture differs by more from the last clip that
    passed the backbone takes that one's feature. 0: every clip passes the backbone. `enabled` holds until another is
    set over MQTT. Outside of `schedule` it is scored and does not alarm; its clock is that of `local_time`, too.
    `view`: what of the picture the model sees. `sub_stream`: the same picture in a smaller size; where it can be
    opened, it is watched instead of `source`. `is_self_test`: the self-test's own camera. Its
    alarms are tests; nothing else of it is published or kept.
    """

    source: Source
    alarm: AlarmSettings
    clip: ClipSettings = field(default_factory=ClipSettings)
    transport: str = "tcp"
    lost_after: float = 30.0
    fps: float = TRAINED_RATE
    stride: Stride = 16
    hwaccel: Hwaccel = "none"
    motion_threshold: float = 0.0
    enabled: bool = True
    schedule: Schedule = field(default_factory=Schedule)
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
    asked for them; a replay leaves them alone.
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
