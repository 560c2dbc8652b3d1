"""Keys of the site file: types, limits, descriptions. The JSON Schema and docs/site-file.md are generated from them.

A missing key is None. Its description states the default, and `stream.settings.site.convert` applies it. Keys that go
into the settings unchanged are derived from the settings (`with_keys_of`); the keys declared here are converted.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from stream.alarm.rule import AlarmSettings
from stream.archive.retention import CameraRetention, Days, Retention
from stream.settings.settings import CameraConfig, CanarySettings, ClipSettings
from stream.settings.site.derived import with_keys_of
from stream.settings.site.http_models import HttpModel
from stream.settings.site.periods import PeriodModel, disjoint
from stream.settings.site.site_model import SiteModel
from stream.settings.site.values import (
    Backend,
    BrokerUrl,
    CameraName,
    ClockTime,
    Device,
    FilePath,
    Lasting,
    LiveUrl,
    Mask,
    ModeName,
    Secret,
    Share,
    SigningSecret,
    SourceUrl,
    TimeZone,
    TopicPrefix,
    WebhookUrl,
    WebUrl,
)
from stream.sinks.frigate import FrigateSettings
from stream.sinks.notifications import NotifySettings


class RegionModel(SiteModel):
    """A rectangle of the image, as fractions of its width and height from the upper left."""

    x: Share = Field(description="Left edge.")
    y: Share = Field(description="Upper edge.")
    width: float = Field(ge=0.05, le=1, description="Width.")
    height: float = Field(ge=0.05, le=1, description="Height.")

    @model_validator(mode="after")
    def _inside(self) -> RegionModel:
        for begin, size, names in ((self.x, self.width, "x + width"), (self.y, self.height, "y + height")):
            if begin + size > 1 + 1e-9:
                raise ValueError(f"{names} is {begin + size:g}; must be at most 1")
        return self


@with_keys_of(AlarmSettings)
class AlarmModel(SiteModel):
    """The alarm rule and thresholds."""

    threshold_on: Share | None = Field(
        None, description="Score at which an alarm begins. Default: learned, to keep `false_alarms_per_day`."
    )
    threshold_off: Share | None = Field(
        None,
        description="Score below which the alarm ends. Requires `threshold_on`, and must not exceed it. "
        "Default: in the same ratio to `threshold_on` as in the bundle.",
    )


@with_keys_of(ClipSettings)
class ClipModel(SiteModel):
    """The clip that is saved for each alarm."""


@with_keys_of(CameraRetention)
class CameraRetentionModel(SiteModel):
    """How long data of a camera is kept, where that differs from the top-level `retention`."""


class CameraTlsModel(SiteModel):
    """How an rtsps:// camera is verified. Without this block, the stream is encrypted, but anyone may be the camera."""

    ca: FilePath | None = Field(
        None, description="Certificate of the authority that signed the camera's, or that certificate itself. "
        "Default: the authorities of the system."
    )  # fmt: skip
    cert: FilePath | None = Field(None, description="Client certificate, for cameras that ask for one.")
    key: FilePath | None = Field(None, description="Key of the client certificate.")


@with_keys_of(CameraConfig)
class CameraDefaults(SiteModel):
    """Defaults of all cameras. A camera's own keys take precedence; blocks are inherited by key, lists as a whole."""

    region: RegionModel | None = Field(
        None, description="The part of the image that the model sees. Default: all of it."
    )
    masks: Annotated[list[Mask], Field(max_length=50)] | None = Field(
        None,
        description="Polygons that are black to the model: lists of at least three points [x, y], as fractions of the "
        "whole image's width and height from the upper left. Default: none.",
    )
    only_here: Annotated[list[Mask], Field(max_length=50)] | None = Field(
        None, description="Polygons like `masks`: everything outside of them is black to the model. Default: none."
    )
    schedule: Annotated[list[PeriodModel], AfterValidator(disjoint)] | None = Field(
        None,
        description="Periods in which alarms are raised. Outside of them the camera is still scored. An empty list "
        "means always. Default: always.",
    )
    tls: CameraTlsModel | None = Field(
        None, description="How rtsps:// cameras are verified; `{}` for the system's authorities. Default: not at all."
    )
    alarm: AlarmModel | None = Field(None, description="The alarm rule and thresholds.")
    clip: ClipModel | None = Field(None, description="The clip that is saved for each alarm.")
    retention: CameraRetentionModel | None = Field(
        None, description="How long its data is kept. Default: as the top-level `retention` says."
    )


