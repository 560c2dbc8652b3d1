"""Drawings of operators: they take precedence over region, masks and zones of the site file, and survive a restart."""

from __future__ import annotations

import json
from dataclasses import replace

from stream.alarm.drawing import Drawing, drawing_of
from stream.archive.journal import Journal
from stream.base.log import log
from stream.camera.view import Region, View
from stream.settings.settings import CameraConfig
from stream.watch.camera_memory import Kept


class Drawings:
    """Used by the loop; `drawn` by other threads, too."""

    def __init__(self, journal: Journal, kept: Kept) -> None:
        self._journal = journal
        self._kept: dict[str, Drawing] = {}
        for camera, settings in kept.items():
            if "view" not in settings:
                continue
            try:
                self._kept[camera] = drawing_of(json.loads(settings["view"]))
            except ValueError as error:  # of a later version
                log.warning("stored drawing cannot be used", camera=camera, reason=str(error))

    def set(self, camera: str, drawing: Drawing | None) -> bool:
        """Keep the drawing; None removes it. Returns whether it is another one."""
        changed = self._kept.get(camera) != drawing
        if drawing is None:
            self._kept.pop(camera, None)
        else:
            self._kept[camera] = drawing
        self._journal.setting(camera, "view", None if drawing is None else json.dumps(drawing.as_json()))
        return changed

    def drawn(self, camera: str) -> bool:
        """Whether a drawing is in force."""
        return camera in self._kept

    def applied(self, config: CameraConfig) -> CameraConfig:
        """The configuration with the view that was drawn, if there is one."""
        drawing = self._kept.get(config.name)
        return config if drawing is None else replace(config, view=view_of(drawing))


def view_of(drawing: Drawing) -> View:
    """As the decoder takes it."""
    region = None if drawing.region is None else Region(*drawing.region)
    return View(region, drawing.masks, drawing.only_here)


def drawing_in_force(view: View) -> Drawing:
    """The view as a drawing."""
    region = None if view.region is None else (view.region.x, view.region.y, view.region.width, view.region.height)
    return Drawing(region, view.masks, view.only_here)
