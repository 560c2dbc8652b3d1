"""What the still gate (`skip_still`) saves, and what it changes: on every recording of ../shared/data.

    python -m recipes.field.still

Scores of the default head are compared on all recordings with clips that are skipped, and alarms of the benchmark
(heads without the recording's source, at both points) on those of them that are judged. Features are those of the live
path. The first run decodes all recordings (minutes). Writes docs/benchmarks/still.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from rich.progress import track

from configs.atomic import replacing, write_file
from engine.arrays import FloatArray
from engine.default_bundle import default_head
from engine.engine import Engine
from engine.focus import small_clip
from mgfn.checkpoint import load_head
from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended
from recipes.field.__main__ import ALARM, fold_heads_of
from recipes.field.bench import POINTS, Held, Outcome, at_budget, outcomes
from recipes.field.features import Footage, footage
from recipes.field.parts import all_together
from recipes.field.recordings import Recording, benchmark_recordings
from recipes.field.watch import score
from recipes.field_head import train
from recipes.field_head.data import Recording as LabelledRecording
from recipes.field_head.data import all_recordings
from recipes.field_head.features import overlapping
from stream.alarm.calibration_settings import CalibrationSettings
from stream.camera.still_gate import StillGate
from stream.settings.bundle import cached_bundle

PRIOR: Final = CalibrationSettings.from_mapping(train.CALIBRATION)
ROOT: Final = Path(__file__).resolve().parents[2]


def representatives(recording: LabelledRecording, cache: Path) -> NDArray[np.int64]:
    """For each clip of a recording, the clip whose feature it takes, (n,). Small frames are cached."""
    path = cache / "small" / f"{recording.name.replace('/', '__')}.npz"
    if not path.exists():
        clips = [(end, small_clip(frames)) for between, _, end, frames in overlapping(recording.path) if not between]
        with replacing(path) as partial:
            np.savez(partial, end=np.array([end for end, _ in clips]), small=np.array([small for _, small in clips]))
    gate = StillGate(enabled=True)
    with np.load(path) as file:
        pairs = zip(file["end"], file["small"], strict=True)
        likes = [gate.like(number, float(end), small) for number, (end, small) in enumerate(pairs)]
    return np.array([n if like is None else like for n, like in enumerate(likes)], np.int64)


def gated(footage: Footage, known: NDArray[np.int64]) -> Footage:
    return replace(footage, features=footage.features[known])


def main() -> None:
    torch.set_num_threads(2)
    cache = Path(platformdirs.user_cache_dir("mgfn-stream"))
    labelled = all_recordings(ROOT.parent / "shared" / "data")
    folder = cache / "field-head"
    known = {name: representatives(r, folder) for name, r in track(labelled.items(), description="movement")}
    changed = {name for name, rows in known.items() if (rows != np.arange(len(rows))).any()}
    recordings = {r.path: r for r in benchmark_recordings(labelled.values())}
    shown = {name: recordings.get(r.path) or _unjudged(r) for name, r in labelled.items() if name in changed}
    with Engine.open(cached_bundle("i3d", None), "auto", "cpu") as engine:
        found = footage(list(shown.values()), engine, cache / "field" / "features")
        backend = f"{engine.backend.name}, {engine.backend.precision}"
    seen = {name: found[recording.name] for name, recording in shown.items()}
    for name, recorded in seen.items():
        if len(recorded.start) != len(known[name]):
            raise SystemExit(f"{name}: {len(known[name])} clips were looked at, {len(recorded.start)} are in the cache")
    head, _ = load_head(default_head())
    assert isinstance(head, Extended)
    changes = {name: score_changes(head, seen[name].features, known[name]) for name in changed}
    lines = score_lines(labelled, known, changes, backend)

    judged_ones = {name: recording for name, recording in shown.items() if recording.judged}
    before = {recording.name: seen[name] for name, recording in judged_ones.items()}
    after = {recording.name: gated(seen[name], known[name]) for name, recording in judged_ones.items()}
    heads = fold_heads_of(cache, labelled)
    of_them = list(judged_ones.values())
    lines += alarm_lines(judged(of_them, before, heads), judged(of_them, after, heads))
    write_file(ROOT / "docs" / "benchmarks" / "still.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def _unjudged(recording: LabelledRecording) -> Recording:
    return Recording(recording.name.replace("/", "-"), recording.path, recording.source, None, judged=False)


def judged(
    recordings: Sequence[Recording], footages: Mapping[str, Footage], heads: Sequence[tuple[frozenset[str], Extended]]
) -> dict[tuple[str, float], list[Outcome]]:
    """What is found at each point, with the prior that ships."""
    held = []
    for sources, head in heads:
        own = [r for r in recordings if r.source in sources]
        held.append(Held(PRIOR, {r.name: score(r, footages[r.name], head).scores(all_together) for r in own}))
    by_name = {recording.name: recording for recording in recordings}
    return {
        (camera, budget): outcomes(by_name, footages, held, at_budget(ALARM, budget), settled=camera == "settled")
        for budget in (240.0, *POINTS)
        for camera in ("settled", "new")
    }


def score_changes(head: Extended, features: FloatArray, known: NDArray[np.int64]) -> FloatArray:
    """By how much the head's score of each clip changes, (n,)."""
    return np.abs(newest_scores(head, features[known]) - newest_scores(head, features))


