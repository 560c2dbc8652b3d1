"""A smaller backbone: I3D on smaller images, tuned to give the features of the full size (docs/performance.md).

    python -m recipes.student [--side 128] [--minutes 40]

I3D at 128 x 128 costs a third of I3D at 224 x 224. Its blocks from Mixed_4b on are tuned, without labels, on the clips
of two thirds of the sources, so that its features come close to those of the full size. Ridge regressions for violence
and for all kinds, trained on the same clips, are then judged on the other third. Needs the cached view `focus` of
`make field`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from engine.focus import cropped, region_of
from engine.geometry import SIDE, scaled
from mgfn.backbones import BACKBONES
from recipes.field.recordings import groups
from recipes.field_head.data import KINDS, Clips, Recording, all_recordings, load_clips
from recipes.field_head.features import LAYERS, extract, overlapping
from recipes.field_head.train import ridge, weights

TUNED_FROM: Final = "Mixed_4b"
BATCH: Final = 16
LEARNING_RATE: Final = 2e-4
HELD_OUT: Final = 3  # one group of sources in three
COMPONENTS: Final = 768
FloatArray = NDArray[np.float32]


class Halves:
    """I3D in two parts: `fixed` up to the block before TUNED_FROM, and `tuned` from there on."""

    def __init__(self) -> None:
        network = BACKBONES["i3d"].load(None).eval()
        blocks = [(name, block) for name, block in network.named_children() if name != "Logits"]
        border = [name for name, _ in blocks].index(TUNED_FROM)
        self.fixed = nn.Sequential(*(block for _, block in blocks[:border]))
        self.tuned = nn.ModuleDict(dict(blocks[border:]))

    def maps(self, clips: NDArray[np.uint8]) -> Tensor:
        """Clips (N, 16, side, side, 3) -> the input of the tuned part, float16."""
        with torch.no_grad():
            images = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() * (2.0 / 255.0) - 1.0
            found: Tensor = self.fixed(images)
            return found.half()

    def roots(self, maps: Tensor) -> Tensor:
        """Maps as above -> roots of features (N, 2688), as the head reads them."""
        x, found = maps.float(), []
        for name, block in self.tuned.items():
            x = block(x)
            if name in LAYERS:
                found.append(x.mean(dim=(2, 3, 4)))
        return (torch.cat(found, 1) + 1e-6).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")))
    parser.add_argument("--minutes", type=float, default=40, help="of training")
    parser.add_argument("--side", type=int, default=128, help="of the image, in pixels")
    given = parser.parse_args()
    torch.manual_seed(0)
    labelled = all_recordings(given.data)
    extract(list(labelled.values()), given.cache / "field-head", ("focus",))
    clips = load_clips(given.cache / "field-head", labelled, ("focus",))
    student = Halves()
    names = list(dict.fromkeys(clips.recording.tolist()))
    maps = torch.cat([_maps(student, labelled[name], given.side) for name in track(names)])
    if len(maps) != len(clips.roots):
        raise SystemExit(f"{len(maps)} clips were cut, but {len(clips.roots)} are in the cache: delete it")
    held = np.isin(clips.source, list(groups(Counter(r.source for r in labelled.values()), HELD_OUT)[0]))
    mean, deviation = clips.roots[~held].mean(0), clips.roots[~held].std(0) + 1e-3
    wanted = (clips.roots - mean) / deviation
    shown = {"full size": wanted, "smaller": (_features(student, maps) - mean) / deviation}
    standard = torch.from_numpy(mean), torch.from_numpy(deviation)
    epochs = _tune(student, maps[~held], wanted[~held], standard, given.minutes)
    shown["smaller, tuned"] = (_features(student, maps) - mean) / deviation
    result = {
        "side": given.side, "clips": int((~held).sum()), "held_out_clips": int(held.sum()), "epochs": round(epochs, 1),
        "share_of_cost": round(_operations(given.side) / _operations(SIDE), 3),
        "cosine": {name: round(float(_cosine(x[held], wanted[held]).mean()), 3) for name, x in shown.items()},
        "auc": {name: _judged(x, clips, held) for name, x in shown.items()},
    }  # fmt: skip
    print(json.dumps(result, indent=1))


def _maps(student: Halves, recording: Recording, side: int) -> Tensor:
    """Those of the clips of view `focus` of a recording."""
    found = []
    for between, _, _, pictures in overlapping(recording.path):
        if not between:
            region = region_of(pictures)
            clip = np.stack([scaled(cropped(picture, region), side, side) for picture in pictures])
            found.append(student.maps(clip[None]))
    return torch.cat(found) if found else torch.empty(0)


def _tune(student: Halves, maps: Tensor, wanted: FloatArray, standard: tuple[Tensor, Tensor], minutes: float) -> float:
    """Tune for so many minutes; return the number of epochs. The learning rate falls with the time that has passed."""
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(student.tuned.parameters(), LEARNING_RATE, weight_decay=1e-3)
    goals, began, taken = torch.from_numpy(wanted), time.monotonic(), 0
    while (passed := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, taken / (50 * BATCH)) * (0.5 * (1 + np.cos(np.pi * passed)) + 0.01)
        chosen = torch.from_numpy(rng.choice(len(maps), BATCH, replace=False))
        shown, goal = (student.roots(maps[chosen]) - standard[0]) / standard[1], goals[chosen]
        loss = functional.smooth_l1_loss(shown, goal) + (1 - functional.cosine_similarity(shown, goal)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        taken += BATCH
    return taken / len(maps)


def _features(student: Halves, maps: Tensor) -> FloatArray:
    with torch.no_grad():
        return np.concatenate([student.roots(maps[i : i + 32]).numpy() for i in range(0, len(maps), 32)])


def _cosine(a: FloatArray, b: FloatArray) -> FloatArray:
    found: FloatArray = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-9)
    return found


def _judged(features: FloatArray, clips: Clips, held: NDArray[np.bool_]) -> dict[str, float]:
    """AUC of incidents against ordinary clips of the sources held out, by a regression on the other ones."""
    found = {}
    for name, kinds in (("violent", (1,)), ("all", tuple(sorted(set(KINDS.values()))))):
        used = np.isin(clips.label, (0, *kinds))
        train, judged = used & ~held, used & held
        _, vectors = np.linalg.eigh(features[train].T.astype(np.float64) @ features[train] / train.sum())
        reduced = features.astype(np.float64) @ vectors[:, ::-1][:, :COMPONENTS]
        truth = np.isin(clips.label, kinds).astype(np.float64)
        slopes, _ = ridge(reduced[train], truth[train], weights(clips.label[train], clips.source[train], kinds))
        found[name] = round(float(roc_auc_score(truth[judged], reduced[judged] @ slopes)), 3)
    return found


def _operations(side: int) -> int:
    network = Halves()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.roots(network.maps(np.zeros((1, 16, side, side, 3), np.uint8)))
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
