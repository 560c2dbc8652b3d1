"""`mgfn-stream discover`: finds cameras, takes an image of each, and writes them into a site file."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
from rich.table import Table

from configs.atomic import write_file
from configs.command import called
from stream.alarm.requests import Note, Origin
from stream.base.addresses import expand
from stream.base.errors import StreamError, UsageError
from stream.base.redaction import redact_all, remember, shown_url
from stream.cli.looking_back import login_name, looked_at
from stream.cli.tables import console
from stream.discovery.finding import Camera, Finder, Findings
from stream.discovery.site_entry import Entries, PlaceholderLogin, as_yaml, entries, store_password, write_site
from stream.discovery.soap import Login
from stream.discovery.targets import Targets, named_host
from stream.lookback.audit import note
from stream.settings.site.reading import read_bytes

SECRET: Final = "MGFN_CAMERAS_PW"  # noqa: S105 -- the name of the variable
_NEXT: Final = (
    "Next: {0} --config {1}\nA camera is missing? Name its host or the rtsp:// URL of its stream: {0} discover HOST "
    "--write {1}; or press Find cameras on the web page."
)
_OWN_PORTS: Final = frozenset({1883, 8080})
_USER: Final = re.compile(r"([^:{}]+)(?::\{(MGFN_[A-Z0-9_]+)\})?")


def discover_cameras(
    hosts: list[str], user: str | None, write: Path | None, pictures: Path | None, own_ports: list[int], as_json: bool
) -> bool:
    """Find, show and write; whether any camera was found and every named host answered. Raises UsageError."""
    content = read_bytes(write) if write is not None and write.exists() else b""
    if write is not None and not write.absolute().parent.is_dir():
        raise UsageError(f"--write {write}: the folder does not exist")
    placeholder, login = (None, None) if user is None else _login(user, write)
    ports = _OWN_PORTS | set(own_ports)
    findings = asyncio.run(_found(hosts, login, frozenset(ports)))
    sorted_out = entries(findings.cameras, content)
    folder = pictures or Path(platformdirs.user_state_dir("mgfn-stream")) / "discover"
    saved = {name: _saved(folder, name, camera) for name, camera in (sorted_out.new | sorted_out.known).items()}
    if write is not None and sorted_out.new:
        try:
            write_site(write, sorted_out.new, placeholder)
        except OSError as error:
            raise UsageError(f"--write {write}: {error.strerror}") from None
        _note_in_audit_log(write, list(sorted_out.new))
    stored = None
    if write is not None and sorted_out.new and login is not None and placeholder is not None and placeholder.asked:
        with contextlib.suppress(OSError):  # then the user is told to do it
            stored = store_password(write, placeholder.secret, login.password)
    if as_json:
        print(json.dumps(_as_json(findings, sorted_out, saved, placeholder)))  # noqa: T201 -- the output
    else:
        _show(findings, sorted_out, saved, placeholder, write, stored)
    return bool(findings.cameras) and not (hosts and findings.problems)


async def _found(hosts: list[str], login: Login | None, own_ports: frozenset[int]) -> Findings:
    named = tuple([await named_host(host) for host in hosts])
    return await Finder(login, Targets(named, own_ports)).find()


def _note_in_audit_log(site_file: Path, added: Sequence[str]) -> None:
    """In the data folder of the site file, if mgfn-stream has run with it."""
    origin = Origin(login_name(), "command line")
    with (
        contextlib.suppress(StreamError),
        looked_at(None, site_file, writes=True) as store,
        store.transaction(),
    ):
        for name in added:
            note(store, Note("camera_added", camera=name, origin=origin))


def _login(user: str, write: Path | None) -> tuple[PlaceholderLogin, Login]:
    """The login as written, and with the password: from the environment or a secret file, or asked for."""
    given = _USER.fullmatch(user)
    if given is None or not user.isprintable():
        raise UsageError("--user: must be USER, or USER:{MGFN_NAME} with the name of the password's variable")
    name, secret = given[1], given[2] or SECRET
    try:
        password = expand(f"{{{secret}}}", "--user", None if write is None else write.absolute().parent)
    except UsageError as error:
        if given[2] or not sys.stdin.isatty():
            hint = "" if given[2] else "; set it, or run this in a terminal, which asks for the password"
            raise UsageError(f"{error}{hint}") from None
        password = getpass.getpass(f"Password of {name}: ")
        if not password:
            raise UsageError("--user: the password is empty") from None
        remember(password)
        return PlaceholderLogin(name, secret, asked=True), Login(name, password)
    return PlaceholderLogin(name, secret), Login(name, password)


def _saved(folder: Path, name: str, camera: Camera) -> Path:
    path = (folder / f"{name}.jpg").absolute()
    try:
        write_file(path, camera.seen.jpeg)
    except OSError as error:
        raise UsageError(f"--pictures {folder}: {error.strerror}") from None
    return path


def _as_json(
    findings: Findings, found: Entries, saved: dict[str, Path], login: PlaceholderLogin | None
) -> dict[str, Any]:
    def row(name: str, camera: Camera, known: bool) -> dict[str, Any]:
        return {"name": name, "known": known, "shown": camera.name, "maker": camera.maker, "host": camera.host,
                "sizes": camera.sizes, "picture": str(saved[name]), "url": _written(camera.main, login),
                "sub_stream": _written(camera.sub, login)}  # fmt: skip

    rows = [row(name, camera, False) for name, camera in found.new.items()]
    rows += [row(name, camera, True) for name, camera in found.known.items()]
    return {"cameras": rows, "problems": [redact_all(problem) for problem in findings.problems]}


def _written(url: str | None, login: PlaceholderLogin | None) -> str | None:
    return url if url is None or login is None else login.within(url)


def _show(
    findings: Findings,
    found: Entries,
    saved: dict[str, Path],
    login: PlaceholderLogin | None,
    write: Path | None,
    stored: Path | None,
) -> None:
    table = Table("camera", "state")
    table.add_column("what", overflow="fold")
    state = "found" if write is None else f"added to {write}"
    for states, cameras in ((state, found.new), ("already in the file", found.known)):
        for name, camera in cameras.items():
            said = ", ".join(dict.fromkeys(part for part in (camera.name, camera.maker, camera.sizes) if part))
            table.add_row(name, states, redact_all(f"{said}\n{shown_url(camera.sub or camera.main)}"))
    for problem in findings.problems:
        table.add_row("", "not usable", redact_all(problem))
    out = console(160)
    if not findings.cameras and not findings.problems:
        out.print(f"No camera answered. Name the hosts: {called()} discover HOST ...", soft_wrap=True)
        return
    out.print(table)
    if saved:
        folder = next(iter(saved.values())).parent
        out.print(f"An image of each camera is in {folder}", soft_wrap=True)
    if found.new and write is None:
        out.print("\nFor the site file (--write FILE adds it):\n", as_yaml(found.new, login), sep="", soft_wrap=True)
    if stored is not None:
        told = f"The password is stored in {stored}, which only the owner of the site file can read."
        out.print(told, soft_wrap=True)
    elif found.new and login is not None and login.asked:
        where = f"the environment variable or the secret file {login.secret}"
        out.print(f"Before you start mgfn-stream, put the password into {where}.", soft_wrap=True)
    if write is not None and (found.new or found.known):
        out.print(_NEXT.format(called(), shlex.quote(str(write))), soft_wrap=True)
