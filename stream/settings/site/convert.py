"""Converts the models of the site file to the settings of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from stream.alarm.modes import CameraMode, Mode
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule
from stream.archive.retention import CameraRetention, Retention
from stream.base.addresses import CameraTls, Source, is_rtsp
from stream.base.people import People, Person, Proxy
from stream.camera.view import Region, View
from stream.settings.settings import CameraConfig, CanarySettings, ClipSettings
from stream.settings.site.derived import plain_keys
from stream.settings.site.http_models import HttpModel
from stream.settings.site.models import (
    AlarmModel,
    CameraDefaults,
    CameraModel,
    CameraRetentionModel,
    CanaryModel,
    ClipModel,
    FrigateModel,
    ModeModel,
    NotifyModel,
    RetentionModel,
)
from stream.sinks.frigate import FrigateSettings
from stream.sinks.notifications import EscalateSettings, NotifySettings
from stream.sinks.webhook import WebhookSettings

_BLOCKS: Final = (AlarmModel, ClipModel, CameraRetentionModel)  # a region is inherited as a whole

_Model = TypeVar("_Model", bound=BaseModel)


def inherited(own: CameraModel, defaults: CameraDefaults | None) -> CameraModel:
    """The camera with its missing keys taken from `defaults`: blocks key by key, lists as a whole."""
    return own if defaults is None else _merged(own, defaults)


def _merged(own: _Model, other: BaseModel) -> _Model:
    changes: dict[str, Any] = {}
    for name in type(other).model_fields:
        mine, theirs = getattr(own, name), getattr(other, name)
        if mine is None:
            changes[name] = theirs
        elif isinstance(mine, _BLOCKS) and theirs is not None:
            changes[name] = _merged(mine, theirs)
    return own.model_copy(update=changes)


def _given(model: BaseModel | None, *left_out: str) -> dict[str, Any]:
    """The given values, by name."""
    return {} if model is None else model.model_dump(exclude_none=True, exclude=set(left_out))


def camera_config(name: str, camera: CameraModel, zone: tzinfo | None, bundle: AlarmSettings) -> CameraConfig:
    """The settings of a camera after inheritance; `bundle` has the alarm settings for missing keys."""
    alarm = bundle
    if camera.alarm is not None:
        if camera.alarm.threshold_on is not None:
            alarm = alarm.with_threshold(camera.alarm.threshold_on)
        alarm = replace(alarm, **_given(camera.alarm))
    masks, only_here = (
        tuple(tuple((x, y) for x, y in polygon) for polygon in given or ())
        for given in (camera.masks, camera.only_here)
    )
    periods = tuple(period for entry in camera.schedule or () for period in entry.periods)
    said = {key: value for key in plain_keys(CameraConfig) if (value := getattr(camera, key)) is not None}
    tls = None if camera.tls is None else CameraTls(**{key: Path(file) for key, file in _given(camera.tls).items()})
    return CameraConfig(
        Source(name, camera.url, live=is_rtsp(camera.url), tls=tls),
        alarm,
        clip=ClipSettings(**_given(camera.clip)),
        retention=CameraRetention(**_given(camera.retention)),
        schedule=Schedule(periods, zone),
        view=View(None if camera.region is None else Region(**_given(camera.region)), masks, only_here),
        sub_stream=None if camera.sub_stream is None else Source(name, camera.sub_stream, live=True, tls=tls),
        **said,
    )


def modes(models: Mapping[str, ModeModel] | None, zone: tzinfo | None) -> dict[str, Mode]:
    """The modes by name, in the order of the file."""
    return {name: _mode(model, zone) for name, model in (models or {}).items()}


def _mode(model: ModeModel, zone: tzinfo | None) -> Mode:
    periods = tuple(period for entry in model.schedule or () for period in entry.periods)
    return Mode(
        CameraMode(**_given(model.every)),
        {name: CameraMode(**_given(camera)) for name, camera in (model.cameras or {}).items()},
        None if model.recipients is None else frozenset(model.recipients),
        None if model.schedule is None else Schedule(periods, zone),
    )


def frigate(model: FrigateModel | None) -> FrigateSettings | None:
    """None if the file has no such block."""
    if model is None:
        return None
    return FrigateSettings(model.url, ca=None if model.ca is None else Path(model.ca), **_given(model, "url", "ca"))


def notify(model: NotifyModel | None) -> NotifySettings | None:
    """None if the file has no such block."""
    if model is None:
        return None
    webhooks = tuple(WebhookSettings(webhook.url, webhook.secret) for webhook in model.webhooks or ())
    escalate = model.escalate
    return NotifySettings(
        tuple(model.targets or ()),
        webhooks=webhooks,
        escalate=None if escalate is None else EscalateSettings(_seconds(escalate.after), tuple(escalate.to)),
        **_given(model, "targets", "webhooks", "escalate"),
    )


def canary(model: CanaryModel | None) -> CanarySettings | None:
    """None if the file has no such block."""
    return None if model is None else CanarySettings(Path(model.bundle), **_given(model, "bundle"))


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3_600}[text[-1]]


def people(model: HttpModel | None) -> People:
    """Everybody whom the file names."""
    if model is None:
        return People()
    found = (
        Person(
            name,
            operator=person.role == "operator",
            cameras=None if person.cameras is None else frozenset(person.cameras),
            token=person.token,
        )
        for name, person in (model.people or {}).items()
    )
    proxy = model.proxy
    return People(
        tuple(found), None if proxy is None else Proxy(proxy.user_header, tuple(map(ip_network, proxy.trusted)))
    )


def retention(model: RetentionModel | None) -> Retention:
    """The retention, with defaults for missing keys."""
    given = _given(model)
    sizes = {"media_bytes": ("media_gb", 2**30), "free_bytes": ("free_mb", 2**20)}
    for name, (key, unit) in sizes.items():
        if key in given:
            given[name] = round(given.pop(key) * unit)
    return Retention(**given)
