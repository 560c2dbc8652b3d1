"""What a camera keeps over a restart: its usual scene, what it has learned, and the alarm rule for later queries.

A replay and the camera of the self-test keep nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from stream.archive.journal import Journal
from stream.archive.score_epoch import ScoreEpoch, next_epoch
from stream.base.foreign_json import foreign_json
from stream.base.log import log
from stream.base.ownership import Settings
from stream.watch.watched_camera import WatchedCamera

LEARNT_KEPT_EVERY: Final = 600.0  # seconds

Kept = Mapping[str, Mapping[str, str]]  # camera -> setting -> value, as the store gives them


def learnt_with(kept: Mapping[str, str], bundle: str) -> str | None:
    """What a camera has learned with that bundle (SHA-256), live or as a canary, as JSON."""
    for name in ("learnt", "canary"):
        sha256, _, text = kept.get(name, "").partition(" ")
        if sha256 == bundle:
            return text
    return None


class CameraMemory:
    """`recalls_learnt` is False if a calibration was given, which takes precedence over what an earlier run learned."""

    def __init__(self, journal: Journal, kept: Kept, *, keeps: bool, recalls_learnt: bool) -> None:
        self._journal = journal
        self._kept = dict(kept)
        self._keeps = keeps
        self._recalls_learnt = recalls_learnt
        self._learnt_kept: dict[str, float] = {}  # camera -> end of the clip after which it was last written

    def begin_epoch(self, camera: WatchedCamera, now: float) -> None:
        """Separate the camera's scores from those of another bundle; `now` in epoch seconds."""
        kept = self._kept.get(camera.name, {})
        epoch = next_epoch(kept, camera.model.sha256, camera.learner.scale, now)
        if not self._keeps or epoch == ScoreEpoch.kept(kept):
            return
        self._journal.setting(camera.name, "epoch", epoch.as_text())
        if epoch.since:
            log.info(
                "stored scores are from another bundle: what-if and suggestions use only new ones", camera=camera.name
            )

    def recall(self, camera: WatchedCamera) -> None:
        """Restore what an earlier run stored, unless it used another bundle."""
        self._recall_learnt(camera)
        model, _, scene = self._kept.get(camera.name, {}).get("scene", "").partition(" ")
        if model == camera.model.sha256:
            camera.scene.recall(scene)

    def _recall_learnt(self, camera: WatchedCamera) -> None:
        text = learnt_with(self._kept.get(camera.name, {}), camera.model.sha256)
        if text is None or not camera.learner.learns or not self._recalls_learnt:
            return
        try:
            camera.learner.recall(foreign_json(text))
        except ValueError as error:  # a damaged file loses what was learned, not the camera
            log.warning("stored calibration cannot be used", camera=camera.name, reason=str(error))

    def kept(self, camera: WatchedCamera) -> dict[str, str]:
        """What the camera has learned and usually sees, as it is stored."""
        scene, learnt = camera.scene.memory(), camera.learner.to_json()
        found = {} if scene is None else {"scene": f"{camera.model.sha256} {scene}"}
        return found if learnt is None else found | {"learnt": f"{camera.model.sha256} {json.dumps(learnt)}"}

    def adopt(self, camera: str, kept: Settings) -> None:
        """Take what another instance stored of the camera, instead of our own."""
        ours = {name: value for name, value in self._kept.get(camera, {}).items() if name not in ("learnt", "scene")}
        self._kept[camera] = ours | {name: kept[name] for name in ("learnt", "scene") if name in kept}

    def note_rule(self, camera: WatchedCamera) -> None:
        """Store the rule for what-if, which does not read flags, site file or bundle."""
        if self._keeps:
            self._journal.setting(camera.name, "alarm", json.dumps(asdict(camera.alarm.rule.settings)))
            self._journal.setting(camera.name, "schedule", camera.schedule.as_text())

    def keep_scene(self, camera: WatchedCamera) -> None:
        """Store what the camera usually sees."""
        scene = camera.scene.memory()
        if self._keeps and scene is not None and not camera.is_self_test:
            self._journal.setting(camera.name, "scene", f"{camera.model.sha256} {scene}")

    def keep_learnt(self, camera: WatchedCamera) -> None:
        """Store what the camera has learned."""
        kept = camera.learner.to_json()
        if self._keeps and kept is not None and not camera.is_self_test:
            self._journal.setting(camera.name, "learnt", f"{camera.model.sha256} {json.dumps(kept)}")

    def keep_learnt_now_and_then(self, camera: WatchedCamera, time_of_clip: float) -> None:
        if self._keeps and time_of_clip >= self._learnt_kept.get(camera.name, float("-inf")) + LEARNT_KEPT_EVERY:
            self.keep_learnt(camera)
            self._learnt_kept[camera.name] = time_of_clip
