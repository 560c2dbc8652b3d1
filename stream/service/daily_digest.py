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

from stream.archive.journal import Journal
from stream.archive.retention import DAY
from stream.archive.store import Store
from stream.base.errors import StreamError
from stream.base.log import log
from stream.base.processes import StartProcess, end_with_parent
from stream.lookback.digest import Digest, digests
from stream.service.processes import start_process
from stream.settings.settings import ServiceSettings
from stream.sinks.courier import UndeliveredError
from stream.sinks.notifications import NotifySettings, notify_targets
from stream.watch.camera_memory import Kept

_LOOK_EVERY: Final = 30.0  # the wall clock may be set
_PATIENCE: Final = 600.0
_POLL_EVERY: Final = 0.5
_TRIES: Final = 3
_PAUSE: Final = 60.0
_LONGEST: Final = 7 * DAY
_SLACK: Final = 60.0  # seconds by which a digest may be late without saying so


def find_digests(folder: Path, since: float, until: float, pipe: Connection) -> None:
    """Body of the process: sends the digests of that period (epoch seconds), or why there are none."""
    os.nice(10)
    end_with_parent()
    try:
        with Store.read_only(folder) as store:
            pipe.send(digests(store, since, until))
    except (StreamError, sqlite3.Error, ValueError) as error:
        pipe.send(f"{type(error).__name__}: {error}")


class DailyDigest:
    """`at` is "HH:MM" in `zone` (None: that of the machine). `last`: epoch time of the last digest, or of the first
    start; None if there was none. `keep` stores it. Raises UsageError for unusable targets.
    """

    def __init__(
        self,
        notify: NotifySettings,
        at: str,
        folder: Path,
        node: str,
        zone: tzinfo | None,
        start_process: StartProcess,
        last: float | None,
        keep: Callable[[float], None],
    ) -> None:
        self._targets = [target for target in notify_targets(notify, None) if target.about == "new"]
        self._at = at
        self._folder = folder
        self._node = node
        self._zone = zone
        self._start_process = start_process
        self._last = last
        self._keep = keep
        self._stopping = threading.Event()

    def run(self) -> None:
        """Send a digest each day until stopped; at once if the last one is due since an earlier run."""
        now = time.time()
        if self._last is None or self._last > now:  # the clock was wrong
            self._sent(now)
        due = next_time(self._at, self._last or now, self._zone)
        while not self._stopping.wait(max(0.0, min(_LOOK_EVERY, due - time.time()))):
            if (now := time.time()) >= due:
                self.send(now, late=now - due > _LOOK_EVERY + _SLACK)
                due = next_time(self._at, now, self._zone)

    def stop(self) -> None:
        self._stopping.set()

    def send(self, now: float, *, late: bool = False) -> None:
        """Compute the digest of the day before epoch time `now` and send it to every target; what fails is logged.

        If it is `late`, it begins at the last one.
        """
        since = now - DAY
        if late and self._last is not None:
            since = max(now - _LONGEST, min(since, self._last))
        found = self._computed(since, now)
        if isinstance(found, str):
            log.error("no daily digest", reason=found)
        else:
            period = f"since {datetime.fromtimestamp(since, self._zone):%Y-%m-%d %H:%M}" if late else "in the last day"
            title, body = worded(self._node, period, found)
            for target in self._targets:
                self._tell(target.name, lambda target=target: target.tell(title, body))  # type: ignore[misc]
        if not self._stopping.is_set():  # else the next run sends it
            self._sent(now)

    def _sent(self, now: float) -> None:
        self._last = now
        self._keep(now)

    def _computed(self, since: float, until: float) -> list[Digest] | str:
        """The digests of that period, or why there are none."""
        try:
            process, pipe = self._start_process(find_digests, (self._folder, since, until), "mgfn-digest")
        except OSError as error:
            return error.strerror or "no process"
        given_up = time.monotonic() + _PATIENCE
        try:
            while not pipe.poll(_POLL_EVERY):
                if self._stopping.is_set() or time.monotonic() > given_up:
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


def make_digest(settings: ServiceSettings, zone: tzinfo | None, kept: Kept, journal: Journal) -> DailyDigest | None:
    """The daily digest, if there is to be one; it knows when an earlier run has sent the last one."""
    notify = settings.notify
    if notify is None or notify.digest is None or settings.replay:
        return None
    last = kept.get("", {}).get("digest")
    return DailyDigest(
        notify, notify.digest, settings.data, settings.node, zone, start_process, None if last is None else float(last),
        lambda sent: journal.setting("", "digest", str(sent)),
    )  # fmt: skip


def next_time(at: str, now: float, zone: tzinfo | None) -> float:
    """The next epoch time after `now` at which the clock in `zone` shows `at`."""
    hour, minute = map(int, at.split(":"))
    today = datetime.fromtimestamp(now, zone).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    days = (today + timedelta(days=day) for day in range(3))
    return next(due for day in days if (due := day.timestamp()) > now)


def worded(node: str, period: str, found: Sequence[Digest]) -> tuple[str, str]:
    """Title and text."""
    alarms, waiting = sum(one.alarms for one in found), sum(one.unanswered for one in found)
    title = f"{node}: {alarms} alarms {period}" + (f", {waiting} NOT ANSWERED" if waiting else "")
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
