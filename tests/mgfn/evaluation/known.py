"""A real MGFN head whose scores are known: its blocks add nothing, so a clip's features alone decide its score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mgfn.checkpoint import save_head
from mgfn.features import FloatArray
from mgfn.paper import Paper, PaperConfig

STEEPNESS = 8.0
UCF = {
    "Abuse001_x264_i3d": [0.2, 0.9, 0.6, 0.1],
    "Arson002_x264_i3d": [0.7, 0.3],
    "Normal_Videos_003_x264_i3d": [0.1, 0.65, 0.2, 0.3],
}
UCF_TRUTH: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "Abuse001_x264": (64, [(16, 48)]),
    "Arson002_x264": (32, [(0, 16)]),
    "Normal_Videos_003_x264": (64, []),
}


def known_head(path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """A checkpoint of two channels: the score is the sigmoid of 8 times the normalised first one."""
    head = Paper(PaperConfig(2, "GF-fusion", alpha=0.0, widths=(2, 2), reduce_kernel=1))
    with torch.no_grad():
        for value in head.parameters():
            value.zero_()
        head.to_tokens.weight.copy_(torch.eye(2)[:, :, None] / 2)  # two stages that add nothing are summed
        head.get_parameter("to_logits.0.weight").fill_(1.0)
        head.fc.weight[0, 0] = STEEPNESS
    save_head(path, head, metadata or {})
    return path


def features_of(scores: Sequence[float], crops: int = 1) -> FloatArray:
    """Features (T, crops, 2) to which `known_head` gives these scores, each between 0.001 and 0.999."""
    wanted = np.asarray(scores, float)
    normalised = np.log(wanted / (1 - wanted)) / STEEPNESS  # what the layer normalisation must put out
    first = normalised * np.sqrt(1e-5 / (1 - normalised**2))
    clip = np.stack([first, -first], axis=-1).astype(np.float32)
    return np.repeat(clip[:, None], crops, axis=1)


def write_videos(folder: Path, scores: Mapping[str, Sequence[float]], crops: int = 1) -> Path:
    """Feature files by name and the list that names them."""
    folder.mkdir(exist_ok=True)
    for name, values in scores.items():
        np.save(folder / f"{name}.npy", features_of(values, crops))
    listed = folder / "test.list"
    listed.write_text("".join(f"{folder / name}.npy\n" for name in scores))
    return listed


def write_intervals(path: Path, timelines: Mapping[str, tuple[int, Sequence[tuple[int, int]]]]) -> Path:
    """Ground truth as JSON, from (frames, intervals) by name."""
    content = {name: {"frames": frames, "anomalous": parts} for name, (frames, parts) in timelines.items()}
    path.write_text(json.dumps(content))
    return path
