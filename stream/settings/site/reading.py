"""Reads the site file, checks it as a whole, and converts it. A file with problems is rejected with all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream.alarm.modes import Mode
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import expanded, is_loopback
from stream.base.errors import UsageError
from stream.base.log import log
from stream.settings.settings import CameraConfig
from stream.settings.site.convert import camera_config, inherited, modes
from stream.settings.site.document import Document, Problem, key_of, parse
from stream.settings.site.document import Path as KeyPath
from stream.settings.site.models import CameraDefaults, CameraModel, SiteFile
from stream.settings.site.problems import described, path_of, unknown
from stream.settings.site.values import FOLDER

_LARGEST: Final = 1 << 20
_REPLACED: Final = {"motion_threshold": "skip_still"}  # keys of cameras
_SOME_URL: Final = "rtsp://unknown/"  # used for a camera with an invalid URL, so that its other keys can be checked


class SiteError(UsageError):
    """An unusable site file; `problems` has one line for each problem, without passwords."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Site:
    """A valid site file; `given` contains its keys."""

    path: Path
    given: SiteFile
    content: bytes = field(repr=False)

    def modes(self) -> dict[str, Mode]:
        """The modes by name."""
        return modes(self.given.modes, self.zone)

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone; None: that of the machine."""
        return None if self.given.time_zone is None else ZoneInfo(self.given.time_zone)

    def cameras(self, bundle: AlarmSettings) -> tuple[CameraConfig, ...]:
        """The cameras; `bundle` has the alarm settings for missing keys."""
        own = self.given.cameras.items()
        return tuple(camera_config(n, inherited(camera, self.given.defaults), self.zone, bundle) for n, camera in own)


def read_site(path: Path, *, asks_token: bool = False) -> Site:
    """Read and check the file. Raises SiteError with all problems.

    asks_token: an `http.address` that other machines can reach requires `token_file`, because no flag replaces either
    of them.
    """
    return checked(path, read_bytes(path), asks_token=asks_token)


def read_bytes(path: Path) -> bytes:
    """The content of the file. Raises SiteError if it cannot be read or is too large."""
    try:
        if path.exists() and not path.is_file():
            raise SiteError([f"{path}: not a file; must be a YAML file"])
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise SiteError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(content) > _LARGEST:
        raise SiteError([f"{path}: is larger than {_LARGEST >> 20} MiB"])
    return content


def checked(path: Path, content: bytes, *, asks_token: bool = False) -> Site:
    """The site described by `content`, the content of the file; otherwise like `read_site`."""
    document = _document(path, content)
    problems = list(document.problems)
    data = document.data
    _leave_out_replaced(data, path)
    given: SiteFile | None = None
    left_out: list[KeyPath] = []
    for _ in range(3):  # remove invalid parts, so that the rest can be checked, too
        try:
            given = SiteFile.model_validate(data, context={FOLDER: path.absolute().parent})
            break
        except ValidationError as error:
            found = [e for e in error.errors() if not any(out[: len(at := path_of(e))] == at for out in left_out)]
            problems += described(found, document)
            for one in error.errors():
                left_out.append(path_of(one))
                _leave_out(data, one)
    if given is not None:
        problems += _across(given, document)
        if asks_token:
            problems += _open_to_others(given, document)
    if problems:
        raise _refused(path, problems)
    assert given is not None  # noqa: S101 -- otherwise there is a problem
    return Site(path, given, content)


def data_folder(path: Path) -> Path | None:
    """Only the `data` key, for callers that do not need the rest and may not have its secrets. Raises SiteError."""
    data = _document(path, read_bytes(path)).data
    folder = data.get("data")
    if folder is None:
        return None
    if not isinstance(folder, str):
        raise SiteError([f"{path}: data: must be a path"])
    try:
        return path.absolute().parent / expanded(folder, path.absolute().parent)
    except UsageError as error:
        raise SiteError([f"{path}: data: {error}"]) from None


def _document(path: Path, content: bytes) -> Document:
    try:
        document = parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused(path, [Problem(line, "", "not UTF-8 text")]) from None
    if document.data is None and not document.problems:
        document.problems.append(Problem(None, "", "is empty; `cameras` is required"))
    elif document.data is not None and not isinstance(document.data, dict):
        document.problems.append(Problem(1, "", "has no keys; `cameras` is required"))
    if not isinstance(document.data, dict):
        raise _refused(path, document.problems)
    return document


def _leave_out_replaced(data: dict[str, Any], path: Path) -> None:
    """Files of earlier versions keep working; the log says what to remove from them."""
    cameras = data.get("cameras")
    for block in [data.get("defaults"), *(cameras.values() if isinstance(cameras, dict) else ())]:
        for key in _REPLACED.keys() & (block.keys() if isinstance(block, dict) else ()):
            del block[key]
            log.warning("site file: this key has no effect any more", key=key, instead=_REPLACED[key], file=str(path))


def _refused(path: Path, problems: list[Problem]) -> SiteError:
    """One line for each problem, in the order of the file."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)
    return SiteError([": ".join(part for part in (_place(path, p.line), p.key, p.text) if part) for p in ordered])


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}:{line}"


