"""Video Swin Transformer (Liu et al. 2022), tiny and base; the user provides Kinetics-400 weights.

The paper does not say which size its second backbone has. The only published Swin features of UCF-Crime are those of
Swin-B, extracted from crops of 224 x 416; here every clip is 224 x 224. Normalisation is included: uint8 images in, 768
(tiny) or 1,024 (base) features out. Written for export: which token belongs to which window,
shifted or not, and which tokens of a window must not attend to each other depends only on the clip's size, and is
computed once, as constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.weights import WeightsError, filled, read_dict

Triple = tuple[int, int, int]

CHANNELS: Final = 768
CHANNELS_BASE: Final = 1024
PATCH: Final[Triple] = (2, 4, 4)
MEAN: Final = (123.675, 116.28, 103.53)
STD: Final = (58.395, 57.12, 57.375)

_PATCHES: Final = "patch_embed.proj.weight"
_TABLE: Final = "layers.0.blocks.0.attn.relative_position_bias_table"  # every Swin has it, no other transformer does
_SIZES: Final = {(96, 6): "T", (96, 18): "S", (128, 18): "B", (192, 18): "L"}  # by embedding and depth of layer 2
_APART: Final = -100.0  # added to the logits of tokens that must not attend to each other, as published


@dataclass(frozen=True)
class VideoSwinConfig:
    """Sizes of the network; the defaults are the published tiny one for a clip of 16 x 224 x 224."""

    clip: Triple = (16, 224, 224)
    embedding: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: Triple = (8, 7, 7)


BASE: Final = VideoSwinConfig(embedding=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32))
_FILES: Final = {
    "T": "swin_tiny_patch244_window877_kinetics400_1k.pth",
    "B": "swin_base_patch244_window877_kinetics400_1k.pth",
}


def _cut(tokens: Tensor, window: Triple) -> Tensor:
    """(T, H, W), multiples of the window -> (windows, tokens of a window), both in raster order."""
    t, h, w = (size // part for size, part in zip(tokens.shape, window, strict=True))
    parts = tokens.reshape(t, window[0], h, window[1], w, window[2])
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(t * h * w, prod(window))


def lay_out(size: Triple, window: Triple, shifted: bool) -> tuple[Tensor, Tensor, Tensor]:
    """How a map of `size` = (T, H, W) tokens, padded at the far ends, is divided into W windows of L tokens.

    A shift is half a window along each axis longer than its window; what it pushes out wraps to the far end. Returns
    `there` (W, L): the token's position in the flattened map, with T*H*W for padding; `back` (T*H*W,): the token's
    position in the flattened windows; `regions` (W, L): tokens of a window with different numbers do not belong
    together. All int64. Raises ValueError for a map smaller than a window.
    """
    if any(s < w for s, w in zip(size, window, strict=True)):
        raise ValueError(f"a map of {size} tokens is smaller than a window of {window}")
    shift = [w // 2 if shifted and s > w else 0 for s, w in zip(size, window, strict=True)]
    padded = [-(-s // w) * w for s, w in zip(size, window, strict=True)]
    places = torch.full(padded, prod(size))
    places[: size[0], : size[1], : size[2]] = torch.arange(prod(size)).reshape(size)
    there = _cut(places.roll([-s for s in shift], (0, 1, 2)), window)
    # along an axis, wrapped tokens share a window with others, but are not their neighbours
    t, h, w = (torch.arange(p) >= p - s for p, s in zip(padded, shift, strict=True))
    regions = _cut(4 * t[:, None, None] + 2 * h[:, None] + 1 * w, window)
    return there, there.flatten().argsort()[: prod(size)], regions


def relative_places(window: Triple) -> Tensor:
    """The row of the position table for each pair of a window's tokens, int64 (L, L): query by key."""
    t, h, w = torch.meshgrid(*(torch.arange(size) for size in window), indexing="ij")
    dt, dh, dw = (axis.reshape(-1, 1) - axis.reshape(1, -1) + axis.max() for axis in (t, h, w))
    return (dt * (2 * window[1] - 1) + dh) * (2 * window[2] - 1) + dw


