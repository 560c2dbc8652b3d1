"""Opens the bundle that `canary` of the site file names, and refuses one that cannot be compared with the live one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from configs.command import called
from engine.engine import Engine
from engine.errors import EngineError
from stream.base.errors import UsageError
from stream.settings.bundle import alarm_of
from stream.settings.settings import CanarySettings
from stream.watch.learnt_score import calibration_of


@contextmanager
def opened_canary(wanted: CanarySettings | None, live: Engine, backend: str, device: str) -> Iterator[Engine | None]:
    """The engine of the canary; None if none is wanted. Raises UsageError."""
    if wanted is None:
        yield None
        return
    where = f"canary: bundle {wanted.bundle}"
    try:
        opened = Engine.open(wanted.bundle, backend, device, one_core=True)
    except EngineError as error:
        raise UsageError(f"canary: {error}") from None
    with opened as engine:
        ours, theirs = live.manifest, engine.manifest
        if engine.bundle.sha256 == live.bundle.sha256:
            raise UsageError(f"{where}: is the live bundle; name another one, or remove `canary`")
        if theirs.geometry != ours.geometry:
            raise UsageError(
                f"{where}: has the geometry {theirs.geometry}, but clips are cut for that of the live bundle, "
                f"{ours.geometry}; compare these bundles on recordings: {called()} --replay"
            )
        try:
            alarm_of(engine.bundle)
            calibration_of(theirs)
        except UsageError as error:
            raise UsageError(f"canary: {error}") from None
        yield engine
