"""Ten heads, each trained without a tenth of the sources: every recording is scored by one that never saw its source.

Kept in the cache: training one takes about half a minute.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.progress import track

from mgfn.checkpoint import load_head, save_head
from mgfn.extended import Extended
from recipes.field.recordings import groups
from recipes.field_head import train
from recipes.field_head.data import Clips, Recording


def source_groups(recordings: Iterable[Recording]) -> list[frozenset[str]]:
    """Sources that are left out together; recordings with incidents count three times."""
    weights: Counter[str] = Counter()
    for recording in recordings:
        weights[recording.source] += 1 if recording.kind == "ordinary" else 3
    return groups(weights)


def fold_heads(clips: Clips, left_out: Iterable[frozenset[str]], cache: Path) -> list[Extended]:
    """A head for each group of sources, trained without it."""
    cache.mkdir(parents=True, exist_ok=True)
    heads = []
    for sources in track(list(left_out), description="fold heads"):
        path = cache / f"{_fingerprint(clips, sources)}.safetensors"
        if not path.exists():
            save_head(path, train.train(clips, sources), train.metadata(sources))
        head, _ = load_head(path)
        assert isinstance(head, Extended), "the recipe makes no other"
        heads.append(head)
    return heads


def _fingerprint(clips: Clips, left_out: frozenset[str]) -> str:
    """Of what a fold head depends on."""
    digest = hashlib.sha256(repr((train.RECIPE, sorted(left_out), len(clips.label))).encode())
    digest.update(clips.roots[:: max(1, len(clips.roots) // 500)].tobytes())
    digest.update(clips.label.tobytes())
    return digest.hexdigest()[:16]
