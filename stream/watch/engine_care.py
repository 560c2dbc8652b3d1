"""Runs the engine for the scoring loop, and replaces a backend that fails or computes wrongly by the next one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.engine import Engine
from engine.errors import BackendError, NotFiniteError
from stream.base.log import log

# So many clips without finite numbers within so many seconds, and another engine takes over.
TOO_MANY, WITHIN = 8, 600.0
CHECK_EVERY: Final = 3_600.0

Rows = list[FloatArray | None]  # None where a result is not finite


class EngineCare:
    """Used by the main loop. `changed_at` is when a backend was last replaced, by the monotonic clock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batch: UInt8Array | None = None  # room for the largest batch so far
        self._dropped: deque[float] = deque(maxlen=TOO_MANY)
        self._complaint = ""
        self._can_change = True
        self._next_check = time.monotonic() + CHECK_EVERY
        self.changed_at = float("-inf")

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._engine.backend.name

    def features(self, clips: list[UInt8Array]) -> Rows:
        """A feature for each clip. Raises BackendError if the last backend fails."""
        return self._finite(lambda clips: self._engine.features(self._stacked(clips)), clips)

    def _stacked(self, clips: list[UInt8Array]) -> UInt8Array:
        """The clips in one array, without copying if there is only one. Fresh memory would cost more than copying."""
        if len(clips) == 1:
            return clips[0][None]
        if self._batch is None or len(self._batch) < len(clips):
            self._batch = np.empty((len(clips), *clips[0].shape), np.uint8)
        return np.stack(clips, out=self._batch[: len(clips)])

    def scores(self, windows: list[FloatArray]) -> Rows:
        """A row of scores for each window. Raises BackendError if the last backend fails."""
        return self._finite(self._engine.scores, windows)

    def contributions(self, window: FloatArray) -> FloatArray:
        """What each clip adds to the score; zeros if the engine fails."""
        try:
            return self._engine.contributions(window)
        except (NotFiniteError, BackendError):  # the next clip shows whether it is broken
            return np.zeros(len(window), np.float32)

    def dropped(self, now: float) -> None:
        """A clip was dropped because its result was not finite."""
        self._dropped.append(now)

    def replace_if_bad(self) -> None:
        """After a batch: replace a backend that returned too many results that are not finite."""
        if self._can_change and len(self._dropped) == TOO_MANY and self._dropped[-1] - self._dropped[0] <= WITHIN:
            self._dropped.clear()
            self._change("too many clips were dropped")

    def check(self) -> bool:
        """Every hour, have the known clip scored. Returns whether the answer was wrong, and another backend scores.

        Without another backend, raises BackendError: no alarm is better than alarms that mean nothing, and a
        supervisor restarts the service.
        """
        if (now := time.monotonic()) < self._next_check:
            return False
        self._next_check = now + CHECK_EVERY
        wrong = False
        while fault := self._engine.fault():
            wrong = True
            if not self._change(fault):
                raise BackendError(f"backend {self.backend} computes wrongly: {fault}")
        return wrong

    def _change(self, why: str) -> bool:
        """Continue with the next backend, if there is one."""
        before = self.backend
        try:
            self._engine.give_way()
        except BackendError as error:
            self._can_change = False
            log.error("engine not changed", engine=before, reason=str(error), fault=why)
            return False
        self.changed_at = time.monotonic()
        log.error("engine changed", engine=before, now=self.backend, reason=why)
        return True

    def _finite(self, run: Callable[[list[Any]], Sequence[FloatArray] | FloatArray], given: list[Any]) -> Rows:
        """A result for each of `given`, None where it is not finite; the others are computed again without those."""
        found: Rows = [None] * len(given)
        left = list(range(len(given)))
        while left:
            try:
                results = run([given[index] for index in left])
            except NotFiniteError as error:
                if self._complaint != str(error):
                    self._complaint = str(error)
                    log.error("clips dropped", reason=self._complaint)
                wrong = {left[row] for row in error.rows}
                left = [index for index in left if index not in wrong]
                continue
            except BackendError as error:
                if not self._change(str(error)):
                    raise
                continue
            for index, result in zip(left, results, strict=True):
                found[index] = result
            break
        return found
