"""`mgfn-stream cluster status` and `cluster drain`: read the leases, and ask a worker to give its cameras away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from stream.base.addresses import parse_broker
from stream.base.errors import StreamError, UsageError
from stream.base.ownership import SITE
from stream.cluster.broker import BrokerStore
from stream.cluster.folder import FolderStore
from stream.cluster.records import Beat, LeaseStore, Snapshot
from stream.sinks.mqtt_client import TlsFiles

_LOOKED_FOR: Final = 2.0  # seconds between two looks, of which the second shows whose beats go on
_DRAINED_WITHIN: Final = 60.0


@contextmanager
def opened(mqtt: str | None, tls: TlsFiles, prefix: str, folder: Path | None) -> Iterator[LeaseStore]:
    """The leases on a broker, or in a folder. Raises UsageError if neither or both are given."""
    if (mqtt is None) == (folder is None):
        raise UsageError("cluster: give the broker that keeps the leases, --mqtt URL, or their folder, --leases DIR")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--leases {folder}: no such folder")
    store: LeaseStore
    if mqtt is not None:
        store = BrokerStore(parse_broker(mqtt), prefix, "cluster", tls)
    else:
        store = FolderStore(folder or Path())
    try:
        yield store
    finally:
        store.close()


def seen(store: LeaseStore) -> tuple[Snapshot, dict[str, Beat]]:
    """The leases, and the workers that are there, by name."""
    before = {session: beat.number for session, beat in store.look().beats.items()}
    time.sleep(_LOOKED_FOR)
    snapshot = store.look()
    alive = (beat for beat in snapshot.beats.values() if beat.number != before.get(beat.session) and beat.worker)
    return snapshot, {beat.worker: beat for beat in alive if not beat.standby}


def print_status(store: LeaseStore, *, as_json: bool) -> None:
    """Print workers and cameras."""
    snapshot, workers = seen(store)
    cameras = {key: record for key, record in snapshot.records.items() if key != SITE and not key.startswith("@")}
    told: dict[str, Any] = {
        "workers": {
            name: {
                "host": beat.host,
                "capacity": beat.shown_capacity,
                "labels": list(beat.labels),
                "cameras": sum(record.session == beat.session for record in cameras.values()),
                "draining": beat.draining or beat.session in snapshot.drained,
            }
            for name, beat in sorted(workers.items())
        },
        "cameras": {
            camera: {"worker": record.worker or None, "fence": record.fence, "why": _why(snapshot, workers, camera)}
            for camera, record in sorted(cameras.items())
        },
    }
    if as_json:
        print(json.dumps(told))  # noqa: T201
        return
    console = Console()
    for what, columns in (
        ("workers", ("host", "capacity", "labels", "cameras", "draining")),
        ("cameras", ("worker", "fence", "why")),
    ):
        table = Table(what.removesuffix("s"), *columns)
        for name, row in told[what].items():
            table.add_row(name, *(_cell(row[column]) for column in columns))
        console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else "-" if value is None else str(value)


def _why(snapshot: Snapshot, workers: dict[str, Beat], camera: str) -> str:
    """Why a camera is where it is."""
    record = snapshot.records[camera]
    owner = next((beat for beat in workers.values() if beat.session == record.session), None)
    if owner is None:
        return "free: nobody has claimed it yet" if not record.session else "its worker does not answer"
    if any(camera in beat.ready for beat in workers.values()):
        return "about to move: another worker watches it already"
    if owner.draining:
        return "its worker is being drained, and no other one can watch it yet"
    return "placed there"


def drain_worker(store: LeaseStore, name: str) -> None:
    """Ask the worker to give its cameras away, and wait. Raises UsageError if there is none of that name, and
    StreamError if it still has cameras after a minute.
    """
    _, workers = seen(store)
    if name not in workers:
        there = ", ".join(sorted(workers)) or "none"
        raise UsageError(f"cluster drain {name}: no such worker; there are: {there}")
    if not [other for other in workers.values() if other.worker != name and not other.draining]:
        raise UsageError(f"cluster drain {name}: there is no other worker to take its cameras")
    session = workers[name].session
    store.drain(session)
    until = time.monotonic() + _DRAINED_WITHIN
    while left := _cameras(store.look(), session):
        if time.monotonic() > until:
            raise StreamError(f"cluster drain {name}: it still has {', '.join(sorted(left))}")
        time.sleep(0.5)
    print(f"{name} has no cameras left")  # noqa: T201


def _cameras(snapshot: Snapshot, session: str) -> list[str]:
    owned = (key for key, record in snapshot.records.items() if record.session == session)
    return [key for key in owned if key != SITE and not key.startswith("@")]
