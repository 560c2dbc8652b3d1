"""Notices that the site file was changed, or that it is to be read again (SIGHUP), and says what the cameras are now.

It runs in a thread of its own: a disk that hangs holds up no clip. A file with any problem changes nothing.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from stream.base.errors import UsageError
from stream.base.log import log
from stream.settings.settings import CameraConfig
from stream.settings.site.reading import Site, SiteError, checked, read_bytes

_EVERY: Final = 0.5
# These are looked at again whenever the file is read; the rest only at the start.
_AT_ANY_TIME: Final = frozenset({"cameras", "defaults", "time_zone"})


class SiteWatcher:
    """Watches the file of `site`. `cameras_of` makes the cameras of a site, flags included; it may raise UsageError."""

    def __init__(self, site: Site, cameras_of: Callable[[Site], Sequence[CameraConfig]]) -> None:
        self._path = site.path
        self._started = self._latest = site
        self._cameras_of = cameras_of
        self._asked = False
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._found: Sequence[CameraConfig] | None = None

    def ask(self) -> None:
        """Read it again although it may look unchanged; safe in a signal handler."""
        self._asked = True

    def stop(self) -> None:
        """`run` returns soon."""
        self._stopped.set()

    def take(self) -> Sequence[CameraConfig] | None:
        """The cameras from now on, None if they are still the same."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def run(self) -> None:
        """Look until stopped: body of a thread of the service."""
        known = before = None  # it may have changed since it was read
        while not self._stopped.wait(_EVERY):
            now = self._signature()
            # an editor may still be writing: act once it looks the same twice
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
        """Read the file; what it says goes to `take`, what is wrong with it to the log."""
        try:
            content = read_bytes(self._path)
            if content == self._latest.content and not asked:
                return
            site = checked(self._path, content)
            cameras = self._cameras_of(site)
        except UsageError as error:
            for problem in error.problems if isinstance(error, SiteError) else [str(error)]:
                log.error("site file not taken: nothing changed", problem=problem)
            return
        except Exception as error:  # noqa: BLE001 -- a defect must not end the watching
            # never its text: secrets of this file may stand there that the log does not know yet
            at = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{self._path}: a defect: {type(error).__name__} in {Path(at.filename).name}:{at.lineno}"
            log.error("site file not taken: nothing changed", problem=problem)
            return
        self._latest = site
        for key in _changed_keys(self._started, site):
            log.warning("site file: this key needs a restart", key=key, file=str(self._path))
        log.info("site file read", file=str(self._path), cameras=len(cameras))
        with self._lock:
            self._found = cameras


def _changed_keys(started: Site, now: Site) -> list[str]:
    """Top-level keys whose change does nothing until the next start."""
    before, after = started.given, now.given
    keys = [key for key in type(after).model_fields if key not in _AT_ANY_TIME]
    return [key for key in keys if getattr(before, key) != getattr(after, key)]
