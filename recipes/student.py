"""A smaller backbone, trained to give I3D's features: how far two CPU cores carry it (docs/performance.md).

    python -m recipes.student [--minutes 40] [--frames 8] [--side 112]

The student is a 2-D residual network whose channels are shifted between frames (temporal shift, Lin et al. 2019), so
that a processor without 3-D convolutions can run it. It is trained without labels on the clips of two thirds of the
sources. Ridge regressions for violence, trained on the same clips, are then judged on the other third: one on I3D's
features, one on the student's. Needs the cached view `focus` of `make field`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

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
from engine.geometry import scaled
from mgfn.backbones import BACKBONES, show_layers
from recipes.field.recordings import groups
from recipes.field_head.data import Clips, Recording, all_recordings, load_clips
from recipes.field_head.features import LAYERS, extract, overlapping
from recipes.field_head.train import ridge, weights

WIDTHS: Final = (48, 96, 192, 384)
BATCH: Final = 24
SHIFTED: Final = 8  # one channel in eight comes from the frame before, and one from the frame after
HELD_OUT: Final = 3  # one group of sources in three


class _Block(nn.Module):
    """Two 3x3 convolutions; the first sees some channels of the neighbouring frames."""

    def __init__(self, before: int, after: int, stride: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        self.past = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """(N frames, before, H, W) -> (N frames, after, H/stride, W/stride)."""
        result: Tensor = functional.relu(self.second(self.first(_shifted(x, self.frames))) + self.past(x))
        return result


def _shifted(x: Tensor, frames: int) -> Tensor:
    clips = x.view(-1, frames, *x.shape[1:])
    part = x.shape[1] // SHIFTED
    later, earlier = torch.zeros_like(clips[:, :, :part]), torch.zeros_like(clips[:, :, :part])
    later[:, 1:] = clips[:, :-1, :part]
    earlier[:, :-1] = clips[:, 1:, part : 2 * part]
    return torch.cat([later, earlier, clips[:, :, 2 * part :]], dim=2).view_as(x)


class Student(nn.Module):
    """Clips uint8 (N, frames, side, side, 3) -> standardised roots of I3D's features (N, 2688)."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        stem = nn.Conv2d(3, WIDTHS[0], 5, 2, 2, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(), nn.MaxPool2d(2))
        sizes = [(WIDTHS[max(0, i - 1)], width, 1 if i == 0 else 2) for i, width in enumerate(WIDTHS)]
        self.blocks = nn.Sequential(*(_Block(*size, frames) for size in sizes))
        self.out = nn.Linear(2 * WIDTHS[-1], 2688)
        self.frames = frames

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        images = clips.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        means = self.blocks(self.stem(images)).mean(dim=(2, 3)).view(len(clips), self.frames, -1)
        features: Tensor = self.out(torch.cat([means.mean(1), means.amax(1)], 1))
        return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")))
    parser.add_argument("--minutes", type=float, default=40, help="of training")
    parser.add_argument("--frames", type=int, default=8, help="of a clip's 16")
    parser.add_argument("--side", type=int, default=112, help="of the image, in pixels")
    given = parser.parse_args()
    torch.manual_seed(0)
    labelled = all_recordings(given.data)
    extract(list(labelled.values()), given.cache / "field-head", ("focus",))
    clips = load_clips(given.cache / "field-head", labelled, ("focus",))
    images = np.concatenate([_images(labelled[name], given.frames, given.side) for name in track(_names(clips))])
    if len(images) != len(clips.roots):
        raise SystemExit(f"{len(images)} clips were cut, but {len(clips.roots)} are in the cache: delete it")
    held = np.isin(clips.source, list(groups(Counter(r.source for r in labelled.values()), HELD_OUT)[0]))
    mean, deviation = clips.roots[~held].mean(0), clips.roots[~held].std(0) + 1e-3
    wanted = ((clips.roots - mean) / deviation).astype(np.float32)
    student, epochs = _trained(images[~held], wanted[~held], given.minutes)
    shown = _features(student, images)
    result = {
        "clips": int((~held).sum()),
        "held_out_clips": int(held.sum()),
        "epochs": round(epochs, 1),
        "minutes": given.minutes,
        "cosine_held_out": round(float(_cosine(shown[held], wanted[held]).mean()), 3),
        "auc_i3d": _judged(wanted, clips, held),
        "auc_student": _judged(shown, clips, held),
        **_costs(student, given.frames, given.side),
    }
    print(json.dumps(result, indent=1))