class WindowAttention(nn.Module):
    """Multi-head self-attention among the tokens of each window, with a bias by relative position."""

    relative: Tensor

    def __init__(self, width: int, heads: int, window: Triple) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros(prod(2 * size - 1 for size in window), heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.register_buffer("relative", relative_places(window), persistent=False)

    def forward(self, x: Tensor, regions: Tensor | None) -> Tensor:  # (N, W, L, C), (W, L)
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind()  # each (N, W, heads, L, C / heads)
        bias = self.relative_position_bias_table[self.relative].permute(2, 0, 1)  # (heads, L, L)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
        if regions is not None:
            logits = logits + _APART * (regions[:, None, :, None] != regions[:, None, None, :]).to(logits.dtype)
        out: Tensor = self.proj((logits.softmax(-1) @ v).transpose(2, 3).flatten(3))
        return out


class Mlp(nn.Module):
    """Linear layer to four times the width, GELU, linear layer back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Windowed attention and MLP, each behind a LayerNorm and with a residual connection."""

    there: Tensor
    back: Tensor
    regions: Tensor

    def __init__(self, width: int, heads: int, size: Triple, window: Triple, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        there, back, regions = lay_out(size, window, shifted)
        self.padded = there.numel() > prod(size)
        self.shifted = shifted and any(s > w for s, w in zip(size, window, strict=True))
        self.register_buffer("there", there, persistent=False)
        self.register_buffer("back", back, persistent=False)
        self.register_buffer("regions", regions, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, T*H*W, C)
        y = self.norm1(x)
        if self.padded:
            y = functional.pad(y, (0, 0, 0, 1))  # the token of zeros, to which `there` refers as T*H*W
        y = y.index_select(1, self.there.flatten()).unflatten(1, self.there.shape)  # (N, W, L, C)
        y = self.attn(y, self.regions if self.shifted else None)
        x = x + y.flatten(1, 2).index_select(1, self.back)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Two by two tokens in space become one of twice the width; an odd edge is padded at the far end."""

    def __init__(self, width: int, size: Triple) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, T*H*W, C) -> (N, T*ceil(H/2)*ceil(W/2), 2C)
        x = x.unflatten(1, self.size)
        if self.size[1] % 2 or self.size[2] % 2:
            x = functional.pad(x, (0, 0, 0, self.size[2] % 2, 0, self.size[1] % 2))
        # the column is the slow index of the four
        x = torch.cat([x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=-1)
        out: Tensor = self.reduction(self.norm(x.flatten(1, 3)))
        return out


class Layer(nn.Module):
    """Blocks of one width, every second one shifted, and the merging after all layers except the last."""

    def __init__(self, width: int, depth: int, heads: int, size: Triple, window: Triple, last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, heads, size, window, bool(i % 2)) for i in range(depth)))
        self.downsample = nn.Identity() if last else PatchMerging(width, size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.downsample(self.blocks(x))
        return out


class PatchEmbedding(nn.Module):
    """Patches of 2 x 4 x 4 pixels to tokens; (N, 3, T, H, W) -> (N, tokens, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, PATCH, PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.proj(x).flatten(2).transpose(1, 2))
        return out


class VideoSwin(nn.Module):
    """RGB clip to feature: uint8 (N, 16, 224, 224, 3) -> float32 (N, 768), the mean of the last, normalised map.

    The base network has 1,024 features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: VideoSwinConfig | None = None) -> None:
        super().__init__()
        config = config or VideoSwinConfig()
        t, h, w = (pixels // patch for pixels, patch in zip(config.clip, PATCH, strict=True))
        self.patch_embed = PatchEmbedding(config.embedding)
        self.layers = nn.Sequential()
        for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True)):
            last = i == len(config.depths) - 1
            self.layers.append(Layer(config.embedding << i, depth, heads, (t, h, w), config.window, last))
            h, w = -(-h // 2), -(-w // 2)
        self.norm = nn.LayerNorm(config.embedding << (len(config.depths) - 1))
        self.register_buffer("mean", torch.tensor(MEAN), persistent=False)
        self.register_buffer("std", torch.tensor(STD), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        x = (clips.to(self.norm.weight.dtype) - self.mean) / self.std
        x = self.layers(self.patch_embed(x.permute(0, 4, 1, 2, 3)))
        features: Tensor = self.norm(x).mean(dim=1)
        return features


def base() -> VideoSwin:
    """The base network without weights."""
    return VideoSwin(BASE)


def load_base(path: Path | None) -> VideoSwin:
    """`load` for the base network."""
    return load(path, "B")


def load(path: Path | None, size: Literal["T", "B"] = "T") -> VideoSwin:
    """The network with the weights of a published checkpoint, in evaluation mode.

    The file contains a dict with, under `state_dict`, the names of `VideoSwin().state_dict()` prefixed by `backbone.`;
    the classifier `cls_head.*` and the buffers `relative_position_index` are ignored. Raises WeightsError without a
    file, for a damaged one, for other networks (naming those of the family), and if names or shapes differ.
    """
    backbone = f"videoswin-{size.lower()}"
    if path is None:
        raise WeightsError(
            f"backbone {backbone} has no weights that can be downloaded: provide the published Kinetics-400 checkpoint "
            f"({_FILES[size]}; keys backbone.patch_embed.proj.weight ... "
            "backbone.norm.bias under state_dict) with --backbone-weights FILE"
        )
    content = read_dict(path, backbone)
    key = next((key for key in ("state_dict", "model") if isinstance(content.get(key), dict)), None)
    state = {str(name): value for name, value in (content if key is None else content[key]).items()}
    first = next((name for name in state if name.endswith(_TABLE)), None)
    if first is None:
        raise WeightsError(
            f"weights of {backbone}: {path} is not a Video Swin checkpoint: no name in it ends with {_TABLE}"
        )
    prefix = first.removesuffix(_TABLE)
    if found := _relative(state, prefix, size):
        raise WeightsError(
            f"weights of {backbone}: {path} holds {found}, expected Video Swin-{size} with patches of 2 x 4 x 4 and "
            "windows of 8 x 7 x 7"
        )
    if key != "state_dict" or prefix != "backbone.":
        where = f"under {key}" if key else "at the top"
        raise WeightsError(
            f"weights of {backbone}: {path} has {first[:80]!r} {where}, expected 'backbone.{_TABLE}' under state_dict"
        )
    aside = [name for name in state if name.startswith("cls_head.") or name.endswith(".relative_position_index")]
    for name in aside:
        del state[name]
    return filled(VideoSwin if size == "T" else base, state, path, backbone, "backbone.")


def _relative(state: Mapping[str, Any], prefix: str, wanted: str) -> str | None:
    """Which other network of the Swin family this is, for the user; None: this one, or unknown."""
    patches, table = _shape(state.get(prefix + _PATCHES)), _shape(state[prefix + _TABLE])
    if len(patches) == 4:
        return "an image Swin Transformer (without patches in time)"
    depth = len({name.partition("layers.2.blocks.")[2].partition(".")[0] for name in state} - {""})
    size = _SIZES.get((patches[0], depth)) if len(patches) == 5 else None
    if size != wanted:
        return f"Video Swin-{size}" if size else None
    if patches[2:] != PATCH:
        return f"Video Swin-{wanted} with patches of {' x '.join(map(str, patches[2:]))}"
    rows = prod(2 * side - 1 for side in VideoSwinConfig.window)
    if table and table[0] != rows:
        return f"Video Swin-{wanted} with position tables of {table[0]} rows, which belong to another window"
    return None


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) and not value.is_nested else ()