def score_lines(
    labelled: Mapping[str, LabelledRecording],
    known: Mapping[str, NDArray[np.int64]],
    changes: Mapping[str, FloatArray],
    backend: str,
) -> list[str]:
    reused = {name: int((rows != np.arange(len(rows))).sum()) for name, rows in known.items()}
    clips = sum(map(len, known.values()))
    every = np.concatenate(list(changes.values()))
    lines = [
        "# The still gate", "",
        "`skip_still`: a clip in which nothing moves takes the last feature instead of running the backbone.",
        "Written by `python -m recipes.field.still`: all recordings of `../shared/data`, features of the live path",
        f"({backend}), the default head. The constants of the rule were chosen on these recordings: about 30 settings",
        "were compared.",
        "",
        f"Of {clips} clips in {len(known)} recordings, {sum(reused.values())} ({sum(reused.values()) / clips:.1%}) "
        f"are skipped. In the {sum(map(bool, reused.values()))} recordings with such clips, a score of the head "
        f"changes by {every.max():.4f} at most ({np.quantile(every, 0.99):.4f} at the 99th percentile); the scores of "
        f"all others do not change. The recordings are busy: few show an empty yard at night.", "",
        "| recording | kind | clips | skipped | largest change of a score |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, count in sorted(reused.items(), key=lambda item: -item[1]):
        if count:
            change = changes[name].max()
            lines.append(f"| {name} | {labelled[name].kind} | {len(known[name])} | {count} | {change:.4f} |")
    return lines


def alarm_lines(
    before: Mapping[tuple[str, float], list[Outcome]], after: Mapping[tuple[str, float], list[Outcome]]
) -> list[str]:
    count = len(next(iter(before.values())))
    lines = [
        "",
        f"Alarms on the {count} judged recordings with skipped clips, without and with the gate; on all others nothing",
        "changes. Heads without the recording's source, the prior that ships, cameras that have learned from a calm",
        "part (settled) or from nothing (new):",
        "",
        "| camera, false alarms a day | incidents found | false alarms | recordings whose alarms changed "
        "| a final score moves by at most |",
        "|---|---|---|---|---|",
    ]
    for point, old in before.items():
        new = after[point]
        pairs = list(zip(old, new, strict=True))
        moved = [a.recording.name for a, b in pairs if _rang(a) != _rang(b)]
        largest = max(float(np.abs(_scores(a) - _scores(b)).max(initial=0.0)) for a, b in pairs)
        lines.append(
            f"| {point[0]}, {point[1]:g} | {_found(old)}, {_found(new)} | {_false(old)}, {_false(new)} "
            f"| {', '.join(moved) or 'none'} | {largest:.4f} |"
        )
    return lines


def _scores(outcome: Outcome) -> NDArray[np.float64]:
    """The final scores, (n,)."""
    return np.asarray(1 / (1 + np.exp((PRIOR.score_middle - outcome.watched.z) / PRIOR.score_width)))


def _rang(outcome: Outcome) -> list[float]:
    return [round(alarm.rang, 2) for alarm in outcome.watched.alarms]


def _found(found: Sequence[Outcome]) -> int:
    return sum(o.verdict.found for o in found)


def _false(found: Sequence[Outcome]) -> int:
    return sum(o.verdict.false for o in found)


if __name__ == "__main__":
    main()
