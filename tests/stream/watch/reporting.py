"""What leaves the loop, for tests: a journal, a reporter on it, and their settings."""

from __future__ import annotations

import queue
from pathlib import Path

from stream.alarm.event import ModelName
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


def journal_of(store: Store, retention: Retention | None = None) -> Journal:
    """A journal that tells nobody."""
    return Journal(store, retention or Retention(), queue.Queue(100), lambda _message: None, lambda *_: None)


def reporter(settings: ServiceSettings, journal: Journal, store: Store) -> Reporter:
    metrics, pictures = Metrics(MODEL), RetainedPictures(None, store.media)
    kept, lines = store.settings.all(), LineFiles(None, None)
    return make_reporter(settings, journal, None, pictures, metrics, Live().tell, kept, store, lines, None)
