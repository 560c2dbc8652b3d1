"""Makes an instance one of several that share their cameras: `--shard K/N`, or a worker of a cluster."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream.base.errors import UsageError
from stream.cluster.broker import BrokerStore
from stream.cluster.folder import FolderStore
from stream.cluster.leases import SharedLeases
from stream.cluster.records import Beat, LeaseStore
from stream.settings.settings import LABEL, ServiceSettings
from stream.watch.fleet import CameraChanges

WORKER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_SHARDS: Final = 1_000
_ROOM: Final = 1e6  # shards are equal, and none of them is ever full


@dataclass(frozen=True)
class Member:
    """Who this instance is among others. `expected`: the workers that will come. `capacity` None: shards, all equal."""

    worker: str
    cluster: str
    expected: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    capacity: float | None = None


def shard(text: str, node: str, labels: Sequence[str]) -> Member:
    """The member for `--shard K/N`. Raises UsageError for anything else."""
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of <= _MOST_SHARDS:
        raise UsageError(f"--shard {text}: must be K/N with 1 <= K <= N <= {_MOST_SHARDS}, such as 2/5")
    names = tuple(f"shard-{each}-of-{of}" for each in range(1, of + 1))
    return Member(names[number - 1], f"{node}: {of} shards", names, checked_labels(labels))


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of a worker. Raises UsageError for an invalid one."""
    for label in labels:
        if not re.fullmatch(LABEL, label):
            raise UsageError(f"--label {label!r}: must be a word of letters, digits, ., _, / and -, or key=value")
    return tuple(labels)


def store_of(settings: ServiceSettings, folder: Path | None) -> LeaseStore:
    """Where the leases are: in `folder`, or else on the broker. Raises UsageError if there is neither."""
    if folder is not None:
        return FolderStore(folder)
    if settings.broker is None:  # checked before
        raise UsageError("--shard: needs a broker that all shards reach: --mqtt URL")
    return BrokerStore(settings.broker, settings.topic_prefix, settings.node, settings.tls)


def joined(member: Member, settings: ServiceSettings, folder: Path | None, inner: CameraChanges | None) -> SharedLeases:
    """The leases of this instance; nothing runs yet. `inner` is the source of changed cameras of the site."""
    capacity = _ROOM if member.capacity is None else member.capacity
    me = Beat(
        member.worker, secrets.token_hex(8), cluster=member.cluster, capacity=capacity, labels=member.labels,
        host=socket.gethostname(),
    )  # fmt: skip
    return SharedLeases(store_of(settings, folder), me, member.expected, settings.cameras, inner)
