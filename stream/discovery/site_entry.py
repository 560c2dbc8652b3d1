"""Writes cameras that were found into a site file: comments and other cameras stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from ruamel.yaml.comments import CommentedMap

from configs.atomic import replacing
from stream.base.addresses import SECRETS, name_problem
from stream.discovery.finding import Camera
from stream.settings.site import editing
from stream.settings.site.document import parse
from stream.settings.site.reading import read_bytes

_LONGEST_NAME: Final = 64
_PORTS: Final = {"rtsp": 554, "rtsps": 322}


@dataclass(frozen=True)
class PlaceholderLogin:
    """The login as it is written into a site file: `secret` is the name of the password's variable.

    `asked`: the user typed the password, because there is no such variable yet.
    """

    user: str
    secret: str
    asked: bool = False

    def within(self, url: str) -> str:
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{{{self.secret}}}@{rest}"


@dataclass(frozen=True)
class Entries:
    """New cameras by name, and those that the file already has (what was found, and the name in the file)."""

    new: dict[str, Camera]
    known: dict[str, Camera]


def entries(cameras: Sequence[Camera], content: bytes = b"") -> Entries:
    """Divides what was found; `content` is that of the site file."""
    data = parse(content.decode("utf-8-sig", "replace")).data
    found = data.get("cameras") if isinstance(data, dict) else None
    existing = found if isinstance(found, dict) else {}
    by_place = {
        place: name
        for name, keys in existing.items()
        if isinstance(keys, dict)
        for key in ("url", "sub_stream")
        if (place := _place(keys.get(key))) is not None
    }
    new: dict[str, Camera] = {}
    known: dict[str, Camera] = {}
    for camera in cameras:
        places = [place for url in (camera.main, camera.sub) if (place := _place(url)) is not None]
        name = next((by_place[place] for place in places if place in by_place), None)
        if name is not None:
            if name in existing:  # else it was found twice
                known.setdefault(name, camera)
            continue
        name = _free_name(camera.name, {*existing, *new})
        new[name] = camera
        by_place |= dict.fromkeys(places, name)
    return Entries(new, known)


def as_yaml(new: dict[str, Camera], login: PlaceholderLogin | None) -> str:
    """The cameras, to be pasted into a site file."""
    return editing.as_yaml({"cameras": _entries(new, login)})


def write_site(path: Path, new: dict[str, Camera], login: PlaceholderLogin | None) -> None:
    """Add the cameras to the file, or create it; the file is replaced as a whole. Raises SiteError, OSError."""
    content = read_bytes(path) if path.exists() else b""
    editing.replace_file(path, added(path, content, new, login))


def store_password(site: Path, name: str, password: str) -> Path:
    """Store the password where `{name}` in this site file finds it, for the file's owner only. Raises OSError."""
    path = site.absolute().parent / SECRETS / name
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700)
        editing.give_to_owner_of(site, path.parent)
    with replacing(path) as partial:
        partial.touch(0o600)
        partial.write_text(password, encoding="utf-8")
        editing.give_to_owner_of(site, partial)
    return path


def added(path: Path, content: bytes, new: dict[str, Camera], login: PlaceholderLogin | None) -> str:
    """The content of the file with the cameras. Raises SiteError if it is not YAML, or has no block of cameras."""

    def add(data: CommentedMap) -> None:
        cameras = editing.block(path, data, "cameras")
        if not cameras:
            cameras.fa.set_block_style()  # `{}` would put all cameras into one line
        for name, keys in _entries(new, login).items():
            cameras[name] = keys

    return editing.edited(path, content, {"cameras": _entries(new, login)}, add)


def _entries(new: dict[str, Camera], login: PlaceholderLogin | None) -> dict[str, dict[str, str]]:
    return {name: _keys(camera, login) for name, camera in new.items()}


def _keys(camera: Camera, login: PlaceholderLogin | None) -> dict[str, str]:
    keys = {"url": camera.main} | ({"sub_stream": camera.sub} if camera.sub else {})
    return {key: login.within(url) if login else url for key, url in keys.items()}


def _free_name(text: str, taken: Iterable[str]) -> str:
    """A valid camera name that resembles `text` and is not taken."""
    base = re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_-")[:_LONGEST_NAME] or "camera"
    if name_problem(base) or not re.search("[a-zA-Z]", base):
        base = f"camera_{base}"[:_LONGEST_NAME]
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base[: _LONGEST_NAME - len(str(number)) - 1]}_{number}"
    return name


def _place(url: object) -> tuple[str, int, str] | None:
    """Where an RTSP URL leads, without its login: the same for two spellings of an address."""
    if not isinstance(url, str) or not url.lower().startswith(("rtsp://", "rtsps://")):
        return None
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    try:
        parts = urlsplit(f"{scheme.lower()}://{host.rpartition('@')[2]}{slash}{path}")
        return parts.hostname or "", parts.port or _PORTS[parts.scheme], f"{parts.path}?{parts.query}"
    except ValueError:
        return None
