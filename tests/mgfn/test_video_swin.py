"""Video Swin-T: the published names, its arithmetic beside a direct rendering in NumPy, its loader."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.verify import verification_clips
from mgfn.backbones.video_swin import Block, PatchMerging, VideoSwin, VideoSwinConfig, base, lay_out, load, load_base
from mgfn.weights import WeightsError
from tests.swin import published, seed_weights

SHAPES = Path(__file__).parents[3] / "shared" / "reference" / "released_videoswin_t.shapes.json"
Array = NDArray[np.float64]
Triple = tuple[int, int, int]

# tokens (6, 10, 12), (6, 5, 6), (6, 3, 3): padded in time and space, an odd merge, a last layer shifted in time alone
SMALL = VideoSwinConfig((12, 40, 48), embedding=8, depths=(2, 2, 2), heads=(1, 2, 4), window=(4, 3, 3))


class Rendering:
    """The published description over explicit windows, straight from a state dict; maps are (T, H, W, C)."""

    def __init__(self, state: dict[str, Tensor], dtype: type = np.float64) -> None:
        self.state: dict[str, Array] = {name: value.numpy().astype(dtype) for name, value in state.items()}

    def linear(self, x: Array, name: str) -> Array:
        return x @ self.state[f"{name}.weight"].T + self.state.get(f"{name}.bias", 0)

    def norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, x: Array, name: str, heads: int, window: Triple, shifted: bool) -> Array:
        """Window after window: which tokens of the map stand in it, and who of them may see whom."""
        size, channels = x.shape[:3], x.shape[3]
        ends = [-(-s // w) * w for s, w in zip(size, window, strict=True)]
        shift = np.array([w // 2 if shifted and s > w else 0 for s, w in zip(size, window, strict=True)])
        padded = np.zeros((*ends, channels), x.dtype)
        padded[: size[0], : size[1], : size[2]] = x
        table, out = self.state[f"{name}.relative_position_bias_table"], np.zeros_like(padded)
        inside = np.array(list(itertools.product(*map(range, window))))
        strides = np.array([(2 * window[1] - 1) * (2 * window[2] - 1), 2 * window[2] - 1, 1])
        bias = table[(inside[:, None] - inside[None] + np.array(window) - 1) @ strides]
        for corner in itertools.product(*(range(0, e, w) for e, w in zip(ends, window, strict=True))):
            raw = inside + corner + shift
            wrapped = raw >= ends  # beyond the far end: these come from the near one, and keep to themselves
            t, h, w = (raw % ends).T
            tokens = self.linear(padded[t, h, w], f"{name}.qkv").reshape(len(inside), 3, heads, -1)
            strangers = (wrapped[:, None] != wrapped[None]).any(-1)
            result = np.empty((len(inside), heads, channels // heads), x.dtype)
            for head in range(heads):
                q, k, v = tokens[:, 0, head], tokens[:, 1, head], tokens[:, 2, head]
                logits = q @ k.T / (channels // heads) ** 0.5 + bias[..., head]
                logits[strangers] -= 100
                weights = np.exp(logits - logits.max(1, keepdims=True))
                result[:, head] = weights / weights.sum(1, keepdims=True) @ v
            out[t, h, w] = self.linear(result.reshape(len(inside), channels), f"{name}.proj")
        return out[: size[0], : size[1], : size[2]]

    def block(self, x: Array, name: str, heads: int, window: Triple, shifted: bool) -> Array:
        x = x + self.attention(self.norm(x, f"{name}norm1"), f"{name}attn", heads, window, shifted)
        y = self.linear(self.norm(x, f"{name}norm2"), f"{name}mlp.fc1")
        y = y * (1 + torch.erf(torch.from_numpy(y) / 2**0.5).numpy()) / 2
        return x + self.linear(y, f"{name}mlp.fc2")

    def merge(self, x: Array, name: str) -> Array:
        t, h, w, channels = x.shape
        out = np.zeros((t, -(-h // 2), -(-w // 2), 4 * channels), x.dtype)
        for row, column in itertools.product(range(h), range(w)):
            # (even, even), (odd row, even column), (even row, odd column), (odd, odd)
            place = {(0, 0): 0, (1, 0): 1, (0, 1): 2, (1, 1): 3}[row % 2, column % 2] * channels
            out[:, row // 2, column // 2, place : place + channels] = x[:, row, column]
        return self.linear(self.norm(out, f"{name}norm"), f"{name}reduction")

    def features(self, clip: NDArray[np.uint8], config: VideoSwinConfig) -> Array:
        """uint8 (T, H, W, 3) -> (C,)."""
        kernel = self.state["patch_embed.proj.weight"]
        pixels = (clip - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
        t, h, w = (pixels_ // part for pixels_, part in zip(clip.shape, (2, 4, 4), strict=False))
        patches = pixels.reshape(t, 2, h, 4, w, 4, 3).transpose(0, 2, 4, 6, 1, 3, 5).reshape(t, h, w, -1)
        x = patches.astype(kernel.dtype) @ kernel.reshape(len(kernel), -1).T + self.state["patch_embed.proj.bias"]
        x = self.norm(x, "patch_embed.norm")
        for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True)):
            for j in range(depth):
                x = self.block(x, f"layers.{i}.blocks.{j}.", heads, config.window, j % 2 == 1)
            if i < len(config.depths) - 1:
                x = self.merge(x, f"layers.{i}.downsample.")
        return self.norm(x, "norm").mean((0, 1, 2))


def difference(found: Tensor, expected: Array) -> float:
    """Relative to the length of `expected`, after the mean is taken from both: what all tokens share hides errors."""
    ours = found.numpy().reshape(expected.shape)
    return float(np.linalg.norm(ours - expected) / np.linalg.norm(expected - expected.mean()))


@pytest.mark.slow
@pytest.mark.skipif(not SHAPES.exists(), reason="../shared/reference is absent")
def test_names_and_shapes_are_the_published_ones() -> None:
    shapes = {name: tuple(shape) for name, shape in json.loads(SHAPES.read_text()).items()}
    with torch.device("meta"):
        state = VideoSwin().state_dict()
    assert {f"backbone.{name}": tuple(value.shape) for name, value in state.items()} == shapes


@pytest.mark.parametrize("shifted", [False, True], ids=["unshifted", "shifted"])
@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((4, 6, 6), (4, 3, 3)),  # one window in time: never shifted there
        ((8, 6, 6), (4, 3, 3)),
        ((6, 10, 7), (4, 3, 3)),  # padding on every axis
        ((4, 3, 3), (4, 3, 3)),  # one window in all
        ((6, 4, 3), (4, 4, 3)),
        ((2, 14, 14), (2, 7, 7)),
    ],
)
def test_a_block_equals_its_direct_rendering(size: Triple, window: Triple, shifted: bool) -> None:
    block = seed_weights(Block(8, 2, size, window, shifted))
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *size, 8)).astype(np.float32))
    with torch.inference_mode():
        found = block(x.flatten(1, 3)) - x.flatten(1, 3)
    rendering = Rendering(block.state_dict())
    for ours, given in zip(found, x.numpy().astype(np.float64), strict=True):
        assert difference(ours, rendering.block(given, "", 2, window, shifted) - given) <= 1e-5


def test_windows_of_a_row_by_hand() -> None:
    # six tokens, windows of four, shifted by two; 6 is padding: | 2 3 4 5 | . . 0 1 |
    there, back, regions = lay_out((1, 1, 6), (1, 1, 4), shifted=True)
    assert there.tolist() == [[2, 3, 4, 5], [6, 6, 0, 1]]
    assert back.tolist() == [6, 7, 0, 1, 2, 3]
    assert regions.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]


def test_a_map_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 4, 7\) tokens is smaller than a window of \(8, 7, 7\)"):
        lay_out((8, 4, 7), (8, 7, 7), shifted=False)


@pytest.mark.parametrize("size", [(2, 4, 6), (1, 5, 4), (2, 3, 3)])
def test_patches_merge_in_the_published_order(size: Triple) -> None:
    merging = seed_weights(PatchMerging(4, size))
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, *size, 4)).astype(np.float32))
    with torch.inference_mode():
        found = merging(x.flatten(1, 3))
    assert difference(found, Rendering(merging.state_dict()).merge(x[0].numpy().astype(np.float64), "")) <= 1e-5


def test_small_network_equals_its_direct_rendering() -> None:
    model = seed_weights(VideoSwin(SMALL))
    clips = np.random.default_rng(2).integers(0, 256, (2, *SMALL.clip, 3), dtype=np.uint8)
    rendering = Rendering(model.state_dict())
    with torch.inference_mode():
        found = model(torch.from_numpy(clips))
    assert found.shape == (2, 32)
    for ours, clip in zip(found, clips, strict=True):
        assert difference(ours, rendering.features(clip, SMALL)) <= 1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_published_size_equals_its_direct_rendering() -> None:
    model = seed_weights(VideoSwin())
    clip = verification_clips(1, 1)[0, 0]
    with torch.inference_mode():
        found = model(torch.from_numpy(clip)[None])
    assert found.shape == (1, 768)
    assert difference(found, Rendering(model.state_dict(), np.float32).features(clip, VideoSwinConfig())) <= 1e-4


@pytest.mark.slow
def test_a_checkpoint_of_the_published_layout_is_read(tmp_path: Path) -> None:
    model = seed_weights(VideoSwin())
    torch.save(published(model.state_dict()), tmp_path / "swin.pth")
    loaded = load(tmp_path / "swin.pth")
    assert not loaded.training
    state = loaded.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(ours, right) for ours, right in zip(loaded.buffers(), model.buffers(), strict=True))


@pytest.fixture(scope="module")
def shapes() -> dict[str, Tensor]:
    """Names and shapes of the network; arrays that share one number take no room in a file or in memory."""
    with torch.device("meta"):
        state = VideoSwin().state_dict()
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


TABLE = "layers.0.blocks.0.attn.relative_position_bias_table"


def resized(patches: tuple[int, ...], depth: int, rows: int = 2535) -> Callable[[dict[str, Tensor]], object]:
    """The checkpoint of a network of another embedding, depth of its layer 2 or table of positions."""

    def change(state: dict[str, Tensor]) -> object:
        more = {f"layers.2.blocks.{i}.norm1.bias": torch.zeros(1) for i in range(depth)}
        return published(
            {**state, **more, "patch_embed.proj.weight": torch.zeros(patches), TABLE: torch.zeros(rows, 3)}
        )

    return change


def without(name: str, **more: Any) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: published({key: value for key, value in {**state, **more}.items() if key != name})


BAD = {
    "Swin-B": (resized((128, 3, 2, 4, 4), 18), "holds Video Swin-B, expected Video Swin-T"),
    "Swin-B of another window": (resized((128, 3, 2, 4, 4), 18, 5239), "holds Video Swin-B, expected Video Swin-T"),
    "Swin-S": (resized((96, 3, 2, 4, 4), 18), "holds Video Swin-S, expected Video Swin-T"),
    "Swin-L": (resized((192, 3, 2, 4, 4), 18), "holds Video Swin-L, expected Video Swin-T"),
    "another window": (
        resized((96, 3, 2, 4, 4), 6, 5239),
        "holds Video Swin-T with position tables of 5239 rows, which belong to another window, expected Video Swin-T "
        "with patches of 2 x 4 x 4 and windows of 8 x 7 x 7",
    ),
    "another patch": (resized((96, 3, 4, 4, 4), 6), "holds Video Swin-T with patches of 4 x 4 x 4, expected"),
    "image Swin": (
        lambda _: {"model": {"patch_embed.proj.weight": torch.zeros(96, 3, 4, 4), TABLE: torch.zeros(169, 3)}},
        "holds an image Swin Transformer",
    ),
    "image Swin of a detector": (resized((96, 3, 4, 4), 6), "holds an image Swin Transformer"),
    "other prefix": (
        lambda state: {"state_dict": {f"module.backbone.{name}": value for name, value in state.items()}},
        f"has 'module.backbone.{TABLE}' under state_dict, expected 'backbone.{TABLE}' under state_dict",
    ),
    "no prefix": (lambda state: state, f"has '{TABLE}' at the top, expected 'backbone.{TABLE}' under"),
    "another network": (
        lambda _: {"state_dict": {"conv1.weight": torch.zeros(1)}},
        f"is not a Video Swin checkpoint: no name in it ends with {TABLE}",
    ),
    "another transformer": (
        lambda _: {"model": {"patch_embed.proj.weight": torch.zeros(768, 3, 16, 16)}},
        "is not a Video Swin checkpoint",
    ),
    "a list": (lambda _: [torch.zeros(1)], "holds a list, expected a state dict"),
    "no arrays": (lambda _: {"state_dict": {1: 2}}, "is not a Video Swin checkpoint"),
    "missing": (without("norm.bias"), "does not fit: missing backbone.norm.bias"),
    "left over": (without("", stray=torch.zeros(2)), "does not fit: unexpected 'backbone.stray'"),
    "two lines": (without("", **{"a\nb": torch.zeros(2)}), r"unexpected 'backbone.a\nb'"),
    "misshapen": (without("", **{"norm.bias": torch.zeros(5)}), "backbone.norm.bias is (5,), expected (768,)"),
    "a text": (without("", **{"norm.bias": "no array"}), "backbone.norm.bias is not a plain array of numbers"),
    "a sparse array": (without("", **{"norm.bias": torch.zeros(768).to_sparse()}), "is not a plain array of numbers"),
    "a number for patches": (without("", **{"patch_embed.proj.weight": 3}), "proj.weight is not a plain array"),
    "a number for positions": (without("", **{TABLE: 3}), "position_bias_table is not a plain array"),
    "code": (
        lambda _: {"state_dict": {"x": np.random.default_rng}},
        "damaged, or contains more than arrays and plain values",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD.keys())
def test_other_checkpoints_are_refused_in_one_line(
    tmp_path: Path, shapes: dict[str, Tensor], content: Callable[[dict[str, Tensor]], object], says: str
) -> None:
    path = tmp_path / "swin.pth"
    torch.save(content(shapes), path)
    with pytest.raises(WeightsError) as refused:
        load(path)
    assert str(refused.value).startswith("weights of videoswin-t: ")
    assert str(path) in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def base_state() -> dict[str, Tensor]:
    with torch.device("meta"):
        state = base().state_dict()
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


def test_the_base_network_is_the_published_size() -> None:
    """88 million parameters with the classifier of 400 classes, as published; 1,024 features."""
    with torch.device("meta"):
        network = base()
    count = sum(parameter.numel() for parameter in network.parameters()) + 400 * (1024 + 1)
    assert round(count / 1e6) == 88
    assert network.norm.weight.shape == (1024,)


@pytest.mark.slow
def test_a_checkpoint_of_the_base_network_is_read_by_its_own_loader_alone(tmp_path: Path) -> None:
    path = tmp_path / "swin.pth"
    torch.save(published(base_state()), path)
    assert load_base(path).norm.weight.shape == (1024,)
    with pytest.raises(WeightsError, match="holds Video Swin-B, expected Video Swin-T"):
        load(path)


def test_the_tiny_network_is_not_the_base_one(tmp_path: Path, shapes: dict[str, Tensor]) -> None:
    torch.save(published(shapes), tmp_path / "swin.pth")
    with pytest.raises(WeightsError, match=r"weights of videoswin-b: .* holds Video Swin-T, expected Video Swin-B"):
        load_base(tmp_path / "swin.pth")
    with pytest.raises(WeightsError, match="swin_base_patch244_window877_kinetics400_1k"):
        load_base(None)


def test_classifier_and_index_buffers_are_left_aside(tmp_path: Path, shapes: dict[str, Tensor]) -> None:
    content = published({**shapes, "stray": torch.zeros(1)})
    assert {name.split(".")[0] for name in content["state_dict"]} == {"backbone", "cls_head"}
    torch.save(content, tmp_path / "swin.pth")
    with pytest.raises(WeightsError, match=r"does not fit: unexpected 'backbone\.stray'$"):
        load(tmp_path / "swin.pth")


def test_without_weights_says_which_file_to_pass() -> None:
    with pytest.raises(WeightsError) as refused:
        load(None)
    for part in ("swin_tiny_patch244_window877_kinetics400_1k.pth", "state_dict", "--backbone-weights FILE"):
        assert part in str(refused.value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_cut_and_damaged_files_are_refused_in_one_line(tmp_path: Path, shapes: dict[str, Tensor], legacy: bool) -> None:
    path = tmp_path / "swin.pth"
    torch.save(published({**shapes, "stray": torch.zeros(1)}), path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    rng = random.Random(0)
    for attempt in range(20):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(min(len(damaged), 3000))] = rng.randrange(256)
        path.write_bytes(whole[: rng.randrange(len(whole))] if attempt % 2 else bytes(damaged))
        with pytest.raises(WeightsError, match=r"^weights of videoswin-t: [^\n]*$"):
            load(path)
    path.unlink()
    with pytest.raises(WeightsError, match=r"swin\.pth: no such file"):
        load(path)


def test_a_file_that_cannot_be_read_says_why() -> None:
    with pytest.raises(WeightsError, match=r"cannot read /proc/self/mem: .*Input/output error"):
        load(Path("/proc/self/mem"))