class CameraModel(CameraDefaults):
    """One camera. All keys except `url` and `sub_stream` are allowed in `defaults` too."""

    url: SourceUrl = Field(
        repr=False,
        description="rtsp:// or rtsps:// URL with `{MGFN_NAME}` for credentials, or the path of a video file.",
    )
    sub_stream: LiveUrl | None = Field(
        None,
        repr=False,
        description="rtsp:// or rtsps:// URL of the camera's smaller stream, about 640 x 360 (the model sees "
        "224 x 224). It is used for scores, images and clips. `url` is used while the sub-stream cannot be opened.",
    )


class MqttModel(SiteModel):
    """The MQTT broker. Without `url`, an embedded one is started on this machine."""

    url: BrokerUrl | None = Field(None, repr=False, description="mqtt[s]://[user:password@]host[:port]. Flag: --mqtt.")
    ca: FilePath | None = Field(None, description="CA certificate of the broker. Flag: --mqtt-ca.")
    cert: FilePath | None = Field(None, description="Client certificate. Flag: --mqtt-cert.")
    key: FilePath | None = Field(None, description="Key of the client certificate. Flag: --mqtt-key.")
    topic_prefix: TopicPrefix | None = Field(
        None, description="Prefix of all topics. Default: mgfn. Flag: --topic-prefix."
    )


class RetentionModel(SiteModel):
    """How long data is kept."""

    media_days: Days | None = Field(
        None, description=f"Days for which images and clips are kept. Default: {Retention.media_days:g}."
    )
    media_gb: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description=f"Space for images and clips, in GiB. Default: {Retention.media_bytes / 2**30:g}."
    )
    free_mb: Annotated[float, Field(ge=0, le=1e9)] | None = Field(
        None, description=f"Space that is left free on the disk, in MiB. Default: {Retention.free_bytes / 2**20:g}."
    )
    score_days: Days | None = Field(
        None, description=f"Days for which scores are kept. Default: {Retention.score_days:g}."
    )
    event_days: Days | None = Field(
        None, description=f"Days for which events are kept. Default: {Retention.event_days:g}."
    )


class WebhookModel(SiteModel):
    """A web address to which every message of an alarm is posted."""

    url: WebhookUrl = Field(repr=False, description="http[s]:// URL. Redirects are not followed.")
    secret: SigningSecret = Field(
        repr=False,
        description="Key of the signature, at least 16 characters: write `{MGFN_NAME}`. Each request has the header "
        "`X-MGFN-Signature: sha256=` with the HMAC of its body.",
    )


class EscalateModel(SiteModel):
    """Who is told of an alarm that nobody has acknowledged or judged."""

    after: Lasting = Field(description="Time without an answer, such as 90s, 5m or 1h; it is repeated ten times.")
    to: Annotated[list[Secret], Field(min_length=1, max_length=50)] = Field(
        repr=False, description="URLs for Apprise. They are secrets: write `{MGFN_NAME}`."
    )


class NotifyModel(SiteModel):
    """Notifications through Apprise, and webhooks."""

    targets: Annotated[list[Secret], Field(min_length=1, max_length=50)] | None = Field(
        None, repr=False, description="URLs for Apprise. They are secrets: write `{MGFN_NAME}`. Default: none."
    )
    webhooks: Annotated[list[WebhookModel], Field(min_length=1, max_length=50)] | None = Field(
        None, repr=False, description="Web addresses to which every message of an alarm is posted. Default: none."
    )
    escalate: EscalateModel | None = Field(None, description="Who is told of unanswered alarms. Default: nobody.")
    per_hour: Annotated[int, Field(ge=1, le=3_600)] | None = Field(
        None, description=f"Maximum number of messages to each target per hour. Default: {NotifySettings.per_hour}."
    )
    camera_lost: bool | None = Field(
        None, description="Whether lost cameras are reported to the targets too; webhooks get them. Default: false."
    )

    digest: ClockTime | None = Field(
        None, description='"HH:MM" in `time_zone` at which `targets` get a digest of the last day. Default: never.'
    )

    @model_validator(mode="after")
    def _tells_somebody(self) -> NotifyModel:
        if self.digest is not None and self.targets is None:
            raise ValueError("digest: requires `targets`")
        if self.targets is None and self.webhooks is None and self.escalate is None:
            raise ValueError("has no recipient; `targets`, `webhooks` or `escalate` is required")
        return self


