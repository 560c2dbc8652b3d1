"""Which kinds the head may claim: the kind of the loudest clip of each recording, by heads that never saw its source.

    python -m recipes.field.kinds

Uses the features and heads in the cache of `make field`. Of a recording with an incident, clips within the incident
count; of staged tampering, each staged change (three clips) counts. Prints a table: what is shown, and how often each
kind is named, or none because its share is below `stream.watch.scoring.CLEAR`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import torch

from mgfn.extended import Extended
from recipes.field.folds import fold_heads, source_groups
from recipes.field.parts import probe_logits
from recipes.field_head import train
from recipes.field_head.data import TAMPERING, Clips, all_recordings, load_clips
from stream.watch.scoring import CLEAR

_STAGED = 3  # clips of one staged change


def main() -> None:
    cache = Path(platformdirs.user_cache_dir("mgfn-stream"))
    labelled = all_recordings(Path(__file__).resolve().parents[3] / "shared" / "data")
    views = tuple(dict.fromkeys((*train.PROBE_VIEWS, *train.NETWORK_VIEWS)))
    clips, groups = load_clips(cache / "field-head", labelled, views), source_groups(labelled.values())
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for sources, head in zip(groups, fold_heads(clips, groups, cache / "field" / "heads"), strict=True):
        for name, recording in labelled.items():
            if recording.source in sources:
                for shown, kind in _kinds(clips, name, recording.kind, head):
                    named[shown][kind] += 1
    columns = (*train.KIND_NAMES, "unclear")
    print("| shown | " + " | ".join(columns) + " |")
    for shown, counts in sorted(named.items()):
        print(f"| {shown} | " + " | ".join(str(counts[column]) for column in columns) + " |")


@torch.inference_mode()
def _kinds(clips: Clips, name: str, shown: str, head: Extended) -> Iterator[tuple[str, str]]:
    own = np.flatnonzero((clips.recording == name) & (clips.view == "focus"))
    counted = (clips.label[own] > 0) | (shown == "ordinary")
    if counted.any():
        roots = torch.from_numpy(clips.roots[own] ** 2)[:, None]
        scores = [float(head(roots[None, max(0, last - 31) : last + 1]).scores[0, -1]) for last in range(len(own))]
        loudest = int(np.where(counted, scores, -1.0).argmax())
        yield shown, _named(probe_logits(head, clips.roots[own[loudest : loudest + 1], None] ** 2)[0])
    staged = np.flatnonzero((clips.recording == name) & (clips.view == "tamper") & (clips.label == TAMPERING))
    for first in range(0, len(staged), _STAGED):
        logits = probe_logits(head, clips.roots[staged[first : first + _STAGED], None] ** 2)
        yield "staged tampering", _named(logits[np.exp(logits).sum(axis=1).argmax()])


def _named(logits: np.ndarray) -> str:
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    return train.KIND_NAMES[int(shares.argmax())] if shares.max() >= CLEAR else "unclear"


if __name__ == "__main__":
    main()
