"""Decides whether an alarm is in the staged incident. Pure: times are passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream.service.staged_footage import INCIDENT, LENGTH, recording_began

TOLERANCE = 3.0


@dataclass(frozen=True)
class Playback:
    """The recording as one connection saw it: it began at epoch time `began` and repeats every `length` seconds."""

    began: float
    length: float
    incident: tuple[float, float]

    def in_incident(self, start: float) -> bool:
        """Whether an alarm that started at epoch time `start` is within three seconds of the staged incident."""
        if start < self.began:
            return False
        seconds = (start - self.began) % self.length
        return self.incident[0] - TOLERANCE <= seconds <= self.incident[1] + TOLERANCE


def playbacks(scores: list[dict[str, Any]]) -> list[Playback]:
    """One playback for each connection, from the score lines of the demo's camera in order."""
    firsts = [line for line in scores if line["window"] == 1]
    return [Playback(recording_began(line["start"], line["clip"]), LENGTH, INCIDENT) for line in firsts]


def judge(starts: list[float], playbacks: list[Playback]) -> tuple[int, int]:
    """The number of start times inside an incident, and the number outside.

    An alarm belongs to the latest playback that had begun by then.
    """
    inside = 0
    for start in starts:
        current = [playback for playback in playbacks if playback.began <= start + TOLERANCE]
        inside += bool(current) and current[-1].in_incident(start)
    return inside, len(starts) - inside
