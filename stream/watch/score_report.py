"""Passes scores from the loop to the broker, the page and the score file, and in chunks to the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Literal

from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.archive.score_log import LoggedScore, ScoreBook
from stream.sinks.mqtt import MqttSink
from stream.sinks.score_file import ScoresFile
from stream.watch.metrics import Metrics
from stream.watch.watched_camera import Scored, WatchedCamera

TellPages = Callable[[Literal["score", "event"], Mapping[str, Any]], None]


class ScoreReport:
    """Used only by the loop. `lines` is the file of `--scores`; `keeps` is False in a replay."""

    def __init__(
        self,
        journal: Journal,
        mqtt: MqttSink | None,
        lines: ScoresFile | None,
        metrics: Metrics,
        tell_pages: TellPages,
        clock: Clock,
        *,
        keeps: bool,
    ) -> None:
        self._journal = journal
        self._mqtt = mqtt
        self._lines = lines
        self._metrics = metrics
        self._tell_pages = tell_pages
        self._keeps = keeps
        self._clock = clock
        self._books: defaultdict[str, ScoreBook] = defaultdict(ScoreBook)

    def say(self, camera: WatchedCamera, scored: Scored) -> None:
        """Report the score of one clip."""
        threshold, clip, name = camera.alarm.rule.settings.threshold_on, scored.clip, camera.name
        start, end = self._clock.wall(clip.start), self._clock.wall(clip.end)
        if self._mqtt is not None:
            self._mqtt.score(name, scored.score, threshold, end, scored.window, camera.fence)
        told = {"camera": name, "score": round(scored.score, 4), "threshold": threshold, "time": end}
        seen = camera.seen(clip.focus)
        self._tell_pages("score", told | {"focus": None if seen is None else [round(side, 3) for side in seen]})
        if self._lines is not None:
            self._lines.write(name, clip.clip, start, end, scored.score, scored.raw, threshold, scored.window)
        if self._keeps:
            logged = LoggedScore(start, end, scored.score, scored.window, scored.connects)
            if (chunk := self._books[name].add(logged)) is not None:
                self._journal.scores(name, chunk)
        self._metrics.scored(name, scored.score)

    def flush(self, camera: str) -> None:
        """Scores of the camera that are not in a full chunk yet."""
        if camera in self._books and (chunk := self._books.pop(camera).flush()) is not None:
            self._journal.scores(camera, chunk)

    def flush_all(self) -> None:
        for camera in list(self._books):
            self.flush(camera)