def _names(clips: Clips) -> list[str]:
    return list(dict.fromkeys(clips.recording.tolist()))


def _images(recording: Recording, frames: int, side: int) -> NDArray[np.uint8]:
    """The clips of the view `focus`, smaller: (n, frames, side, side, 3)."""
    found = []
    for between, _, _, pictures in overlapping(recording.path):
        if not between:
            region = region_of(pictures)
            found.append([scaled(cropped(p, region), side, side) for p in pictures[:: len(pictures) // frames]])
    return np.array(found, np.uint8)


def _trained(images: NDArray[np.uint8], wanted: NDArray[np.float32], minutes: float) -> tuple[Student, float]:
    """The student and the number of epochs. The learning rate falls with the time that has passed."""
    student, rng = Student(images.shape[1]), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(student.parameters(), 2e-3, weight_decay=1e-2)
    began, taken = time.monotonic(), 0
    student.train()
    while (passed := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, taken / (50 * BATCH)) * (0.5 * (1 + np.cos(np.pi * passed)) + 0.01)
        chosen = rng.choice(len(images), BATCH, replace=False)
        batch, goal = torch.from_numpy(images[chosen]), torch.from_numpy(wanted[chosen])
        if rng.random() < 0.5:
            batch = batch.flip(3)
        shown = student(batch)
        loss = functional.smooth_l1_loss(shown, goal) + (1 - functional.cosine_similarity(shown, goal)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        taken += BATCH
    return student.eval(), taken / len(images)


def _features(student: Student, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = [student(torch.from_numpy(images[i : i + 64])).numpy() for i in range(0, len(images), 64)]
    return np.concatenate(parts)


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-9)
    return found


def _judged(features: NDArray[np.float32], clips: Clips, held: NDArray[np.bool_]) -> float:
    """AUC of violent against ordinary clips of the sources held out, by a regression on the other ones."""
    used = np.isin(clips.label, (0, 1))
    train, judged = used & ~held, used & held
    _, vectors = np.linalg.eigh(features[train].T.astype(np.float64) @ features[train] / train.sum())
    reduced = features.astype(np.float64) @ vectors[:, ::-1][:, :768]
    truth = (clips.label == 1).astype(np.float64)
    slopes, _ = ridge(reduced[train], truth[train], weights(clips.label[train], clips.source[train], (1,)))
    return round(float(roc_auc_score(truth[judged], reduced[judged] @ slopes)), 3)


def _costs(student: Student, frames: int, side: int) -> dict[str, Any]:
    """Multiplications per clip, and milliseconds on one thread of PyTorch, in one run."""
    teacher = BACKBONES["i3d"].load(None)
    show_layers(teacher, LAYERS)
    inputs = {"i3d": (teacher, torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8)),
              "student": (student, torch.zeros(1, frames, side, side, 3, dtype=torch.uint8))}  # fmt: skip
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name, (network, clip) in inputs.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(clip)
        took = []
        for _ in range(9):
            began = time.perf_counter()
            with torch.no_grad():
                network(clip)
            took.append(time.perf_counter() - began)
        found[f"gmac_{name}"] = round(counter.get_total_flops() / 2e9, 2)
        found[f"ms_{name}"] = round(1000 * float(np.median(took)), 1)
    return found


if __name__ == "__main__":
    main()
