"""Sends a digest of the last day to the notification targets, once a day. Runs in a thread of its own.

The digest itself is computed by `mgfn-events digest` in a separate process, because it reads a day of scores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from stream.base.log import log
from stream.sinks.courier import UndeliveredError
from stream.sinks.notifications import NotifySettings, notify_targets

_LOOK_EVERY: Final = 30.0  # the wall clock may be set
_PATIENCE: Final = 600.0
_TRIES: Final = 3
_PAUSE: Final = 60.0


class DailyDigest:
    """`at` is "HH:MM" in `zone` (None: that of the machine). Raises UsageError for unusable targets."""

    def __init__(self, notify: NotifySettings, at: str, folder: Path, node: str, zone: tzinfo | None) -> None:
        self._targets = [target for target in notify_targets(notify, None) if target.about == "new"]
        self._at = at
        self._folder = folder
        self._node = node
        self._zone = zone
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
        command = [sys.executable, "-m", "stream.cli.mgfn_events", "digest", "--json", "--data", str(self._folder)]
        try:
            done = subprocess.run(  # noqa: S603 -- our own program
                command, capture_output=True, text=True, timeout=_PATIENCE, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.error("no daily digest", reason=type(error).__name__)
            return
        title, body = worded(self._node, [json.loads(line) for line in done.stdout.splitlines()])
        for target in self._targets:
            self._tell(target.name, lambda target=target: target.tell(title, body))  # type: ignore[misc]

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


def worded(node: str, cameras: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Title and text, from the lines of `mgfn-events digest --json`."""
    alarms, waiting = (sum(camera[key] for camera in cameras) for key in ("alarms", "unanswered"))
    title = f"{node}: {alarms} alarms in the last day" + (f", {waiting} NOT ANSWERED" if waiting else "")
    return title, "\n".join(map(_line, cameras)) or "no camera has been scored"


def _line(found: Mapping[str, Any]) -> str:
    parts = [
        f"{found['alarms']} alarms ({found['true']} true, {found['false_alarms']} false, "
        f"{found['unanswered']} unanswered)"
    ]
    for key, what in (("notices", "notices"), ("suppressed", "not published")):
        if found[key]:
            parts.append(f"{found[key]} {what}")
    if found["lost"]:
        parts.append(f"no images {found['lost']} times, {found['lost_seconds'] / 60:.0f} min in all")
    if found["budget_kept"] is not None:
        parts.append("budget kept" if found["budget_kept"] else "BUDGET NOT KEPT")
    return f"{found['camera']}: {', '.join(parts)}"
