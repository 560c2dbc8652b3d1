"""Makes an instance one of several that share their cameras: `--shard K/N`, or a worker of a cluster."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.engine import Engine
from engine.geometry import SIDE
from stream.base.errors import UsageError
from stream.camera.clips import TRAINED_RATE
from stream.cluster.broker import BrokerStore
from stream.cluster.leases import SharedLeases
from stream.cluster.records import NEVER_FULL, Beat, LeaseStore
from stream.settings.settings import LABEL, ServiceSettings
from stream.watch.fleet import CameraChanges

_MEASURED_CLIPS, _MEASURED_FOR = 8, 0.5  # at least so many, and seconds
_MOST_SHARDS: Final = 1_000


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


def worker(name: str, expected: str, node: str, labels: Sequence[str], engine: Engine) -> Member:
    """The member for a worker that `--cluster` has started; `expected` are the names of all, with commas."""
    names = tuple(each for each in expected.split(",") if each)
    return Member(name, f"{node}: cluster", names, checked_labels(labels), capacity=measured(engine))


def measured(engine: Engine) -> float:
    """How many cameras the engine can serve now: clips per second over those of one camera, to two digits."""
    clips = np.random.default_rng(0).integers(0, 256, (1, engine.manifest.crops, 16, SIDE, SIDE, 3), np.uint8)
    taken: list[float] = []
    until = time.perf_counter() + _MEASURED_FOR
    while len(taken) <= _MEASURED_CLIPS or time.perf_counter() < until:
        began = time.perf_counter()
        engine.features(clips)
        taken.append(time.perf_counter() - began)
    cameras = CLIP_LENGTH / TRAINED_RATE / median(taken[1:])  # the first run prepares the engine
    return max(0.1, float(f"{cameras:.2g}"))


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of a worker. Raises UsageError for an invalid one."""
    for label in labels:
        if not re.fullmatch(LABEL, label):
            raise UsageError(f"--label {label!r}: must be a word of letters, digits, ., _, / and -, or key=value")
    return tuple(labels)


def on_broker(settings: ServiceSettings) -> LeaseStore:
    """The leases on the broker of these settings. Raises UsageError if there is none."""
    if settings.broker is None:
        raise UsageError("--shard: needs a broker that all shards share: --mqtt URL")
    return BrokerStore(settings.broker, settings.topic_prefix, settings.node, settings.tls)


def joined(member: Member, settings: ServiceSettings, store: LeaseStore, inner: CameraChanges | None) -> SharedLeases:
    """The leases of this instance; nothing runs yet. `inner` is the source of changed cameras of the site."""
    capacity = NEVER_FULL if member.capacity is None else member.capacity
    me = Beat(
        member.worker, secrets.token_hex(8), cluster=member.cluster, capacity=capacity, labels=member.labels,
        host=socket.gethostname(),
    )  # fmt: skip
    return SharedLeases(store, me, member.expected, settings.cameras, inner)
