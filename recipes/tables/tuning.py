"""Fine-tunes I3D's last stage on the sources of each fold, with labels of clips: an upper limit, not shipped.

The input of Mixed_5c is stored once for each clip (without overlap), and used by the frozen and the tuned stages. Views
made here: `places`, the maximum over the 7 x 7 positions instead of their mean; `tuned-N`, tuned on all sources except
those of fold N.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from configs.atomic import replacing
from mgfn.backbones import BACKBONES
from recipes.default_head.features import extract, recordings
from recipes.tables.views import apart

STAGE = "Mixed_5c"
EPOCHS, BATCH = 3, 16
STAGE_RATE, LINEAR_RATE = 1e-4, 3e-3
FloatArray = NDArray[np.float32]


def keep_entering(data: Path, cache: Path, graph: Path) -> dict[str, NDArray[np.generic]]:
    """The input of the last stage, `features` (n, 1, 832, 2, 7, 7), and descriptions of the clips; computed once.

    `graph` is the backbone as OpenVINO reads it.
    """
    if not (cache / "entering.npz").exists():
        extract(data, cache, ["entering"], _up_to_stage(graph), {"entering": ("squash", apart)})
    with np.load(cache / "entering.npz") as file:
        return dict(file)


def _up_to_stage(graph: Path) -> openvino.Model:
    """The graph that ends with Mixed_5b: the last concatenation of 832 channels."""
    model = openvino.Core().read_model(graph)
    joined = [op for op in model.get_ordered_ops() if op.get_type_name() == "Concat"]
    entering = [op for op in joined if op.get_output_partial_shape(0).rank.get_length() == 5]
    entering = [op for op in entering if op.get_output_partial_shape(0)[1].to_string() == "832"]
    return openvino.Model([entering[-1].output(0)], model.get_parameters())


def make_views(data: Path, cache: Path, held_out: list[set[str]], graph: Path) -> None:
    """Write the views; existing ones are kept."""
    names = ["places", *(f"tuned-{fold}" for fold in range(len(held_out)))]
    wanted = [cache / f"{name}-plain.npz" for name in names]
    if all(path.exists() for path in wanted):
        return
    clips = keep_entering(data, cache, graph)
    entering = torch.from_numpy(clips.pop("features")[:, 0])
    stage = BACKBONES["i3d"].load(None).eval().get_submodule(STAGE)

    def write(path: Path, features: FloatArray) -> None:
        with replacing(path) as partial:
            np.savez(
                partial,
                features=features[:, None],
                video=clips["video"],
                start=clips["start"],
                kind=clips["kind"],
                anomalous=clips["anomalous"],
            )

    whole, places = _pooled(stage, entering)
    write(wanted[0], places)
    of = {recording.name: recording.source for recording in recordings(data)}
    sources = np.array([of[str(video)] for video in clips["video"]])
    labels = np.asarray(clips["anomalous"], bool)
    for path, sources_out in zip(wanted[1:], held_out, strict=True):
        if not path.exists():
            learnt = ~np.isin(sources, sorted(sources_out))
            write(path, _pooled(tuned(stage, entering, whole, sources, labels, learnt), entering)[0])
            print(path.stem, flush=True)


@torch.inference_mode()
def _pooled(stage: nn.Module, entering: Tensor) -> tuple[FloatArray, FloatArray]:
    """Mean over time and positions, and the maximum over positions of the mean over time: (n, 1024) each."""
    maps = torch.cat([stage(part).mean(dim=2).flatten(2) for part in torch.split(entering, BATCH)])
    return maps.mean(dim=2).numpy(), maps.amax(dim=2).numpy()


def tuned(
    stage: nn.Module,
    entering: Tensor,
    frozen: FloatArray,
    sources: NDArray[np.str_],
    labels: NDArray[np.bool_],
    learnt: NDArray[np.bool_],
) -> nn.Module:
    """The stage, tuned on the clips `learnt` of fight recordings, with a linear layer on the head's input.

    The input is square roots minus the scene; here, the scene is the source's ordinary clips as the frozen stage sees
    them.
    """
    torch.manual_seed(0)
    stage = deepcopy(stage).requires_grad_(True)
    root = np.sqrt(frozen)
    ordinary = root[learnt & ~labels].mean(axis=0)
    scene = np.stack([_scene(root[(sources == s) & ~labels], ordinary) for s in sources])
    deviation = torch.from_numpy((root - scene)[learnt].std(axis=0) + 0.01)
    scenes = torch.from_numpy(scene)
    linear = nn.Linear(len(ordinary), 1)
    nn.init.zeros_(linear.weight)
    rows = np.flatnonzero(learnt & ~np.char.startswith(sources, "recording-"))
    share = labels[rows].mean()
    optimizer = torch.optim.AdamW(
        [{"params": stage.parameters(), "lr": STAGE_RATE}, {"params": linear.parameters(), "lr": LINEAR_RATE}]
    )
    rng = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for part in np.array_split(rng.permutation(rows), -(-len(rows) // BATCH)):
            x = entering[part]
            x = x.flip(-1) if rng.random() < 0.5 else x  # the mirrored map, which is nearly that of the mirrored image
            seen = (stage(x).mean(dim=(2, 3, 4)).clamp_min(1e-6).sqrt() - scenes[part]) / deviation
            logits = linear(functional.dropout(seen, 0.5))[:, 0]
            y = torch.from_numpy(labels[part]).float()
            weight = torch.where(y > 0, 0.5 / share, 0.5 / (1 - share))
            loss = functional.binary_cross_entropy_with_logits(logits, y, weight=weight)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return stage.requires_grad_(False)


def _scene(of_source: FloatArray, otherwise: FloatArray) -> FloatArray:
    """The mean of ordinary clips, with the training mean counted as one clip, as in the default head."""
    return np.asarray((of_source.sum(axis=0) + otherwise) / (len(of_source) + 1))
