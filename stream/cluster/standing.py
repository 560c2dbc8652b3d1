"""What a worker tells people of itself: what it can do, which cameras it has, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.cluster.keeper import Keeper


def standing(keeper: Keeper) -> dict[str, Any]:
    """A JSON object: the worker with the `fence` of its name, and by camera that it watches the `fence` of the lease.

    choice, of: the worker is the camera's `choice`th among so many that could watch it. needs: labels of the camera.
    moves_to: the worker that will have it. What is not so is left out.
    """
    me = keeper.me
    ours = keeper.held.keys() & keeper.cameras.keys() - keeper.orphans
    return {
        "worker": me.worker,
        "cluster": me.cluster,
        "host": me.host,
        "capacity": me.shown_capacity,
        "labels": sorted(me.labels),
        "draining": me.draining,
        "fence": keeper.held.get(f"@{me.worker}"),
        "cameras": {camera: _reason(keeper, camera) for camera in sorted(ours)},
    }


def _reason(keeper: Keeper, camera: str) -> Mapping[str, Any]:
    told: dict[str, Any] = {"fence": keeper.held[camera]}
    if camera in keeper.choices:
        told["choice"], told["of"] = keeper.choices[camera]
    if labels := keeper.cameras[camera]:
        told["needs"] = sorted(labels)
    owner = keeper.owners.get(camera)
    if owner is not None and owner != keeper.me.worker:
        told["moves_to"] = owner
    return told
