"""Sends a digest of the last day to the notification targets, once a day. Runs in a thread of its own.

The digest itself is computed in a separate process, because it reads a day of scores.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from stream.archive.retention import DAY
from stream.archive.store import Store
from stream.base.errors import StreamError
from stream.base.log import log
from stream.base.processes import StartProcess, end_with_parent
from stream.lookback.digest import Digest, digests
from stream.sinks.courier import UndeliveredError
from stream.sinks.notifications import NotifySettings, notify_targets

_LOOK_EVERY: Final = 30.0  # the wall clock may be set
_PATIENCE: Final = 600.0
_POLL_EVERY: Final = 0.5
_TRIES: Final = 3
_PAUSE: Final = 60.0


def find_digests(folder: Path, pipe: Connection) -> None:
    """Body of the process: sends the digests of the last day, or why there are none."""
    os.nice(10)
    end_with_parent()
    now = time.time()
    try:
        with Store.read_only(folder) as store:
            pipe.send(digests(store, now - DAY, now))
    except (StreamError, sqlite3.Error, ValueError) as error:
        pipe.send(f"{type(error).__name__}: {error}")


class DailyDigest:
    """`at` is "HH:MM" in `zone` (None: that of the machine). Raises UsageError for unusable targets."""

    def __init__(
        self,
        notify: NotifySettings,
        at: str,
        folder: Path,
        node: str,
        zone: tzinfo | None,
        start_process: StartProcess,
    ) -> None:
        self._targets = [target for target in notify_targets(notify, None) if target.about == "new"]
        self._at = at
        self._folder = folder
        self._node = node
        self._zone = zone
        self._start_process = start_process
        self._stopping = threading.Event()

    def run(self) -> None:
        """Send a digest each day until stopped."""
        due = next_time(self._at, time.time(), self._zone)
        while not self._stopping.wait(max(0.0, min(_LOOK_EVERY, due - time.time()))):
            if time.time() >= due:
                self.send()
                due = next_time(self._at, time.time(), self._zone)

    def stop(self) -> None:
        self._stopping.set()

    def send(self) -> None:
        """Compute the digest and send it to every target; what fails is logged."""
        found = self._computed()
        if isinstance(found, str):
            log.error("no daily digest", reason=found)
            return
        title, body = worded(self._node, found)
        for target in self._targets:
            self._tell(target.name, lambda target=target: target.tell(title, body))  # type: ignore[misc]

    def _computed(self) -> list[Digest] | str:
        """The digests of the last day, or why there are none."""
        try:
            process, pipe = self._start_process(find_digests, (self._folder,), "mgfn-digest")
        except OSError as error:
            return error.strerror or "no process"
        until = time.monotonic() + _PATIENCE
        try:
            while not pipe.poll(_POLL_EVERY):
                if self._stopping.is_set() or time.monotonic() > until:
                    return "stopped" if self._stopping.is_set() else f"not finished after {_PATIENCE:.0f} s"
            found: list[Digest] | str = pipe.recv()
            return found
        except (EOFError, OSError):
            return "its process ended"
        finally:
            process.kill()
            process.join(_POLL_EVERY)
            pipe.close()

    def _tell(self, name: str, tell: Callable[[], None]) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                tell()
            except UndeliveredError as error:
                log.warning("daily digest not delivered", to=name, attempt=attempt, reason=str(error))
                if self._stopping.wait(_PAUSE):
                    return
            else:
                log.info("daily digest delivered", to=name)
                return


def next_time(at: str, now: float, zone: tzinfo | None) -> float:
    """The next epoch time after `now` at which the clock in `zone` shows `at`."""
    hour, minute = map(int, at.split(":"))
    today = datetime.fromtimestamp(now, zone).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    days = (today + timedelta(days=day) for day in range(3))
    return next(due for day in days if (due := day.timestamp()) > now)


def worded(node: str, found: Sequence[Digest]) -> tuple[str, str]:
    """Title and text."""
    alarms, waiting = sum(one.alarms for one in found), sum(one.unanswered for one in found)
    title = f"{node}: {alarms} alarms in the last day" + (f", {waiting} NOT ANSWERED" if waiting else "")
    return title, "\n".join(map(_line, found)) or "no camera has been scored"


def _line(one: Digest) -> str:
    parts = [f"{one.alarms} alarms ({one.true} true, {one.false_alarms} false, {one.unanswered} unanswered)"]
    for count, what in ((one.notices, "notices"), (one.suppressed, "not published")):
        if count:
            parts.append(f"{count} {what}")
    if one.lost:
        parts.append(f"no images {one.lost} times, {one.lost_seconds / 60:.0f} min in all")
    if one.kept is not None:
        parts.append("budget kept" if one.kept else "BUDGET NOT KEPT")
    return f"{one.camera}: {', '.join(parts)}"
