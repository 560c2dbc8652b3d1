"""The baselines against hand-worked numbers, a NumPy rendering, and their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from mgfn.baselines.rtfm import NonLocal, Rtfm, RtfmConfig
from mgfn.baselines.sultani import Sultani, SultaniConfig
from mgfn.checkpoint import CheckpointError, load_head, save_head
from mgfn.network import Head

Array = np.ndarray[Any, np.dtype[np.float64]]


def seeded(head: Head) -> Head:
    torch.manual_seed(0)
    for name, tensor in head.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point():
            tensor.add_(0.3 * torch.randn_like(tensor))
    return head.eval()


def arrays(head: Head) -> dict[str, Array]:
    return {name: value.numpy().astype(np.float64) for name, value in head.state_dict().items()}


def features(clips: int, crops: int, channels: int) -> Array:
    return np.random.default_rng(0).random((clips, crops, channels))


def scored(head: Head, x: Array) -> tuple[Array, Array]:
    with torch.inference_mode():
        out = head(torch.from_numpy(x).float()[None])
    return out.scores[0].numpy(), out.magnitudes[0].numpy()


def test_sultani_is_three_layers_on_features_of_length_one() -> None:
    head = seeded(Sultani(SultaniConfig(6, hidden=(5, 3))))
    state, x = arrays(head), features(4, 2, 6)
    y = x / np.linalg.norm(x, axis=2, keepdims=True)
    hidden = np.maximum(y @ state["fc1.weight"].T + state["fc1.bias"], 0)
    last = hidden @ state["fc2.weight"].T + state["fc2.bias"]
    logits = (last @ state["fc3.weight"].T + state["fc3.bias"])[..., 0]
    scores, magnitudes = scored(head, x)
    np.testing.assert_allclose(scores, (1 / (1 + np.exp(-logits))).mean(1), atol=1e-6)
    np.testing.assert_allclose(magnitudes, np.linalg.norm(last, axis=2).mean(1), rtol=1e-5)


def test_non_local_by_hand() -> None:
    """Two clips of two channels; projections onto the first channel, no normalisation: x + (x1 . x1 / T) x1."""
    block = NonLocal(2).eval()
    with torch.no_grad():
        for projection in (block.theta, block.phi, block.g):
            projection.weight.copy_(torch.tensor([[[1.0], [0.0]]]))
            assert projection.bias is not None
            projection.bias.zero_()
        block.out.weight.copy_(torch.tensor([[[1.0]], [[10.0]]]))
        assert block.out.bias is not None
        block.out.bias.zero_()
        block.norm.weight.fill_(1.0)
        block.norm.eps = 0.0
        out = block(torch.tensor([[[1.0, 2.0], [5.0, 7.0]]]))
    # clip 0: (1*1*1 + 1*2*2) / 2 = 2.5; clip 1: (2*1*1 + 2*2*2) / 2 = 5
    np.testing.assert_allclose(out[0].numpy(), [[1 + 2.5, 2 + 5.0], [5 + 25.0, 7 + 50.0]], rtol=1e-6)


def test_a_non_local_block_starts_as_the_identity() -> None:
    x = torch.rand(2, 8, 5)
    torch.testing.assert_close(NonLocal(8).train()(x), x)


def dilated(x: Array, weight: Array, bias: Array | float, dilation: int) -> Array:
    """(C, T) with (O, C, 3), a loop over the taps."""
    padded = np.pad(x, ((0, 0), (dilation, dilation)))
    taps = [weight[:, :, k] @ padded[:, k * dilation : k * dilation + x.shape[1]] for k in range(3)]
    return np.asarray(sum(taps)) + bias


def batch_norm(x: Array, state: dict[str, Array], name: str) -> Array:
    mean, var, weight, bias = (
        state[f"{name}.{leaf}"][:, None] for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return np.asarray((x - mean) / np.sqrt(var + 1e-5) * weight + bias)


@pytest.mark.parametrize("clips", [1, 9])
def test_rtfm_equals_its_description(clips: int) -> None:
    head = seeded(Rtfm(RtfmConfig(6, width=4)))
    state, x = arrays(head), features(clips, 2, 6)
    scores, magnitudes = [], []
    for crop in range(2):
        f = x[:, crop].T
        branches = [
            batch_norm(
                np.maximum(dilated(f, state[f"pyramid.{i}.0.weight"], state[f"pyramid.{i}.0.bias"][:, None], 2**i), 0),
                state,
                f"pyramid.{i}.2",
            )
            for i in range(3)
        ]
        r = np.maximum(state["reduce.0.weight"][:, :, 0] @ f, 0)
        theta, phi, g = (
            state[f"non_local.{n}.weight"][:, :, 0] @ r + state[f"non_local.{n}.bias"][:, None]
            for n in ("theta", "phi", "g")
        )
        mixed = g @ (theta.T @ phi / clips).T
        mixed = state["non_local.out.weight"][:, :, 0] @ mixed + state["non_local.out.bias"][:, None]
        branches.append(batch_norm(mixed, state, "non_local.norm") + r)
        fused = np.maximum(dilated(np.concatenate(branches), state["fuse.0.weight"], 0.0, 1), 0)
        last = (batch_norm(fused, state, "fuse.2") + f).T
        hidden = np.maximum(last @ state["fc1.weight"].T + state["fc1.bias"], 0)
        hidden = np.maximum(hidden @ state["fc2.weight"].T + state["fc2.bias"], 0)
        scores.append(1 / (1 + np.exp(-(hidden @ state["fc3.weight"][0] + state["fc3.bias"][0]))))
        magnitudes.append(np.linalg.norm(last, axis=1))
    found = scored(head, x)
    np.testing.assert_allclose(found[0], np.mean(scores, axis=0), atol=1e-5)
    np.testing.assert_allclose(found[1], np.mean(magnitudes, axis=0), rtol=1e-4)


@pytest.mark.parametrize("head", [Sultani(SultaniConfig(6)), Rtfm(RtfmConfig(6, width=4))], ids=["sultani", "rtfm"])
def test_checkpoints_of_baselines_round_trip(tmp_path: Path, head: Head) -> None:
    save_head(tmp_path / "a.safetensors", seeded(head), {"note": "a test"})
    again, texts = load_head(tmp_path / "a.safetensors")
    assert (again.config, texts) == (head.config, {"note": "a test"})
    x = features(5, 2, 6)
    np.testing.assert_array_equal(scored(again, x)[0], scored(head, x)[0])


def test_a_checkpoint_of_an_unknown_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({}, path, {"format": "mgfn-head-1", "network": "resnet", "config": "{}"})
    with pytest.raises(CheckpointError, match="'resnet', known: paper, released, extended, sultani, rtfm, bn-wvad"):
        load_head(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SultaniConfig(0),
        lambda: SultaniConfig(8, hidden=(1 << 20, 2)),
        lambda: SultaniConfig(8, dropout=1.0),
        lambda: RtfmConfig(8, width=1),
        lambda: RtfmConfig(0),
        lambda: RtfmConfig(8, dropout=-0.1),
    ],
)
def test_settings_no_network_can_be_built_from(make: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()