class FrigateModel(SiteModel):
    """Events in Frigate, one for each alarm."""

    url: WebUrl = Field(repr=False, description="Address of Frigate's web page: http[s]://[user:password@]host[:port].")
    label: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description=f"Label of the events. Default: {FrigateSettings.label}."
    )
    sub_label: str | None = Field(None, description=f"Sub-label of the events. Default: {FrigateSettings.sub_label}.")
    cameras: dict[str, str] | None = Field(None, description="Maps camera names to Frigate's names where they differ.")
    ca: FilePath | None = Field(
        None, description="CA certificate that signed Frigate's certificate. Default: those of the system."
    )


class CameraModeModel(SiteModel):
    """What a mode changes for a camera. `threshold_on` and `false_alarms_per_day` exclude each other."""

    enabled: bool | None = Field(None, description="Whether the camera is scored. Default: as configured.")
    threshold_on: Share | None = Field(None, description="A fixed alarm-on threshold. Default: as configured.")
    false_alarms_per_day: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        None, description="Budget of a learned threshold. Default: as configured."
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> CameraModeModel:
        if self.threshold_on is not None and self.false_alarms_per_day is not None:
            raise ValueError("threshold_on and false_alarms_per_day: both were given; use only one")
        return self


class ModeModel(SiteModel):
    """A mode of the site. What is set over MQTT or on the page takes precedence over it."""

    schedule: Annotated[list[PeriodModel], Field(min_length=1), AfterValidator(disjoint)] | None = Field(
        None,
        description="Periods in which it is in force, unless another mode was chosen. Without a schedule: whenever no "
        "other mode's schedule applies (the first such mode).",
    )
    every: CameraModeModel | None = Field(None, description="What it changes for every camera. Default: nothing.")
    cameras: dict[str, CameraModeModel] | None = Field(
        None, description="What it changes for some cameras, by name; this takes precedence over `every`."
    )
    recipients: list[str] | None = Field(
        None,
        description="Who is told beside MQTT: frigate, notify-1 (the first of `notify.targets`), webhook-1 (the first "
        "of `notify.webhooks`), escalate-1 and so on. An empty list: nobody. Default: everybody.",
    )


@with_keys_of(CanarySettings)
class CanaryModel(SiteModel):
    """Another bundle that scores the clips of some cameras after the live one, to compare both (docs/cluster.md)."""

    bundle: FilePath = Field(description="The bundle to compare with the live one.")


class SiteFile(SiteModel):
    """mgfn-stream: what to watch, and where to publish. Paths are relative to this file. `{MGFN_NAME}` in paths and
    URLs is replaced from the environment or a secret file of that name."""

    node: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="Name of this instance on MQTT. Default: the host name. Flag: --node."
    )
    time_zone: TimeZone | None = Field(
        None,
        description="Time zone of schedules and of `local_time`, such as Europe/Berlin. Default: that of the machine.",
    )
    data: FilePath | None = Field(
        None, description="Folder for events, images and clips. Default: the user's state folder. Flag: --data."
    )
    scores: FilePath | None = Field(None, description="File to which every score is appended. Flag: --scores.")
    bundle: FilePath | None = Field(
        None, description="Model bundle. Default: the default bundle, built on first use. Flag: --bundle."
    )
    canary: CanaryModel | None = Field(
        None, description="Another bundle that scores some cameras for comparison. Default: none."
    )
    backend: Backend | None = Field(
        None,
        description="Inference engine: auto, openvino (INT8 where it is faster), openvino-int8, onnxruntime, "
        "onnxruntime-fp16, tensorrt or torch. Default: auto, the fastest one that works. Flag: --backend.",
    )
    device: Device | None = Field(
        None, description="auto, cpu, cuda[:N], gpu or npu (OpenVINO). Default: auto. Flag: --device."
    )
    mqtt: MqttModel | None = Field(None, description="The MQTT broker. Default: an embedded one.")
    http: HttpModel | None = Field(None, description="The HTTP server.")
    retention: RetentionModel | None = Field(None, description="How long data is kept.")
    self_test: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        None, description="Hours between self-tests; 0 means none. Default: 24. Flag: --self-test."
    )
    notify: NotifyModel | None = Field(None, description="Notifications through Apprise, and webhooks. Default: none.")
    frigate: FrigateModel | None = Field(None, description="Events in Frigate. Default: none.")
    modes: Annotated[dict[ModeName, ModeModel], Field(min_length=1, max_length=20)] | None = Field(
        None, description="Modes of the site by name, such as home, away, night and off. Default: none."
    )
    defaults: CameraDefaults | None = Field(None, description="Settings that all cameras inherit.")
    cameras: dict[CameraName, CameraModel] = Field(
        description="The cameras by name; `{}` for none yet. A name has 1 to 64 characters from a-z A-Z 0-9 _ -, and "
        "must not be a word that the MQTT topics use, or self-test."
    )
