"""What the service is told: one frozen object for each camera, one for the whole. A site file can fill them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stream.alarms import AlarmSettings
from stream.sinks.client import TlsFiles
from stream.urls import BrokerAddress, Source

DAY: Final = 86_400.0


@dataclass(frozen=True)
class ClipSettings:
    """Of an alarm's clip, in seconds: what it holds before and after the alarm, and where it is cut at the latest."""

    pre_roll: float = 5.0
    post_roll: float = 5.0
    longest: float = 300.0


@dataclass(frozen=True)
class CameraConfig:
    """One camera: its source, when it alarms, what it keeps. `lost_after`: seconds offline until `camera_lost`.

    A `hidden` one is the self-test's: its alarms are tests, and nothing else of it is published or kept.
    """

    source: Source
    alarm: AlarmSettings
    clip: ClipSettings = field(default_factory=ClipSettings)
    transport: str = "tcp"
    lost_after: float = 30.0
    hidden: bool = False

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True)
class Retention:
    """How long things are kept, in days, and how much room they may take, in bytes.

    Pictures and clips go, oldest first, when they are older than `media_days`, take more than `media_bytes`, or
    leave less than `free_bytes` of the disk free.
    """

    media_days: float = 30.0
    media_bytes: int = 10 * 2**30
    free_bytes: int = 256 * 2**20
    score_days: float = 30.0
    event_days: float = 365.0


@dataclass(frozen=True)
class ServiceSettings:
    """What to watch and where to publish.

    `self_test` is the time between self-tests in seconds, None without them. `broker` None starts the embedded one
    (not in a replay). `data` is the folder of events, pictures and clips.
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
    self_test: float | None = None
