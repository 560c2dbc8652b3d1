"""Keys of the site file, what each takes, and what it means: the JSON Schema and docs/site-file.md come from here.

A key that is not given is None; its description says what then holds, and `stream.settings.site.convert` decides it.
Keys that go into the settings as they are come from there (`with_keys_of`); here stand those that are converted.
"""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import DAYS, Period, overlap, periods_of
from stream.archive.retention import Retention
from stream.settings.settings import CameraConfig, ClipSettings
from stream.settings.site.derived import with_keys_of
from stream.settings.site.values import (
    Backend,
    BrokerUrl,
    CameraName,
    Day,
    Device,
    FilePath,
    ListenAddress,
    LiveUrl,
    Mask,
    Secret,
    Share,
    SourceUrl,
    TimeOfDay,
    TimeZone,
    TopicPrefix,
    WebUrl,
)
from stream.sinks.frigate import FrigateSettings
from stream.sinks.notifications import NotifySettings


class SiteModel(BaseModel):
    """No unknown keys, and no value of another type than its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


class RegionModel(SiteModel):
    """A rectangle of the picture, in shares of its width and height from the upper left."""

    x: Share = Field(description="Left edge.")
    y: Share = Field(description="Upper edge.")
    width: float = Field(ge=0.05, le=1, description="Width.")
    height: float = Field(ge=0.05, le=1, description="Height.")

    @model_validator(mode="after")
    def _inside(self) -> RegionModel:
        for begin, size, names in ((self.x, self.width, "x + width"), (self.y, self.height, "y + height")):
            if begin + size > 1 + 1e-9:
                raise ValueError(f"{names} is {begin + size:g}; allowed is at most 1")
        return self


class PeriodModel(SiteModel):
    """A time of the week in which alarms are raised."""

    days: Annotated[list[Day], Field(min_length=1)] = Field(
        list(DAYS), description="Days on which it begins. Default: every day."
    )
    begin: TimeOfDay = Field(alias="from", description='"HH:MM" on the clock of `time_zone`.')
    end: TimeOfDay = Field(
        alias="to", description='"HH:MM", up to "24:00"; a time that is not after `from` is the next day\'s.'
    )

    @model_validator(mode="after")
    def _takes_time(self) -> PeriodModel:
        if self.begin == self.end:
            raise ValueError(f'from and to are both {self.begin}; a whole day is from "00:00" to "24:00"')
        if self.begin == "24:00":
            raise ValueError('from is 24:00; allowed is "00:00" to "23:59"')
        return self

    @property
    def periods(self) -> list[Period]:
        return periods_of(self.days, _minutes(self.begin), _minutes(self.end))


def _disjoint(entries: list[PeriodModel]) -> list[PeriodModel]:
    periods = [(number, period) for number, entry in enumerate(entries, start=1) for period in entry.periods]
    for (earlier, one), (later, two) in itertools.combinations(periods, 2):
        if (minute := overlap(one, two)) is not None:
            day, minute = divmod(minute, 24 * 60)
            at = f"{DAYS[day]} {minute // 60:02}:{minute % 60:02}"
            raise ValueError(f"entries {earlier} and {later} overlap on {at}; each time is allowed once")
    return entries


@with_keys_of(AlarmSettings)
class AlarmModel(SiteModel):
    """When scores become an alarm."""

    threshold_on: Share | None = Field(
        None, description="Score, 0 to 1, at which an alarm begins. Default: learnt, to keep `false_alarms_per_day`."
    )
    threshold_off: Share | None = Field(
        None,
        description="Score below which it ends; at most `threshold_on`, which must be given, too. "
        "Default: the same share of `threshold_on` as in the bundle.",
    )


@with_keys_of(ClipSettings)
class ClipModel(SiteModel):
    """What an alarm's clip holds."""


@with_keys_of(CameraConfig)
class CameraDefaults(SiteModel):
    """What cameras inherit. A camera's own key goes before it; blocks are inherited key by key, lists as a whole."""

    region: RegionModel | None = Field(
        None, description="The part of the picture that the model sees. Default: all of it."
    )
    masks: Annotated[list[Mask], Field(max_length=50)] | None = Field(
        None,
        description="Polygons that the model sees black: lists of at least three points [x, y], in shares of the "
        "whole picture's width and height from the upper left. Pictures and clips of alarms show all. Default: none.",
    )
    schedule: Annotated[list[PeriodModel], AfterValidator(_disjoint)] | None = Field(
        None,
        description="Periods in which alarms are raised; outside of them the camera is scored all the same. An empty "
        "list: always. Default: always.",
    )
    alarm: AlarmModel | None = Field(None, description="When scores become an alarm.")
    clip: ClipModel | None = Field(None, description="What an alarm's clip holds.")


class CameraModel(CameraDefaults):
    """One camera. Each key but `url` may stand in `defaults` instead."""

    url: SourceUrl = Field(
        repr=False,
        description="rtsp:// or rtsps:// with `{MGFN_NAME}` for credentials, or the path of a video file.",
    )
    sub_stream: LiveUrl | None = Field(
        None,
        repr=False,
        description="rtsp:// or rtsps:// of the camera's smaller stream, 640 x 360 or so: the model sees 224 x 224. It "
        "is watched, pictures and clips come from it, and `url` stands in for it as long as it cannot be opened.",
    )


