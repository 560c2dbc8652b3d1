"""Reloads the site file when it changes or on SIGHUP, and passes the new cameras to the service.

It runs in a separate thread, so that a hanging disk delays no clip. A file with problems is rejected. A file that could
not be read for lack of resources is read again later.
"""

from __future__ import annotations

import errno
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from stream.alarm.modes import Mode
from stream.base.errors import UsageError
from stream.base.log import log
from stream.settings.settings import CameraConfig
from stream.settings.site.reading import Site, SiteError, checked, read_bytes

RETRY_AFTER: Final = 30.0
_EVERY: Final = 0.5
_REJECTED: Final = "site file rejected; keeping the previous configuration"
# Errors that may pass: no descriptors, processes or memory left, or a disk that does not respond.
_FOR_NOW: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ESTALE})
# These keys apply on every reload; the others only at the start.
_AT_ANY_TIME: Final = frozenset({"cameras", "defaults", "time_zone", "modes"})


class SiteWatcher:
    """Watches the file of `site`. `cameras_of` returns the cameras of a site, with flags applied; may raise
    UsageError.
    """

    def __init__(self, site: Site, cameras_of: Callable[[Site], Sequence[CameraConfig]]) -> None:
        self._path = site.path
        self._started = self._latest = site
        self._cameras_of = cameras_of
        self._asked = False
        self._retry_at = float("inf")
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._found: Sequence[CameraConfig] | None = None

    def ask(self) -> None:
        """Reload the file even if it has not changed; safe in a signal handler."""
        self._asked = True

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopped.set()

    def take(self) -> Sequence[CameraConfig] | None:
        """The new cameras, or None if nothing has changed."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def modes(self) -> Mapping[str, Mode]:
        """The modes of the newest valid file."""
        return self._latest.modes()

    def retry(self) -> None:
        """Read the file again later, because there were not enough resources for it."""
        self._retry_at = time.monotonic() + RETRY_AFTER

    def run(self) -> None:
        """Body of a thread: watch until stopped."""
        known = before = None  # the file may have changed since it was read
        while not self._stopped.wait(_EVERY):
            if time.monotonic() >= self._retry_at:
                self._retry_at, self._asked = float("inf"), True
            now = self._signature()
            # an editor may still be writing: wait until it looks the same twice
            if self._asked or (now != known and now == before):
                asked, self._asked, known = self._asked, False, now
                self.look(asked=asked)
            before = now

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def look(self, *, asked: bool) -> None:
        """Read the file. Its cameras go to `take`, its problems to the log."""
        try:
            try:
                content = read_bytes(self._path)
            except SiteError as error:
                if getattr(error.__cause__, "errno", None) in _FOR_NOW:
                    self.retry()
                raise
            if content == self._latest.content and not asked:
                return
            site = checked(self._path, content)
            cameras = self._cameras_of(site)
        except UsageError as error:
            for problem in error.problems if isinstance(error, SiteError) else [str(error)]:
                log.error(_REJECTED, problem=problem)
            return
        except Exception as error:  # noqa: BLE001 -- a bug must not end the thread
            # do not log its text: it may contain secrets of this file that the log does not know yet
            at = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{self._path}: internal error: {type(error).__name__} in {Path(at.filename).name}:{at.lineno}"
            log.error(_REJECTED, problem=problem)
            if isinstance(error, OSError | MemoryError):
                self.retry()
            return
        self._latest = site
        for key in _changed_keys(self._started, site):
            log.warning("site file: this key needs a restart", key=key, file=str(self._path))
        log.info("site file reloaded", file=str(self._path), cameras=len(cameras))
        with self._lock:
            self._found = cameras


def _changed_keys(started: Site, now: Site) -> list[str]:
    """Top-level keys that have changed but need a restart."""
    before, after = started.given, now.given
    keys = [key for key in type(after).model_fields if key not in _AT_ANY_TIME]
    return [key for key in keys if getattr(before, key) != getattr(after, key)]
