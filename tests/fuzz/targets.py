"""What must hold for any bytes: they are read, or refused with the one error that the caller expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from engine import bundle
from engine.errors import BundleError
from engine.manifest import Manifest
from stream.alarm.requests import WORDS, parse_command
from stream.archive.score_log import LoggedScore, columns, legible, pack, unpack
from stream.base.foreign_json import foreign_json
from stream.camera.messages import WIRE
from stream.camera.wire import WireError
from stream.cluster.records import Beat, Record
from stream.desk.workers import Workers
from stream.discovery import probe
from stream.discovery.errors import DeviceError
from stream.settings.site.reading import SiteError, checked
from stream.sinks.echo import event_key_of
from stream.watch.checkpoint import Checkpoint
from stream.watch.clip_window import ClipWindow

_SITE: Final = Path("site.yaml")
_CHUNK: Final = pack([LoggedScore(1e9 + at, 1e9 + at + 0.64, at / 50, 32) for at in range(50)])


def site_file(data: bytes) -> None:
    try:
        checked(_SITE, data)
    except SiteError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.startswith(_SITE.name) for problem in problems)


def command(data: bytes) -> None:
    word = WORDS[data[0] % len(WORDS)] if data else WORDS[0]
    with suppress(ValueError):
        assert parse_command("door", word, data[1:]).camera == "door"


def manifest(data: bytes) -> None:
    with suppress(BundleError):
        read: Manifest = bundle._parse(Path("bundle"), data)
        assert all(Path(name).name == name for name in read.files)


def scores(data: bytes) -> None:
    with suppress(ValueError):
        assert len(unpack(data)) <= 65_535
    legible(data)
    assert len(columns([_CHUNK, data, _CHUNK])) >= 100


def decoder_message(data: bytes) -> None:
    with suppress(WireError):
        message = WIRE.unpacked(data)
        assert WIRE.unpacked(WIRE.packed(message)) == message


def lease(data: bytes) -> None:
    with suppress(ValueError):
        told = foreign_json(data)
        for kind in (Record, Beat):
            with suppress(ValueError):
                record = kind.from_json(told)
                assert kind.from_json(json.loads(json.dumps(record.as_json()))) == record


def checkpoint(data: bytes) -> None:
    with suppress(ValueError):
        told = foreign_json(data)
        if isinstance(told, dict):
            found = Checkpoint.from_json(told)
            if found.window is not None:
                ClipWindow(32).recall(found.window, 0.0)


def event(data: bytes) -> None:
    assert isinstance(event_key_of(data), str)


def worker_on_the_desk(data: bytes) -> None:
    workers = Workers()
    workers.take("w", "node", data, room=True)
    json.dumps(workers.as_json(), allow_nan=False)  # as browsers get it


def discovery_answer(data: bytes) -> None:
    with suppress(DeviceError):
        probe._parsed(data, ip_address("192.168.1.20"), frozenset({"urn:1"}))


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]]] = {
    "site file": (site_file, (b"cameras:\n  door: {url: rtsp://host/1, fps: 25}\n", b"modes: {home: {}}\n")),
    "MQTT command": (command, (b"\x000.5", b"\x01true", b'\x02{"id": "a", "verdict": "true"}', b"\x0330")),
    "manifest": (manifest, (b'{"schema_version": 1, "files": {"a": "b"}}',)),
    "score store": (scores, (_CHUNK,)),
    "decoder message": (decoder_message, (b'["Counters",1,2,3]',)),
    "lease": (lease, (b'{"fence": 1, "session": "s", "worker": "w", "number": 1, "capacity": 2.0}',)),
    "checkpoint": (
        checkpoint,
        (
            b'{"fence": 1, "bundle": "b", "settings": {"threshold": "0.5", "snooze": "1 2"}, "window": '
            b'{"features": {"type": "<f4", "shape": [1, 1, 1], "data": "AAAAAA=="}, "times": [[0, 1]]}}',
        ),
    ),
    "worker on the desk": (worker_on_the_desk, (b'{"host": "h", "capacity": 3.5, "cameras": {"a": {"fence": 1}}}',)),
    "event": (event, (b'{"id": "a", "seq": 0}',)),
    "discovery answer": (discovery_answer, (b'<a xmlns:d="d"><d:RelatesTo>urn:1</d:RelatesTo></a>',)),
}