class MqttModel(SiteModel):
    """The broker. Without `url` an embedded one starts on this machine."""

    url: BrokerUrl | None = Field(None, repr=False, description="mqtt[s]://[user:password@]host[:port]. Flag: --mqtt.")
    ca: FilePath | None = Field(None, description="CA of the broker's certificate. Flag: --mqtt-ca.")
    cert: FilePath | None = Field(None, description="Client certificate. Flag: --mqtt-cert.")
    key: FilePath | None = Field(None, description="Its key. Flag: --mqtt-key.")
    topic_prefix: TopicPrefix | None = Field(
        None, description="First level of all topics. Default: mgfn. Flag: --topic-prefix."
    )


class HttpModel(SiteModel):
    """The HTTP address."""

    address: ListenAddress | None = Field(
        None, description="HOST:PORT or off. Default: 127.0.0.1:8080 or the next free port. Flag: --http."
    )
    token_file: FilePath | None = Field(
        None, description="File with the token that every request must bring. Flag: --http-token-file."
    )


class RetentionModel(SiteModel):
    """How long things are kept."""

    media_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description=f"Days that pictures and clips are kept. Default: {Retention.media_days:g}."
    )
    media_gb: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description=f"Room for them, in units of 2^30 bytes. Default: {Retention.media_bytes / 2**30:g}."
    )
    free_mb: Annotated[float, Field(ge=0, le=1e9)] | None = Field(
        None, description=f"Left free on the disk, in units of 2^20 bytes. Default: {Retention.free_bytes / 2**20:g}."
    )
    score_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description=f"Days that scores are kept. Default: {Retention.score_days:g}."
    )
    event_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description=f"Days that events are kept. Default: {Retention.event_days:g}."
    )


class NotifyModel(SiteModel):
    """People who are told of alarms, through Apprise."""

    targets: Annotated[list[Secret], Field(min_length=1, max_length=50)] = Field(
        repr=False, description="URLs that Apprise understands, secrets all of them: write `{MGFN_NAME}`."
    )
    per_hour: Annotated[int, Field(ge=1, le=3_600)] | None = Field(
        None, description=f"Messages to each target in an hour, at most. Default: {NotifySettings.per_hour}."
    )
    camera_lost: bool | None = Field(None, description="Of cameras that stay away, too. Default: false.")


class FrigateModel(SiteModel):
    """Alarms become events in Frigate."""

    url: WebUrl = Field(repr=False, description="http[s]://[user:password@]host[:port] of Frigate's own web page.")
    label: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description=f"Of the events. Default: {FrigateSettings.label}."
    )
    sub_label: str | None = Field(None, description=f"Of the events. Default: {FrigateSettings.sub_label}.")
    cameras: dict[str, str] | None = Field(None, description="Frigate's name of a camera by ours, where it is another.")
    ca: FilePath | None = Field(None, description="The certificate that signed Frigate's own. Default: the system's.")


class SiteFile(SiteModel):
    """mgfn-stream: what to watch, and where to publish. Paths are relative to this file; `{MGFN_NAME}` in paths and
    URLs is filled in from the environment or a secret file of that name."""

    node: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="This instance's name on MQTT. Default: the host's. Flag: --node."
    )
    time_zone: TimeZone | None = Field(
        None, description="Of schedules and of `local_time`, such as Europe/Berlin. Default: the machine's."
    )
    data: FilePath | None = Field(
        None, description="Folder of events, pictures and clips. Default: the user's state folder. Flag: --data."
    )
    scores: FilePath | None = Field(None, description="File that every score is appended to. Flag: --scores.")
    bundle: FilePath | None = Field(
        None, description="Model bundle. Default: the default bundle, built on first use. Flag: --bundle."
    )
    backend: Backend | None = Field(
        None,
        description="What runs it: auto, openvino (INT8 where that pays), openvino-int8, onnxruntime, "
        "onnxruntime-fp16, tensorrt or torch. Default: auto, the fastest that works here. Flag: --backend.",
    )
    device: Device | None = Field(None, description="auto, cpu or cuda[:N]. Default: auto. Flag: --device.")
    mqtt: MqttModel | None = Field(None, description="The broker. Default: an embedded one.")
    http: HttpModel | None = Field(None, description="The HTTP address.")
    retention: RetentionModel | None = Field(None, description="How long things are kept.")
    self_test: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        None, description="Hours between self-tests, 0: none. Default: 24. Flag: --self-test."
    )
    notify: NotifyModel | None = Field(None, description="People who are told. Default: none.")
    frigate: FrigateModel | None = Field(None, description="A Frigate that hears of alarms. Default: none.")
    defaults: CameraDefaults | None = Field(None, description="What every camera inherits.")
    cameras: Annotated[dict[CameraName, CameraModel], Field(min_length=1)] = Field(
        description="The cameras by name: 1 to 64 of a-z A-Z 0-9 _ -, no word of the MQTT topics and not self-test."
    )
