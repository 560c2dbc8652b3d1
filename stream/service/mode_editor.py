"""Which cameras each mode of the site file watches, as it is shown and changed on the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap

from stream.alarm.modes import CameraMode, Mode
from stream.alarm.rule import AlarmSettings
from stream.base.errors import UsageError
from stream.base.log import log
from stream.settings.settings import CameraConfig
from stream.settings.site import editing
from stream.settings.site.reading import Site, checked, read_bytes, read_site

Watched = Mapping[str, Mapping[str, bool]]  # mode -> camera -> whether the mode watches it
# For a site without modes; Home Assistant's alarm panel knows them. The first one, which watches everything, is in
# force until another is chosen.
PROPOSED: Final = ("away", "home", "night", "off")
_OFF: Final = Mode(every=CameraMode(enabled=False))
_NO_ALARM: Final = AlarmSettings(1.0, 1.0)  # nothing here depends on thresholds


class ModeEditor:
    """Used by the threads of the web server, one call at a time. `site_file` None: there is none."""

    def __init__(self, site_file: Path | None) -> None:
        self._path = site_file

    def shown(self) -> dict[str, Any]:
        """`modes` as `Watched`, whether they are only `proposed`, and `why` they cannot be changed. Raises
        SiteError.
        """
        if self._path is None:
            return {"modes": {}, "proposed": False, "why": "there is no site file; start mgfn-stream with --config"}
        site = read_site(self._path)
        return {"modes": _watched(site), "proposed": not site.given.modes, "why": ""}

    def save(self, watched: Watched) -> dict[str, Any]:
        """Write it into the site file, which the service then reads again. If the file cannot be written: `why`, and
        the `yaml` to paste. Raises UsageError.
        """
        if self._path is None:
            raise UsageError("there is no site file")
        with editing.WRITING:
            return self._saved(self._path, watched)

    def _saved(self, path: Path, watched: Watched) -> dict[str, Any]:
        content = read_bytes(path)
        site = checked(path, content)
        allowed = {name: set(cameras) for name, cameras in _watched(site).items()}
        if allowed != {name: set(cameras) for name, cameras in watched.items()}:
            modes, cameras = ", ".join(allowed), ", ".join(site.given.cameras)
            raise UsageError(f"modes: must be {modes}, each with the cameras {cameras or '(none)'}")

        def change(data: CommentedMap) -> None:
            _write(path, data, site, watched)

        text = editing.edited(path, content, {}, change)
        if _watched(checked(path, text.encode())) != watched:
            raise UsageError(f"{path}: its modes cannot be changed one by one, as with anchors; edit the file")
        try:
            editing.replace_file(path, text)
        except OSError as error:
            data = CommentedMap()
            _write(path, data, site, watched)
            return {"why": f"{path} cannot be written: {error.strerror}", "yaml": editing.as_yaml(data)}
        log.info("modes of the site file changed on the page", modes=list(watched))
        return {"why": "", "yaml": ""}


def _watched(site: Site) -> dict[str, dict[str, bool]]:
    cameras = site.cameras(_NO_ALARM)
    modes = site.modes()
    if modes:
        return {name: {c.name: _in_mode(mode, c) for c in cameras} for name, mode in modes.items()}
    return {name: {camera.name: camera.enabled and name != "off" for camera in cameras} for name in PROPOSED}


def _in_mode(mode: Mode, camera: CameraConfig) -> bool:
    enabled = mode.of(camera.name).enabled
    return camera.enabled if enabled is None else enabled


def _write(path: Path, data: CommentedMap, site: Site, watched: Watched) -> None:
    modes = editing.block(path, data, "modes")
    known = site.modes()
    for name, wanted in watched.items():
        none = name == PROPOSED[-1] and not any(wanted.values())  # nor a camera that is added later
        if name not in known:
            modes[name] = CommentedMap(every=CommentedMap(enabled=False)) if none else CommentedMap()
        mode = known.get(name) or (_OFF if none else Mode())
        for camera in site.cameras(_NO_ALARM):
            if wanted[camera.name] != _in_mode(mode, camera):
                block = editing.block(path, modes, name)
                if block and "cameras" not in block:  # at its end it would stand below a comment on what follows
                    block.insert(0, "cameras", CommentedMap())
                own = editing.block(path, editing.block(path, block, "cameras"), camera.name)
                own["enabled"] = wanted[camera.name]  # never removed: a key takes the comments below it along
