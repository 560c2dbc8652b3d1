"""Which worker a camera belongs to: rendezvous hashing, weighted by capacity, bounded by it. Pure.

Every worker has a score for every camera (a hash of both names, weighted by its capacity), and a camera belongs to the
worker with the highest one (Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005). So the
owners follow from the names alone: nobody has to ask, and a worker that comes or goes moves only its own fair share.

A worker that is full keeps the cameras that score highest on it; the others go to their next choice. This is the
stable matching of cameras and workers (Gale and Shapley 1962), which does not depend on the order of the names. A
camera that finds no room at all goes to its first choice: one watched with gaps is better than one not watched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Labels = frozenset[str]
NO_LABELS: Final[Labels] = frozenset()


@dataclass(frozen=True)
class Worker:
    """One that owns cameras. `capacity`: how many it can hold, > 0. `labels`: what it has or can reach."""

    name: str
    capacity: float = 1.0
    labels: Labels = NO_LABELS


def place(cameras: Mapping[str, Labels], workers: Sequence[Worker]) -> dict[str, str | None]:
    """The owner of each camera; None if no worker has all the labels that the camera needs.

    Args:
        cameras: for each name the labels that a worker needs to watch it.
        workers: with different names, in any order.
    """
    names = sorted(cameras)
    if not names or not workers:
        return dict.fromkeys(names)
    ordered = sorted(workers, key=lambda worker: worker.name)
    scores = _possible(cameras, names, ordered)
    rooms = [max(1, int(worker.capacity)) for worker in ordered]
    return {
        name: None if column < 0 else ordered[column].name
        for name, column in zip(names, _matched(scores, rooms), strict=True)
    }


def choices(worker: str, cameras: Mapping[str, Labels], workers: Sequence[Worker]) -> dict[str, tuple[int, int]]:
    """Which choice this worker is of each camera, and of how many that can watch it: (1, 3) is the first of three.
    Cameras that it cannot watch are left out. If a camera is not on its first choice, those before it were full.
    """
    names, ordered = sorted(cameras), sorted(workers, key=lambda each: each.name)
    column = next((column for column, each in enumerate(ordered) if each.name == worker), None)
    if not names or column is None:
        return {}
    scores = _possible(cameras, names, ordered)
    ours = scores[:, column]
    places, of = 1 + (scores > ours[:, None]).sum(axis=1), np.isfinite(scores).sum(axis=1)
    return {names[row]: (int(places[row]), int(of[row])) for row in np.flatnonzero(np.isfinite(ours))}


def _possible(cameras: Mapping[str, Labels], names: Sequence[str], workers: Sequence[Worker]) -> NDArray[np.float64]:
    """The scores, (cameras, workers), -inf where a worker lacks a label that the camera needs."""
    scores = _scores(names, workers)
    for column, worker in enumerate(workers):
        lacking = [row for row, name in enumerate(names) if not cameras[name] <= worker.labels]
        scores[lacking, column] = -np.inf
    return scores


def _matched(scores: NDArray[np.float64], rooms: Sequence[int]) -> list[int]:
    """The column of each row: the stable matching, then the first choice where there is no room. -1: no choice."""
    wanted = scores.copy()
    choice, best = wanted.argmax(axis=1), wanted.max(axis=1)
    while True:
        counts = np.bincount(choice[np.isfinite(best)], minlength=len(rooms))
        refused = []
        for column in np.flatnonzero(counts > np.array(rooms)).tolist():
            asking = np.flatnonzero((choice == column) & np.isfinite(best))
            refused.append(asking[np.argsort(-best[asking], kind="stable")[rooms[int(column)] :]])
            wanted[refused[-1], column] = -np.inf
        if not refused:
            break
        again = np.concatenate(refused)  # only these choose again: most have a place long before the last one has
        choice[again], best[again] = wanted[again].argmax(axis=1), wanted[again].max(axis=1)
    choice[~np.isfinite(best)] = scores.argmax(axis=1)[~np.isfinite(best)]
    choice[~np.isfinite(scores.max(axis=1))] = -1
    return choice.tolist()


def _scores(names: Sequence[str], workers: Sequence[Worker]) -> NDArray[np.float64]:
    """(cameras, workers): ln(u) / capacity, u uniform in (0, 1): the highest is won in proportion to capacity."""
    mixed = _hashes(names)[:, None] ^ _hashes([worker.name for worker in workers])[None, :]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # the finaliser of SplitMix64
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.log(uniform) / np.array([worker.capacity for worker in workers])


def _hashes(names: Collection[str]) -> NDArray[np.uint64]:
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
