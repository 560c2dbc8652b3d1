"""`mgfn-stream people add`: gives somebody access to the page, in the site file."""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path
from typing import Final

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from configs.command import called
from stream.alarm.requests import Note, Origin
from stream.base.addresses import filled_in, is_loopback
from stream.base.errors import StreamError, UsageError
from stream.cli.looking_back import login_name, looked_at
from stream.discovery.site_entry import store_password
from stream.lookback.audit import note
from stream.settings.site import editing
from stream.settings.site.reading import Site, checked, read_bytes
from stream.settings.site.values import person_problem
from stream.web.server import DEFAULT_HOST, DEFAULT_PORT, page_at

_TOKEN_BYTES: Final = 24


def add_person(name: str, config: Path, viewer: bool, cameras: list[str]) -> None:
    """Write the person into the site file and their token into its folder `secrets`, and print it. Raises
    StreamError.
    """
    with editing.WRITING:
        content = read_bytes(config)
        site = checked(config, content)
        _check(site, name, viewer, cameras)
        secret = _free_secret(name, config.absolute().parent)
        person = CommentedMap(role="viewer" if viewer else "operator", token=f"{{{secret}}}")
        if cameras:
            person["cameras"] = CommentedSeq(cameras)
            person["cameras"].fa.set_flow_style()

        def change(data: CommentedMap) -> None:
            people = editing.block(config, editing.block(config, data, "http"), "people")
            people[name] = person

        text, token = editing.edited(config, content, {}, change), secrets.token_urlsafe(_TOKEN_BYTES)
        try:
            stored = store_password(config, secret, token)
            try:
                site = checked(config, text.encode())
                editing.replace_file(config, text)
            except BaseException:
                stored.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UsageError(f"--config {config}: cannot be changed: {error.strerror}") from None
    with contextlib.suppress(StreamError), looked_at(None, config, writes=True) as store, store.transaction():
        note(store, Note("person_added", name, origin=Origin(login_name(), "command line")))
    _tell(site, name, person["role"], token, stored, config)


def _check(site: Site, name: str, viewer: bool, cameras: list[str]) -> None:
    if problem := person_problem(name):
        raise UsageError(f"people add {name[:64]!r}: {problem}")
    http = site.given.http
    people = (http.people if http else None) or {}
    if name in people:
        raise UsageError(f"people add {name}: is in the site file already; choose another name, or remove that entry")
    for camera in cameras:
        if camera not in site.given.cameras:
            allowed = ", ".join(site.given.cameras) or "(none)"
            raise UsageError(f"--camera {camera}: not a camera of the site file; must be one of {allowed}")
    operators = any(person.role == "operator" for person in people.values())
    if viewer and not operators and (http is None or http.token_file is None):
        raise UsageError(
            f"--viewer: nobody could operate the page: from the first person on, everybody needs a token; add an "
            f"operator first: {called()} people add NAME --config {site.path}"
        )


def _free_secret(name: str, folder: Path) -> str:
    """The name of a secret that does not exist yet."""
    base = "MGFN_" + re.sub("[^A-Z0-9]", "_", name.upper())
    secret, number = f"{base}_TOKEN", 1
    while filled_in(secret, folder) is not None:
        number += 1
        secret = f"{base}_{number}_TOKEN"
    return secret


def _tell(site: Site, name: str, role: str, token: str, stored: Path, config: Path) -> None:
    http = site.given.http
    host, _, port = ((http and http.address) or f"{DEFAULT_HOST}:{DEFAULT_PORT}").rpartition(":")
    lines = [
        f"{name} is {'a viewer' if role == 'viewer' else 'an operator'} from the next start of mgfn-stream on.",
        f"Token (shown only now; kept in {stored}): {token}",
    ]
    if http is not None and http.url:
        lines.append(f"Page: {http.url}")
    elif host and is_loopback(host.strip("[]")):
        lines.append(f"Page: {page_at(host.strip('[]'), int(port))} on this machine only.")
        lines.append(f'To let others reach it, add this under `http` in {config}: address: "0.0.0.0:{port}"')
    elif host:
        lines.append(f"Page: {page_at(host.strip('[]'), int(port))}")
    print("\n".join(lines))  # noqa: T201 -- the output
