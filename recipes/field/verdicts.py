"""What verdicts teach: given on the first part of a recording, judged on the rest.

- Does a false alarm ring again? Every alarm in the first half of an ordinary recording is marked as false. Alarms in
  the second half are counted with and without these verdicts.
- Does a verdict hide an incident? Every alarm before an incident is marked as false. Then the recording is shown again.
  Incidents found are counted with and without these verdicts. A harder form also marks the clip before the incident
  with the highest score, although it did not ring.
- Does `true` help? Every alarm in the first half of an incident is marked as true. The second half is shown as a new
  connection. Second halves in which an alarm begins are counted with and without these verdicts.

There are few alarms at 24 a day, so the budgets are higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recipes.field.bench import Held, at_budget
from recipes.field.features import Footage
from recipes.field.judge import Alarm, judge
from recipes.field.recordings import Recording
from recipes.field.watch import Part, new_camera, show
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.requests import JudgedEvent, Verdict
from stream.alarm.rule import AlarmSettings
from stream.watch.watched_camera import WatchedCamera

BUDGETS: Final = (240.0, 768.0)  # false alarms a day


def verdict_effects(
    recordings: Mapping[str, Recording], footages: Mapping[str, Footage], held: Sequence[Held], alarm: AlarmSettings
) -> list[dict[str, Any]]:
    """One row per budget, as plain JSON."""
    return [_effects(recordings, footages, held, at_budget(alarm, budget)) for budget in BUDGETS]


def _effects(
    recordings: Mapping[str, Recording], footages: Mapping[str, Footage], held: Sequence[Held], alarm: AlarmSettings
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "budget": alarm.false_alarms_per_day,
        "ordinary": {"judged": 0, "without": 0, "with": 0},
        "incidents": {"of": 0, "judged": 0, "without": 0, "with": 0},
        "incidents_loudest": {"of": 0, "judged": 0, "without": 0, "with": 0},
        "true": {"of": 0, "judged": 0, "without": 0, "with": 0},
    }
    for group in held:
        for name, scores in group.scores.items():
            footage, recording = footages[name], recordings[name]
            asked = _Question(footage, group.settings, alarm)
            everything: Part = (slice(0, len(scores.whole)), scores.whole)
            if recording.incident is None:
                first, second = scores.halves
                verdicts, without, told = asked.halves(first, second, "false_alarm")
                _add(row["ordinary"], judged=verdicts, without=len(without), **{"with": len(told)})
                continue
            incident = recording.incident
            if len(footage.end) and footage.end[0] <= incident.start - 1:
                for question, loudest in (("incidents", False), ("incidents_loudest", True)):
                    verdicts, without, told = asked.again(everything, incident.start, loudest=loudest)
                    hits = [judge(alarms, incident, 0.0, footage.length).found for alarms in (without, told)]
                    _add(row[question], of=1, judged=verdicts, without=hits[0], **{"with": hits[1]})
            middle = (incident.start + incident.end) / 2
            within = [i for i, end in enumerate(footage.end) if end <= middle]
            later = [i for i, start in enumerate(footage.start) if middle <= start <= incident.end]
            if within and later:
                cut, last = within[-1] + 1, later[-1] + 1
                first = slice(0, cut), scores.whole[:cut]
                second = slice(later[0], last), scores.whole[later[0] : last]
                verdicts, without, told = asked.halves(first, second, "true", since=incident.start - 1)
                _add(row["true"], of=1, judged=verdicts, without=bool(without), **{"with": bool(told)})
    return row


def _add(counts: dict[str, int], **more: int) -> None:
    for key, value in more.items():
        counts[key] += int(value)


class _Question:
    """Cameras that show one recording, with verdicts and without."""

    def __init__(self, footage: Footage, settings: CalibrationSettings, alarm: AlarmSettings) -> None:
        self._footage, self._settings, self._alarm = footage, settings, alarm

    def halves(
        self, first: Part, second: Part, verdict: Verdict, since: float = 0.0
    ) -> tuple[int, list[Alarm], list[Alarm]]:
        """The number of verdicts given on alarms of the first half, and the alarms of the second without and with."""
        if not len(first[1]) or not len(second[1]):
            return 0, [], []
        plain, taught = (new_camera(self._settings, self._alarm) for _ in range(2))
        show(plain, self._footage, *first, 0, 0.0)
        alarms = [alarm for alarm in show(taught, self._footage, *first, 0, 0.0)[0] if alarm.start >= since]
        given = sum(_judge(taught, alarm.event, alarm.start, verdict) for alarm in alarms)
        without, told = (show(camera, self._footage, *second, 1, 0.0)[0] for camera in (plain, taught))
        return given, without, told

    def again(self, part: Part, start: float, *, loudest: bool) -> tuple[int, list[Alarm], list[Alarm]]:
        """Every alarm before `start`, and the clip there with the highest score if `loudest`, is marked as false. Then
        the recording is shown again.
        """
        plain, taught = (new_camera(self._settings, self._alarm) for _ in range(2))
        show(plain, self._footage, *part, 0, 0.0)
        alarms, scores = show(taught, self._footage, *part, 0, 0.0)
        false = [alarm.event for alarm in alarms if alarm.start < start - 1]
        if loudest:
            before = [index for index, end in enumerate(self._footage.end) if end <= start - 1]
            clip = max(before, key=scores.__getitem__)
            taught.learner.alarm_began("loudest", self._footage.features[clip], float(self._footage.start[clip]))
            false.append("loudest")
        given = sum(_judge(taught, event, 0.0, "false_alarm") for event in false)
        shift = self._footage.length
        moved = []
        for camera in (plain, taught):
            again, _ = show(camera, self._footage, *part, 1, shift)
            moved.append([Alarm(a.start - shift, a.rang - shift, a.end - shift, a.event) for a in again])
        return given, moved[0], moved[1]


def _judge(camera: WatchedCamera, event: str, start: float, verdict: Verdict) -> bool:
    return camera.learner.judged(JudgedEvent("recording", event, verdict, start, 1.0, "", start, None))
