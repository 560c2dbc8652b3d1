"""The settings of the service: one frozen object for each camera, and one for the service itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from stream.alarm.modes import Mode
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule
from stream.archive.retention import CameraRetention, Retention
from stream.base.addresses import BrokerAddress, Source
from stream.camera.clips import TRAINED_RATE, Stride
from stream.camera.hwaccel import Hwaccel
from stream.camera.view import View
from stream.sinks.frigate import FrigateSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.notifications import NotifySettings

# Of a worker, and of the cameras that it may watch: a word, or a key and a value as Ray's node labels have.
LABEL: Final = r"[A-Za-z0-9._/-]{1,63}(=[A-Za-z0-9._/-]{0,63})?"
Label = Annotated[str, StringConstraints(pattern=f"^{LABEL}$")]


@dataclass(frozen=True)
class ClipSettings:
    """The clip that is saved for each alarm; times in seconds. A field with a `doc` is a key of the site file."""

    pre_roll: Annotated[float, Field(ge=0, le=60)] = field(
        default=5.0, metadata={"doc": "Seconds before the alarm. Default: {default}."}
    )
    post_roll: Annotated[float, Field(ge=0, le=300)] = field(
        default=5.0, metadata={"doc": "Seconds after the alarm. Default: {default}."}
    )
    longest: Annotated[float, Field(ge=1, le=3_600)] = field(
        default=300.0, metadata={"doc": "Maximum length of the clip in seconds. Default: {default}."}
    )


@dataclass(frozen=True)
class CameraConfig:
    """One camera: its source, when it raises alarms, what it saves, and how it is read.

    A field with a `doc` is a key of the site file under `cameras` and `defaults`, with the limits of its annotation;
    `docs/design/decisions.md` explains how to add one. The other fields:

    schedule: when alarms are raised. Outside of it, the camera is scored. Its time zone also applies to `local_time`.
    view: the part of the image that the model sees.
    sub_stream: a smaller stream of the same camera, used instead of `source` whenever it can be opened.
    retention: how long its data is kept, where that differs from the other cameras.
    is_self_test: the camera of the self-test. Its alarms are tests, and nothing else of it is published or stored.
    """

    source: Source
    alarm: AlarmSettings
    enabled: bool = field(
        default=True,
        metadata={"doc": "Whether the camera is scored. Default: {default}. A value set over MQTT takes precedence."},
    )
    transport: Literal["tcp", "udp"] = field(
        default="tcp", metadata={"doc": "Transport of the RTSP stream. Default: {default}."}
    )
    schedule: Schedule = field(default_factory=Schedule)
    fps: Annotated[float, Field(ge=2, le=120)] = field(
        default=TRAINED_RATE,
        metadata={
            "doc": "Frames per second that are used. If a camera is much faster, only every k-th frame is used, with "
            "the k that comes closest to this rate; if it is slower, all frames are used. A lower value saves work, "
            "but the model was not trained on such clips. Default: {default}."
        },
    )
    hwaccel: Hwaccel = field(
        default="none",
        metadata={"doc": "Hardware that decodes the video. If it fails, the CPU decodes. Default: {default}."},
    )
    stride: Stride = field(
        default=16,
        metadata={
            "doc": "Frames from the start of one clip to the start of the next. Below 16, clips overlap. "
            "Default: {default}."
        },
    )
    skip_still: bool = field(
        default=True,
        metadata={
            "doc": "Whether clips in which nothing moves take the feature of the last clip instead of running the "
            "backbone. At least one clip in 16, and one in 15 seconds, is computed. Default: {default}."
        },
    )
    eco: bool = field(
        default=False,
        metadata={
            "doc": "Whether only keyframes are decoded while nothing moves; needs `skip_still`. What begins between "
            "two keyframes is seen only at the next one, and what ends before it is missed. Recordings, cameras that "
            "somebody watches live, and streams with B-frames or more than 100 frames between keyframes are decoded "
            "completely. Default: {default}."
        },
    )
    labels: Annotated[tuple[Label, ...], Field(max_length=20)] = field(
        default=(),
        metadata={
            "doc": "Labels that a worker needs to watch the camera, for `--shard` and `--cluster`, such as the name of "
            "the network it is in (docs/cluster.md). Default: none."
        },
    )
    clip: ClipSettings = field(default_factory=ClipSettings)
    lost_after: Annotated[float, Field(ge=1, le=86_400)] = field(
        default=30.0, metadata={"doc": "Seconds without an image until `camera_lost`. Default: {default}."}
    )
    view: View = field(default_factory=View)
    mask_saved: bool = field(
        default=True,
        metadata={
            "doc": "Whether `masks` and `only_here` also apply to the images and clips that are saved. Such clips are "
            "encoded again, which costs processor time while an alarm lasts. Default: {default}."
        },
    )
    is_self_test: bool = False
    sub_stream: Source | None = None
    retention: CameraRetention = field(default_factory=CameraRetention)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def streams(self) -> tuple[Source, ...]:
        """The streams that may be watched, in the order in which they are tried."""
        return (self.source,) if self.sub_stream is None else (self.sub_stream, self.source)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not appear in any output."""
        return tuple(secret for stream in self.streams for secret in stream.secrets)


@dataclass(frozen=True)
class CanarySettings:
    """A second bundle that scores the clips of a share of the cameras, to be compared. A field with a `doc` is a key of
    the site file.
    """

    bundle: Path
    share: Annotated[float, Field(gt=0, le=1)] = field(
        default=0.1,
        metadata={
            "doc": "Share of the cameras, chosen by their names: the same ones on all workers, and at least one. "
            "Default: {default}."
        },
    )


@dataclass(frozen=True)
class ServiceSettings:
    """What to watch and where to publish.

    broker: None starts the embedded broker (except in a replay).
    data: folder for events, images and clips.
    frigate, notify: None if not configured; a replay does not use them.
    self_test: seconds between self-tests, None for none.
    events: file to which each message of an event is appended, one JSON object per line.
    calibration: what each camera learned in another run.
    modes: the modes of the site by name, in the order of the file.
    site_file: None if the cameras are flags.
    zone: time zone of what people read; None: that of the machine.
    page: the address at which people reach the page, if the site file names another one.
    save_calibration: file for what the cameras learn in this run.
    canary: None if not configured; a replay has none.
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
    modes: Mapping[str, Mode] = field(default_factory=dict)
    site_file: Path | None = None
    page: str | None = None
    zone: tzinfo | None = None
    canary: CanarySettings | None = None
