"""What geometry `focus` adds: the same recipe on whole images, and on squares around what moves.

    python -m recipes.field.whole_picture

Both heads are trained on the clips of all recordings end to end, without the other views of `recipes.field_head`, and
judged without their sources, as in `make field`. Features are computed in float32. The first run computes those of
whole images (about half an hour on two cores). Prints one line of a table per geometry.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs

from recipes.field.__main__ import VARIANTS, Variant, part_of
from recipes.field.features import Footage
from recipes.field.folds import fold_heads, source_groups
from recipes.field.recordings import benchmark_recordings
from recipes.field.report import part_row
from recipes.field.watch import score
from recipes.field_head.data import all_recordings, load_clips
from recipes.field_head.features import extract

CHANNELS = 2688  # the rest of a cached row is not used by the head
COMPARED = (Variant("both"), *VARIANTS[:2])


def main() -> None:
    data = Path(__file__).resolve().parents[3] / "shared" / "data"
    cache = Path(platformdirs.user_cache_dir("mgfn-stream"))
    labelled = all_recordings(data)
    extract(list(labelled.values()), cache / "field-head", ("focus", "whole"))
    recordings = benchmark_recordings(labelled.values())
    groups = source_groups(labelled.values())
    for geometry in ("focus", "whole"):
        clips = load_clips(cache / "field-head", labelled, (geometry,))
        clips = replace(clips, view=np.full_like(clips.view, "focus"))  # the view that the recipe trains on
        heads = fold_heads(clips, groups, cache / "field" / "heads-by-geometry")
        of_name = {recording.path: name for name, recording in labelled.items()}
        seen = {r.name: _footage(cache / "field-head" / geometry, of_name[r.path]) for r in recordings}
        parted = {
            r.name: score(r, seen[r.name], head)
            for sources, head in zip(groups, heads, strict=True)
            for r in recordings
            if r.source in sources
        }
        for variant in COMPARED:
            row = part_of(variant, recordings, seen, groups, parted)
            print(part_row({**row, "name": f"{geometry} | {variant.name}"}), flush=True)


def _footage(folder: Path, name: str) -> Footage:
    with np.load(folder / f"{name.replace('/', '__')}.npz") as file:
        return Footage(file["start"], file["end"], file["features"][:, None, :CHANNELS])


if __name__ == "__main__":
    main()
