"""The search for cameras that the page starts: in a process of its own, because it decodes what strangers send."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from stream.base.addresses import filled_in
from stream.base.errors import StreamError, UsageError
from stream.base.log import log
from stream.base.processes import StartProcess, end_with_parent
from stream.base.redaction import redact_all, remember
from stream.camera.confinement import confine
from stream.camera.wire import bound_waiting
from stream.discovery.codec import LARGEST, packed, unpacked
from stream.discovery.finding import Camera, Finder, Findings
from stream.discovery.site_entry import PlaceholderLogin, added, as_yaml, entries, store_password, write_site
from stream.discovery.soap import Login
from stream.discovery.targets import Targets, named_host
from stream.settings.site.editing import WRITING
from stream.settings.site.reading import checked, read_bytes

LONGEST: Final = 300.0  # seconds
_SECRET: Final = "MGFN_CAMERAS_PW"  # noqa: S105 -- the name of the variable


def search(hosts: Sequence[str], login: Login | None, own_ports: frozenset[int], pipe: Connection) -> None:
    """Body of the process: sends what was found."""
    confine(None)  # no files; any port, because cameras listen anywhere
    end_with_parent()

    async def run() -> Findings:
        named = tuple([await named_host(host) for host in hosts])
        return await Finder(login, Targets(named, own_ports)).find()

    try:
        found = asyncio.run(run())
    except StreamError as error:
        found = Findings(problems=[str(error)])
    pipe.send_bytes(packed(found))


class CameraSearch:
    """At most one search at a time. Used by the threads of the web server. `site_file` None: there is none."""

    def __init__(self, start_process: StartProcess, site_file: Path | None, own_ports: frozenset[int]) -> None:
        self._start_process = start_process
        self._site_file = site_file
        self._own_ports = own_ports
        self._lock = threading.Lock()
        self._running: tuple[BaseProcess, Connection, float] | None = None
        self._login: Login | None = None
        self._found: Findings | None = None
        self._set_here: set[str] = set()  # variables that live no longer than this process

    def start(self, hosts: Sequence[str], user: str, password: str) -> None:
        """Start a search. Raises StreamError if one is running, or if no process can be started."""
        with self._lock:
            self._receive()
            if self._running is not None:
                raise StreamError("a search is running already")
            if password:
                remember(password)
            self._login, self._found = Login(user, password) if user else None, None
            try:
                process, pipe = self._start_process(search, (hosts, self._login, self._own_ports), "mgfn-search")
            except OSError as error:
                raise StreamError(f"no process for the search: {error.strerror}") from None
            bound_waiting(pipe)
            self._running = process, pipe, time.monotonic() + LONGEST
            log.info("search for cameras", named=len(hosts))

    def state(self) -> dict[str, Any]:
        """For the page: whether it is searching, and what was found."""
        with self._lock:
            self._receive()
            if self._found is None:
                return {"state": "searching" if self._running else "idle", "cameras": [], "problems": []}
            divided = entries(self._found.cameras, self._content())
            known = {camera.main: name for name, camera in divided.known.items()}
            new = {camera.main: name for name, camera in divided.new.items()}
            cameras = [
                {"number": number, "name": new.get(c.main, ""), "known": known.get(c.main), "shown": c.name,
                 "maker": c.maker, "host": c.host, "sizes": c.sizes}
                for number, c in enumerate(self._found.cameras)
                if c.main in known or c.main in new
            ]  # fmt: skip
            return {"state": "done", "cameras": cameras, "problems": [redact_all(p) for p in self._found.problems]}

    def picture(self, number: int) -> bytes | None:
        """The image of a camera that was found."""
        with self._lock:
            cameras = self._found.cameras if self._found else []
            return cameras[number].seen.jpeg if 0 <= number < len(cameras) else None

    def add(self, chosen: Mapping[int, str]) -> dict[str, Any]:
        """Add cameras, by number, under these names, to the site file.

        Returns the names of those that were `added`, or why none was and the `yaml` to paste. `stored` is the file
        that the password was written to; `secret` is the name of its variable, if that must be set before the next
        start. Raises StreamError.
        """
        with self._lock, WRITING:
            cameras = self._found.cameras if self._found else []
            wanted = [replace(cameras[n], name=name) for n, name in chosen.items() if 0 <= n < len(cameras)]
            if not wanted:
                raise UsageError("none of these cameras was found; search again")
            login = self._placeholder()
            new = entries(wanted, self._content()).new
            why = self._written(new, login) if new else "they are in the site file already"
            stored = "" if why or login is None else self._stored(login.secret)
            secret = login.secret if login is not None and login.secret in self._set_here else None
        if why:
            pasted = as_yaml(new, login) if new else ""
            return {"added": [], "why": why, "yaml": pasted, "secret": secret, "stored": ""}
        log.info("cameras added to the site file on the page", cameras=list(new))
        return {"added": list(new), "why": "", "yaml": "", "secret": secret, "stored": stored}

    def _written(self, new: dict[str, Camera], login: PlaceholderLogin | None) -> str:
        """Why the cameras could not be written, or ""."""
        path = self._site_file
        if path is None:
            return "there is no site file; start mgfn-stream with --config"
        checked(path, added(path, self._content(), new, login).encode())
        try:
            write_site(path, new, login)
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}"
        return ""

    def _placeholder(self) -> PlaceholderLogin | None:
        """The login with a variable that holds the password in this process."""
        if self._login is None:
            return None
        name, number = _SECRET, 1
        folder = None if self._site_file is None else self._site_file.absolute().parent
        while (known := filled_in(name, folder)) not in (None, self._login.password):
            number += 1
            name = f"{_SECRET}_{number}"
        if known is None:
            os.environ[name] = self._login.password
            self._set_here.add(name)
        return PlaceholderLogin(self._login.user, name)

    def _stored(self, name: str) -> str:
        """The file beside the site file that holds the password from now on, or "" if it cannot, or need not."""
        if name not in self._set_here or self._site_file is None:
            return ""
        try:
            path = store_password(self._site_file, name, os.environ[name])
        except OSError as error:
            log.warning("password not stored; it is lost at the end of this run", name=name, reason=error.strerror)
            return ""
        self._set_here.remove(name)
        del os.environ[name]
        return str(path)

    def _content(self) -> bytes:
        return read_bytes(self._site_file) if self._site_file is not None else b""

    def _receive(self) -> None:
        """Take what the process has sent, or end it if it takes too long."""
        if self._running is None:
            return
        process, pipe, until = self._running
        try:
            if not pipe.poll() and process.is_alive():
                if time.monotonic() < until:
                    return
                raise StreamError("the search took too long")
            self._found = unpacked(pipe.recv_bytes(LARGEST))
        except StreamError as error:
            self._found = Findings(problems=[str(error)])
        except (EOFError, OSError):
            self._found = Findings(problems=["the search ended without an answer"])
        process.kill()
        process.join(1.0)
        pipe.close()
        self._running = None
