"""What is peculiar about a camera, logged once."""

from __future__ import annotations

from typing import Final

from stream.base.log import log
from stream.camera.timeline import Timeline

_NO_DIGITS: Final = str.maketrans("", "", "0123456789")


class Remarks:
    """Of one camera."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._made: set[str] = set()

    def once(self, what: str) -> None:
        """Log `what`, unless it was logged before; the figures in it may vary."""
        if (gist := what.translate(_NO_DIGITS)) not in self._made:
            self._made.add(gist)
            log.warning(what, camera=self._camera)

    def on_timeline(self, timeline: Timeline) -> None:
        """Whether the camera's timestamps are used, corrected or ignored."""
        if timeline.by_arrival:
            self.once("timestamps of the camera are unusable: using arrival times")
        elif timeline.corrected:
            self.once("some timestamps of the camera are wrong: correcting them")