def _leave_out(data: dict[str, Any], error: ErrorDetails) -> None:
    """Remove the invalid part, lists as a whole. A block that lacks a required key is removed, but a camera stays."""
    path = path_of(error)
    if len(path) == 3 and (path[0], path[2]) == ("cameras", "url"):
        if path[1] in data["cameras"]:  # otherwise it was removed with its name
            data["cameras"][path[1]]["url"] = _SOME_URL
        return
    path = tuple(itertools.takewhile(lambda part: not isinstance(part, int), path))
    *parents, last = path[:-1] if error["type"] == "missing" and len(path) > 1 else path
    for part in parents:
        data = data.get(str(part), {})
    data.pop(str(last), None)


def _across(given: SiteFile, document: Document) -> Iterator[Problem]:
    """Problems that depend on what a camera inherits, or on several keys."""
    mqtt = given.mqtt
    if mqtt is not None and mqtt.url is not None and not mqtt.url.startswith("mqtts://"):
        for key in ("ca", "cert", "key"):
            if getattr(mqtt, key) is not None:
                text = "needs an encrypted connection: a `url` that begins with mqtts://"
                yield Problem(document.line(("mqtt", key)), f"mqtt.{key}", text)
    for name in () if given.frigate is None else given.frigate.cameras or ():
        if name not in given.cameras:
            path = ("frigate", "cameras", name)
            text = unknown(name, list(given.cameras), "not a camera of this file")
            yield Problem(document.line(path), key_of(path), text)
    yield from _of_modes(given, document)
    yield from _of_people(given, document)
    for name, own in given.cameras.items():
        yield from _of_camera(name, own, given.defaults, document)


def _of_modes(given: SiteFile, document: Document) -> Iterator[Problem]:
    told = ["frigate"] if given.frigate else []
    if given.notify is not None:
        told += [f"notify-{n}" for n, _ in enumerate(given.notify.targets or (), start=1)]
        told += [f"webhook-{n}" for n, _ in enumerate(given.notify.webhooks or (), start=1)]
        to = () if given.notify.escalate is None else given.notify.escalate.to
        told += [f"escalate-{n}" for n, _ in enumerate(to, start=1)]
    for name, mode in (given.modes or {}).items():
        for camera in mode.cameras or ():
            if camera not in given.cameras:
                path: KeyPath = ("modes", name, "cameras", camera)
                text = unknown(camera, list(given.cameras), "not a camera of this file")
                yield Problem(document.line(path), key_of(path), text)
        for recipient in mode.recipients or ():
            if recipient not in told:
                path = ("modes", name, "recipients")
                text = unknown(recipient, told or ["(none are configured)"], "not a recipient of this file")
                yield Problem(document.line(path), key_of(path), f"{recipient}: {text}")


def _of_people(given: SiteFile, document: Document) -> Iterator[Problem]:
    people = (given.http.people if given.http else None) or {}
    for name, person in people.items():
        for camera in person.cameras or ():
            if camera not in given.cameras:
                path: KeyPath = ("http", "people", name, "cameras")
                text = unknown(camera, list(given.cameras), "not a camera of this file")
                yield Problem(document.line(path), key_of(path), f"{camera}: {text}")


def _open_to_others(given: SiteFile, document: Document) -> Iterator[Problem]:
    http = given.http
    if http is None or http.address is None or http.address == "off" or http.token_file or http.people:
        return
    if not is_loopback(http.address.rpartition(":")[0].strip("[]")):
        text = f"{http.address}: addresses other than loopback require `token_file` or `people`"
        yield Problem(document.line(("http", "address")), "http.address", text)


def _of_camera(name: str, own: CameraModel, defaults: CameraDefaults | None, document: Document) -> Iterator[Problem]:
    alarm = inherited(own, defaults).alarm
    if alarm is None or alarm.threshold_off is None:
        return
    in_camera = own.alarm is not None and own.alarm.threshold_off is not None
    path: KeyPath = ("cameras", name, "alarm", "threshold_off") if in_camera else ("defaults", "alarm", "threshold_off")
    if alarm.threshold_on is None:
        yield Problem(document.line(path), key_of(path), f"{alarm.threshold_off:g}: requires `threshold_on`")
    elif alarm.threshold_off > alarm.threshold_on:
        whose = "" if in_camera else f" of {name}"
        text = f"{alarm.threshold_off:g}: must be at most `threshold_on`{whose}, {alarm.threshold_on:g}"
        yield Problem(document.line(path), key_of(path), text)
