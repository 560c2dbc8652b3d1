"""The blocks of MGFN (figure 4): glance and focus, over windows (B, D, T) of T clips with D channels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["glance", "focus"]

_HEAD_WIDTH = 64


def heads_of(width: int) -> int:
    """The number of attention heads of a block: one for each 64 channels. Raises ValueError if they do not divide
    evenly.
    """
    heads = max(1, width // _HEAD_WIDTH)
    if width % heads:
        raise ValueError(f"width {width} does not split evenly into {heads} heads")
    return heads


class ChannelNorm(nn.Module):
    """Layer normalisation of (B, D, T) over D; divides by (deviation + eps), as the authors' code does."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1, width, 1))
        self.b = nn.Parameter(torch.zeros(1, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        # the root has no slope at zero; 1e-15 is negligible beside eps, so no value changes
        deviation = centred.square().mean(dim=1, keepdim=True).clamp_min(1e-30).sqrt()
        return centred / (deviation + self.eps) * self.g + self.b


class GlanceAttention(nn.Module):
    """Video clip-level transformer (eq. 3 to 5): every clip attends to every clip of the window.

    Our reading, as in the authors' code: the dot product of equation 3 is scaled by 1/sqrt(d), d channels of a head;
    there is one head for each 64 channels, where the equations have one for all; a layer normalisation precedes the
    attention (pre-normalisation), and a convolution with kernel 1 follows. The paper mentions none of these. At its
    widths, C/32 of 1,024 or 2,048 channels, there is one head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.scale = (width // self.heads) ** -0.5
        self.norm = ChannelNorm(width)
        self.to_qkv = nn.Conv1d(width, 3 * width, 1, bias=False)
        self.to_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(self.norm(x)).unflatten(1, (3, self.heads, -1))  # (B, 3, heads, d, T)
        query, key, value = qkv.unbind(1)
        attention = ((query * self.scale).transpose(-1, -2) @ key).softmax(dim=-1)  # (B, heads, T, T)
        out: Tensor = self.to_out((value @ attention.transpose(-1, -2)).flatten(1, 2))  # (B, D, T)
        return out


class FocusConvolution(nn.Module):
    """Self-attentional convolution as released: a kernel of 5 clips for each head, shared by its 64 channels."""

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norm = nn.BatchNorm1d(width)
        self.to_v = nn.Conv1d(width, width, 1, bias=False)
        self.rel_pos = nn.Conv1d(self.heads, self.heads, kernel, padding=kernel // 2, groups=self.heads)
        self.to_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        value = self.to_v(self.norm(x)).unflatten(1, (-1, self.heads))  # head index innermost: (B, d, heads, T)
        near = self.rel_pos(value.flatten(0, 1)).unflatten(0, (-1, value.shape[1]))
        out: Tensor = self.to_out(near.flatten(1, 2))
        return out


class FocusSelfConvolution(nn.Module):
    """Self-attentional convolution as in the paper (eq. 6, 7), which itself has no weights.

    Its layer normalisation (ours, as in the other blocks) does have weights, a factor and an offset for each channel:
    128 at width 64. The paper says "without any learnable weight" of the convolution and does not mention a
    normalisation.

    The equations use k1 both as the output channel and as an index of summation over all channels, while the text says
    kernel 5 and "nearby channels". Our reading: each channel is multiplied by the sum of its five nearest, F_sac[k1] =
    F[k1] * sum over |k2 - k1| <= 2 of F[k2], of normalised features, with the mean instead of the sum, so that the
    product keeps the scale of its factors.
    """

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        near = functional.avg_pool1d(y.transpose(1, 2), self.kernel, stride=1, padding=self.kernel // 2)
        return y * near.transpose(1, 2)


class Block(nn.ModuleList):
    """Short-cut convolution, attention, two-layered FFN, each with a residual connection: (B, D, T) -> (B, D, T).

    Attention and FFN normalise their input (pre-normalisation), so that the residual path is not normalised. Figure 4
    shows no normalisation.
    """

    def __init__(self, attention: nn.Module, width: int, expansion: int = 4, dropout: float = 0.0) -> None:
        feed_forward = nn.Sequential(
            ChannelNorm(width),
            nn.Conv1d(width, expansion * width, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(expansion * width, width, 1),
        )
        super().__init__([nn.Conv1d(width, width, 3, padding=1), attention, feed_forward])

    def forward(self, x: Tensor) -> Tensor:
        for step in self:
            x = step(x) + x
        return x


class Blocks(nn.Module):
    """Blocks one after the other, (B, D, T) -> (B, D, T)."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layers:
            x = block(x)
        return x


def widen(width: int, following: int) -> nn.Sequential:
    """What is between two stages: (B, width, T) -> (B, following, T)."""
    return nn.Sequential(ChannelNorm(width), nn.Conv1d(width, following, 1))
