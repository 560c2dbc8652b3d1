"""What leaves the loop, for tests: a journal, a reporter on it, and their settings."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

from stream.alarm.event import ModelName
from stream.alarm.requests import Command
from stream.archive.journal import Journal
from stream.archive.retention import Retention
from stream.archive.store import Store
from stream.service.build import LineFiles, make_reporter
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter
from stream.watch.retained_pictures import RetainedPictures
from stream.web.page_stream import Live

MODEL = ModelName("b", "0" * 64, "openvino")


def settings_for(folder: Path, *cameras: CameraConfig) -> ServiceSettings:
    return ServiceSettings(cameras, None, TlsFiles(), "mgfn", "test", replay=False, scores=None, data=folder)


def _nobody(_camera: str, _name: str, _value: str) -> None: ...


def journal_of(
    store: Store, retention: Retention | None = None, changed: Callable[[str, str, str], None] = _nobody
) -> Journal:
    """A journal that tells nobody, but for settings of other processes."""
    return Journal(store, retention or Retention(), queue.Queue(100), lambda _message: None, lambda *_: None, changed)


def reporter(
    settings: ServiceSettings, journal: Journal, store: Store, post: Callable[[Command], None] = lambda _command: None
) -> Reporter:
    metrics, pictures = Metrics(MODEL), RetainedPictures(None, store.media)
    kept, lines = store.settings.all(), LineFiles(None, None)
    return make_reporter(settings, journal, None, pictures, metrics, Live().tell, kept, store, lines, None, post)
