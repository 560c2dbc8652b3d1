"""MGFN against a direct NumPy rendering of the paper's equations and of the released code's description."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn

from export.onnx import export_head
from mgfn.network import ChannelNorm, FocusSelfConvolution, GlanceAttention, Mgfn, MgfnConfig, Stage, Structure

SHAPES = Path(__file__).parents[3] / "shared" / "reference" / "released_mgfn_head.shapes.json"
SMALL_RELEASED = dataclasses.replace(
    MgfnConfig.released(96), stages=(Stage("glance", 64, 2), Stage("focus", 128, 2), Stage("focus", 256, 1))
)
Array = np.ndarray[Any, np.dtype[np.float64]]


def seeded(config: MgfnConfig) -> Mgfn:
    torch.manual_seed(0)
    head = Mgfn(config).eval()
    for name, tensor in head.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point():
            tensor.add_(0.05 * torch.randn_like(tensor))
    return head


def amplified(head: Mgfn, x: Tensor) -> Tensor:
    return head.amplify(x, head.standardised(x))


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


def released(features: Array, state: dict[str, Array], config: MgfnConfig) -> Array:
    """Scores (T,) of one video (T, P, C), as the released code is described."""
    scores = []
    for crop in range(features.shape[1]):
        f = features[:, crop].T
        magnitude = np.sqrt((f**2).sum(0))[None]
        x = conv(f, state, "to_tokens", pad=1) + 0.1 * conv(magnitude, state, "to_mag", pad=1)
        for index, stage in enumerate(config.stages):
            for block in range(stage.depth):
                name = f"stages.{index}.0.layers.{block}"
                x = conv(x, state, f"{name}.0", pad=1) + x
                x = (glance if stage.kind == "glance" else focus)(x, state, f"{name}.1") + x
                x = feed_forward(x, state, f"{name}.2") + x
            if index + 1 < len(config.stages):
                x = conv(channel_norm(x, state, f"stages.{index}.1.0"), state, f"stages.{index}.1.1")
        y = x.T
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
        y = y * state["to_logits.0.weight"] + state["to_logits.0.bias"]
        scores.append(1 / (1 + np.exp(-(y @ state["fc.weight"][0] + state["fc.bias"][0]))))
    return np.asarray(np.mean(scores, axis=0))


def compare(config: MgfnConfig, clips: int, crops: int) -> None:
    head = seeded(config)
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
    found = {name: tuple(value.shape) for name, value in Mgfn(MgfnConfig.released()).state_dict().items()}
    assert found == published


def test_attention_by_hand() -> None:
    """Two clips, two channels; identity projections: the weights are a softmax of dot products (eq. 3 to 5)."""
    attention = GlanceAttention(2)
    with torch.no_grad():
        attention.to_qkv.weight.copy_(torch.eye(2).repeat(3, 1)[:, :, None])
        attention.to_out.weight.copy_(torch.eye(2)[:, :, None])
        assert attention.to_out.bias is not None
        attention.to_out.bias.zero_()
        attention.norm = nn.Identity()  # type: ignore[assignment] # the equations alone
        x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # clip 0 is (1, 0), clip 1 is (0, 2)
        out = attention(x)
    near = np.exp(1 / np.sqrt(2)) / (np.exp(1 / np.sqrt(2)) + 1)
    far = np.exp(4 / np.sqrt(2)) / (np.exp(4 / np.sqrt(2)) + 1)
    expected = [[near, 1 - far], [2 * (1 - near), 2 * far]]
    np.testing.assert_allclose(out[0].numpy(), expected, atol=1e-6)


def test_weightless_focus_by_hand() -> None:
    """Each channel times the mean of its five nearest, nothing learnt (our reading of eq. 6, 7)."""
    focus_block = FocusSelfConvolution(4)
    focus_block.norm = nn.Identity()  # type: ignore[assignment] # the equations alone
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None]
    out = focus_block(x)[0, :, 0]
    expected = [1 * (1 + 2 + 3) / 5, 2 * (1 + 2 + 3 + 4) / 5, 3 * (1 + 2 + 3 + 4) / 5, 4 * (2 + 3 + 4) / 5]
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
    assert not list(focus_block.parameters())


def test_channel_norm_has_finite_gradients_at_zero_deviation() -> None:
    """Channels that are all alike, beside a clip whose channels differ."""
    norm = ChannelNorm(3)
    x = torch.tensor([[[7.0, 1.0], [7.0, 2.0], [7.0, 6.0]]], requires_grad=True)
    out = norm(x)
    assert not out[0, :, 0].any()
    out[0, 0].sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    # d out_0 / d x_j = (delta_0j - 1/3) / eps where the deviation is zero
    np.testing.assert_allclose(x.grad[0, :, 0], np.array([2, -1, -1]) / 3 / 1e-5, rtol=1e-4)


def test_channel_norm_gives_the_values_of_the_plain_formula() -> None:
    x = torch.randn(4, 8, 16) * torch.logspace(-20, 3, 16)  # deviations down to where the floor begins
    centred = x - x.mean(dim=1, keepdim=True)
    plain = centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + 1e-5)
    assert torch.equal(ChannelNorm(8)(x), plain)


@pytest.mark.parametrize("config", [MgfnConfig.paper(64), SMALL_RELEASED], ids=["paper", "released"])
def test_constant_features_give_finite_gradients(config: MgfnConfig) -> None:
    head = Mgfn(config).train()
    with torch.no_grad():  # every clip's channels are alike from the first block on
        head.to_tokens.weight.zero_()
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        head.to_mag.weight.zero_()
        assert head.to_mag.bias is not None
        head.to_mag.bias.zero_()
    out = head(torch.ones(2, 4, 1, config.channels))
    (out.scores.sum() + out.magnitudes.sum()).backward()
    assert all(bool(value.grad.isfinite().all()) for value in head.parameters() if value.grad is not None)


def test_amplification_by_hand_and_its_gradient() -> None:
    """f + alpha * Conv1D(|f|) on all C channels (eq. 1, 2)."""
    head = Mgfn(MgfnConfig(2, (Stage("glance", 2, 1),), alpha=0.1, reduce_kernel=1))
    with torch.no_grad():
        head.to_mag.weight.zero_()
        head.to_mag.weight[0, 0, 1] = 1.0
        assert head.to_mag.bias is not None
        head.to_mag.bias.zero_()
        head.to_tokens.weight.copy_(torch.eye(2)[:, :, None])
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        out = amplified(head, torch.tensor([[[3.0], [4.0]]]))
    np.testing.assert_allclose(out[0, :, 0].numpy(), [3.0 + 0.1 * 5.0, 4.0], rtol=1e-6)
    head(torch.rand(1, 4, 1, 2)).scores.sum().backward()
    assert head.to_mag.weight.grad is not None
    assert float(head.to_mag.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("amplify_reduced", "expected"),
    # the reduction doubles; the convolution gives |f| to channel 0 and the clip before's |f| plus 2 to channel 1
    [(False, [[7.0, 0.0, 14.0], [8.4, 1.4, 16.4]]), (True, [[6.5, 0.0, 13.0], [8.2, 0.7, 16.2]])],
)
def test_magnitude_is_added_before_the_reduction_or_after_it(amplify_reduced: bool, expected: list[float]) -> None:
    stages = (Stage("glance", 2, 1),)
    head = Mgfn(MgfnConfig(2, stages, alpha=0.1, amplify_reduced=amplify_reduced, reduce_kernel=1))
    with torch.no_grad():
        head.to_mag.weight.copy_(torch.tensor([[[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]]))
        assert head.to_mag.bias is not None
        head.to_mag.bias.copy_(torch.tensor([0.0, 2.0]))
        head.to_tokens.weight.copy_(2 * torch.eye(2)[:, :, None])
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        out = amplified(head, torch.tensor([[[3.0, 0.0, 6.0], [4.0, 0.0, 8.0]]]))  # |f| is 5, 0, 10
    np.testing.assert_allclose(out[0].numpy(), expected, rtol=1e-5)


def test_standardising_leaves_the_magnitude_raw() -> None:
    head = Mgfn(MgfnConfig(2, (Stage("glance", 2, 1),), reduce_kernel=1, standardise=True))
    with torch.no_grad():
        head.to_mag.weight.copy_(torch.tensor([0.0, 1.0, 0.0]).expand(2, 1, 3))
        head.to_tokens.weight.copy_(torch.eye(2)[:, :, None])
        assert head.to_mag.bias is not None
        assert head.to_tokens.bias is not None
        head.to_mag.bias.zero_()
        head.to_tokens.bias.zero_()
        head.feature_mean.copy_(torch.tensor([1.0, 2.0]))
        head.feature_deviation.copy_(torch.tensor([2.0, 4.0]))
        out = amplified(head, torch.tensor([[[3.0], [4.0]]]))
    np.testing.assert_allclose(out[0, :, 0].numpy(), [1.0 + 0.5, 0.5 + 0.5], rtol=1e-6)


def test_relative_features_are_roots_less_the_scene() -> None:
    config = MgfnConfig(2, (Stage("glance", 2, 1),), standardise=True, root=True, relative=True, scene_prior=2.0)
    head = Mgfn(config)
    head.feature_mean.copy_(torch.tensor([1.0, 2.0]))
    seen = head.normalised(torch.tensor([[[4.0, 16.0], [0.0, -9.0]]]))[0]
    # scene: (2 + 4 + 2 * 1) / 4 = 2 and (0 - 3 + 2 * 2) / 4 = 0.25
    np.testing.assert_allclose(seen.numpy(), [[0.0, 2.0], [-0.25, -3.25]])
    alone = head.normalised(torch.tensor([[[4.0], [4.0]]]))[0]
    np.testing.assert_allclose(alone.numpy(), [[2 - 4 / 3], [0.0]], rtol=1e-6)


@pytest.mark.parametrize("structure", ["GF", "FG", "FF", "GF-fusion"])
@pytest.mark.parametrize("clips", [1, 32])
def test_every_parameter_learns(structure: Structure, clips: int) -> None:
    torch.manual_seed(0)
    head = Mgfn(MgfnConfig.paper(64, structure))
    out = head(torch.rand(2, clips, 3, 64))
    (out.scores.sum() + out.magnitudes.sum() + out.features.square().mean()).backward()
    unmoved = [name for name, value in head.named_parameters() if value.grad is None or not value.grad.abs().any()]
    # one clip attends to itself alone, whatever its query and key are; the rows of `to_qkv` for values still learn
    assert not unmoved
    assert all(bool(value.grad.isfinite().all()) for value in head.parameters() if value.grad is not None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stages": ()}, "0 stages"),
        ({"stages": (Stage("glance", 1, 1),)}, "width 1, depth 1; must be at least 2 and at least 1"),
        ({"stages": (Stage("glance", 8, 0),)}, "width 8, depth 0"),
        ({"stages": (Stage("glance", 200, 1),)}, "width 200 does not split evenly into 3 heads"),
        ({"stages": (Stage("focus", 200, 1),), "weightless": False}, "width 200 does not split"),
        ({"stages": (Stage("glance", 8, 1), Stage("focus", 16, 1)), "fusion": True}, "different widths"),
        ({"reduce_kernel": 2}, "reduce_kernel 2; must be odd"),
        ({"expansion": 0}, "expansion 0"),
        ({"dropout": 1.0}, r"dropout 1\.0"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"members": 0}, "0 members"),
        ({"smoothing": 0}, "smoothing 0, probes 0; must be from 1 to 32"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(MgfnConfig.paper(64), **changes)


def test_a_weightless_focus_block_needs_no_heads() -> None:
    head = seeded(MgfnConfig(8, (Stage("focus", 200, 1),)))
    assert head(torch.rand(1, 2, 1, 8)).scores.shape == (1, 2)


@pytest.mark.parametrize("structure", ["GF", "FG", "FF", "GF-fusion"])
def test_every_structure_takes_any_window_and_crops(structure: Structure) -> None:
    head = seeded(MgfnConfig.paper(64, structure))
    for clips, crops in ((1, 1), (2, 10), (32, 1)):
        out = head(torch.rand(2, clips, crops, 64))
        assert out.scores.shape == out.magnitudes.shape == (2, clips)
        assert bool(((out.scores >= 0) & (out.scores <= 1)).all())
        assert out.features.shape[:3] == (2, crops, clips)


def test_crops_are_averaged() -> None:
    head = seeded(MgfnConfig.paper(64))
    x = torch.rand(1, 6, 3, 64)
    alone = torch.stack([head(x[:, :, crop : crop + 1]).scores for crop in range(3)])
    torch.testing.assert_close(head(x).scores, alone.mean(dim=0))


def test_magnitudes_before_and_after_normalisation() -> None:
    """Until its gains are learnt, the layer normalisation leaves every clip the same norm: nothing to select by."""
    torch.manual_seed(0)
    paper = Mgfn(MgfnConfig.paper(256)).eval().requires_grad_(False)
    x = torch.rand(4, 32, 1, 256)
    out = paper(x)
    torch.testing.assert_close(out.magnitudes, out.features[:, 0].norm(dim=-1))
    assert float(out.magnitudes.std()) > 0.05
    after = Mgfn(dataclasses.replace(paper.config, normalised_magnitude=True)).eval().requires_grad_(False)
    after.load_state_dict(paper.state_dict())
    normalised = after(x)
    torch.testing.assert_close(normalised.scores, out.scores)
    torch.testing.assert_close(normalised.features, paper.to_logits(out.features))
    torch.testing.assert_close(normalised.magnitudes, torch.full((4, 32), 256 / 16).sqrt(), atol=1e-3, rtol=0)
    assert MgfnConfig.released().normalised_magnitude


def test_smoothing_is_the_mean_of_the_clips_so_far() -> None:
    head = seeded(MgfnConfig.paper(64))
    smoothed = Mgfn(dataclasses.replace(head.config, smoothing=3)).eval()
    smoothed.load_state_dict(head.state_dict())
    x = torch.rand(2, 5, 1, 64)
    s = head(x).scores
    padded = torch.cat([s[:, :1], s[:, :1], s], dim=1)
    torch.testing.assert_close(smoothed(x).scores, (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3)
    torch.testing.assert_close(smoothed(x[:, :1]).scores, head(x[:, :1]).scores)


def test_the_paper_head_is_small() -> None:
    head = Mgfn(MgfnConfig.paper(1024))
    assert [stage.width for stage in head.config.stages] == [32, 64]
    assert sum(p.numel() for p in head.parameters()) * 4 < 1 << 20


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(MgfnConfig.paper(64), id="GF", marks=pytest.mark.slow),
        pytest.param(MgfnConfig.paper(64, "GF-fusion"), id="fusion", marks=pytest.mark.slow),
        pytest.param(SMALL_RELEASED, id="released", marks=pytest.mark.slow),
        pytest.param(
            dataclasses.replace(MgfnConfig.paper(64), smoothing=3, standardise=True, root=True, relative=True),
            id="as the default head",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_onnx_takes_every_length(tmp_path: Path, config: MgfnConfig) -> None:
    head = seeded(config)
    export_head(head, config.channels, 2, tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for clips in (1, 2, 32):
        x = torch.rand(3, clips, 2, config.channels)
        with torch.inference_mode():
            expected = head(x).scores.numpy()
        np.testing.assert_allclose(session.run(None, {"windows": x.numpy()})[0], expected, atol=1e-5)
