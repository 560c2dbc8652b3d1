"""The released network against a direct NumPy rendering of its description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf

from mgfn.released import Released, ReleasedConfig
from tests.mgfn.networks import SMALL_RELEASED, seeded

SHAPES = Path(__file__).parents[3] / "shared" / "reference" / "released_mgfn_head.shapes.json"
KINDS = ("glance", "focus", "focus")
Array = np.ndarray[Any, np.dtype[np.float64]]


def conv(x: Array, state: dict[str, Array], name: str, pad: int = 0) -> Array:
    """(D, T) with weights (O, D, k): a loop over the kernel's taps."""
    weight = state[f"{name}.weight"]
    padded = np.pad(x, ((0, 0), (pad, pad)))
    out = sum(weight[:, :, k] @ padded[:, k : k + x.shape[1]] for k in range(weight.shape[2]))
    return np.asarray(out) + (state[f"{name}.bias"][:, None] if f"{name}.bias" in state else 0.0)


def channel_norm(x: Array, state: dict[str, Array], name: str) -> Array:
    std = np.sqrt(((x - x.mean(0)) ** 2).mean(0))
    return (x - x.mean(0)) / (std + 1e-5) * state[f"{name}.g"][0] + state[f"{name}.b"][0]


def glance(x: Array, state: dict[str, Array], name: str) -> Array:
    q, k, v = np.split(conv(channel_norm(x, state, f"{name}.norm"), state, f"{name}.to_qkv"), 3)
    out = np.empty_like(v)
    for head in range(len(x) // 64):
        part = slice(64 * head, 64 * head + 64)
        logits = (q[part].T * 64**-0.5) @ k[part]
        weights = np.exp(logits - logits.max(1, keepdims=True))
        out[part] = v[part] @ (weights / weights.sum(1, keepdims=True)).T
    return conv(out, state, f"{name}.to_out")


def focus(x: Array, state: dict[str, Array], name: str) -> Array:
    norm = {leaf: state[f"{name}.norm.{leaf}"][:, None] for leaf in ("weight", "bias", "running_mean", "running_var")}
    y = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
    v = conv(y, state, f"{name}.to_v")
    heads = len(x) // 64
    out = np.empty_like(v)
    for channel in range(len(x)):
        head = channel % heads  # the head index is innermost
        kernel = state[f"{name}.rel_pos.weight"][head, 0]
        padded = np.pad(v[channel], 2)
        out[channel] = [kernel @ padded[t : t + 5] for t in range(v.shape[1])]
        out[channel] += state[f"{name}.rel_pos.bias"][head]
    return conv(out, state, f"{name}.to_out")


def feed_forward(x: Array, state: dict[str, Array], name: str) -> Array:
    hidden = conv(channel_norm(x, state, f"{name}.0"), state, f"{name}.1")
    gelu = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
    return conv(gelu, state, f"{name}.4")


def released(features: Array, state: dict[str, Array], config: ReleasedConfig) -> Array:
    """Scores (T,) of one video (T, P, C), as the released code is described."""
    scores = []
    for crop in range(features.shape[1]):
        f = features[:, crop].T
        magnitude = np.sqrt((f**2).sum(0))[None]
        x = conv(f, state, "to_tokens", pad=1) + 0.1 * conv(magnitude, state, "to_mag", pad=1)
        for index, (kind, depth) in enumerate(zip(KINDS, config.depths, strict=True)):
            for block in range(depth):
                name = f"stages.{index}.0.layers.{block}"
                x = conv(x, state, f"{name}.0", pad=1) + x
                x = (glance if kind == "glance" else focus)(x, state, f"{name}.1") + x
                x = feed_forward(x, state, f"{name}.2") + x
            if index + 1 < len(KINDS):
                x = conv(channel_norm(x, state, f"stages.{index}.1.0"), state, f"stages.{index}.1.1")
        y = x.T
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
        y = y * state["to_logits.0.weight"] + state["to_logits.0.bias"]
        scores.append(1 / (1 + np.exp(-(y @ state["fc.weight"][0] + state["fc.bias"][0]))))
    return np.asarray(np.mean(scores, axis=0))


def compare(config: ReleasedConfig, clips: int, crops: int) -> None:
    head = seeded(Released, config)
    state = {name: value.numpy().astype(np.float64) for name, value in head.state_dict().items()}
    features = np.random.default_rng(clips).random((clips, crops, config.channels), dtype=np.float32)
    with torch.inference_mode():
        scores = head(torch.from_numpy(features)[None]).scores[0].numpy()
    np.testing.assert_allclose(scores, released(features.astype(np.float64), state, config), atol=1e-5)
    assert clips == 1 or scores.std() > 1e-4


@pytest.mark.parametrize(("clips", "crops"), [(1, 1), (32, 2), (77, 2)])
def test_the_released_form_equals_its_description(clips: int, crops: int) -> None:
    compare(SMALL_RELEASED, clips, crops)


@pytest.mark.skipif(not SHAPES.exists(), reason="../shared/reference is absent")
def test_released_names_and_shapes() -> None:
    published = {name: tuple(shape) for name, shape in json.loads(SHAPES.read_text()).items()}
    found = {name: tuple(value.shape) for name, value in Released(ReleasedConfig()).state_dict().items()}
    assert found == published
