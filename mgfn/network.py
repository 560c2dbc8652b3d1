"""MGFN, the Magnitude-Contrastive Glance-and-Focus Network (Chen et al., AAAI 2023), by configuration.

One network serves the paper's text and the authors' released code, which differ:

| | paper | released |
|---|---|---|
| feature amplification (eq. 1, 2) | added to the C channels, before they are reduced | added to the reduced ones |
| glance, focus | 1 block of C/32, 1 block of C/16 | 3 of 64, 3 of 128, 2 more focus blocks of 1024 |
| self-attentional convolution | no weights (eq. 6, 7) | a learnt kernel of 5 clips for each head |
| magnitude of a clip | of the last block's output (eq. 9) | of that output after its layer normalisation |

Shapes: N windows (or videos), T clips, P crops, C channels of the backbone, D width of the last stage.
"""

from __future__ import annotations

import math
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["glance", "focus"]
Structure = Literal["GF", "FG", "FF", "GF-fusion"]

_HEAD_WIDTH = 64


def _heads(width: int) -> int:
    return max(1, width // _HEAD_WIDTH)


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind and width, one after the other."""

    kind: Kind
    width: int
    depth: int


@dataclass(frozen=True)
class MgfnConfig:
    """What a network is built from; saved beside its weights.

    `alpha` weighs the amplified magnitude (eq. 2); 0 leaves feature amplification out.
    `fusion` runs the stages side by side and adds them (GF-fusion, figure 5 c) instead of one after the other.
    `weightless` takes the paper's self-attentional convolution, else the released one.
    `normalised_magnitude`: of the last features after layer normalisation, which leaves their L2 norm at the root of
    their width until its gains are learnt, so that no clip is larger than another; else before it.
    `standardise` keeps a mean and a deviation of each channel, learnt from the training features.
    `root` takes the square root of each feature's size first: few large channels no longer outweigh the rest.
    `relative` shows the network what differs from the scene: the mean of the window's clips is taken away, together
    with the training mean, which counts as `scene_prior` clips; a window of one clip is compared with it alone.
    `probes` linear probes of what the network is shown stand beside it: their soft maximum is added to its logit.
    `smoothing`: a clip's score is the mean of its own and of those before it, so many together (a first clip's own
    stands for what is missing): alarms no longer flicker, at half that delay.
    `members` networks of one shape, trained apart, score together (see `make_head`).
    Raises ValueError for settings that no network can be built from.
    """

    channels: int
    stages: tuple[Stage, ...]
    alpha: float = 0.1
    amplify_reduced: bool = False
    fusion: bool = False
    weightless: bool = True
    normalised_magnitude: bool = True
    reduce_kernel: int = 3
    expansion: int = 4
    dropout: float = 0.0
    standardise: bool = False
    root: bool = False
    relative: bool = False
    scene_prior: float = 4.0
    probes: int = 0
    smoothing: int = 1
    members: int = 1

    def __post_init__(self) -> None:
        if not self.stages or self.members < 1 or self.channels < 1:
            raise ValueError(f"{len(self.stages)} stages, {self.members} members, {self.channels} channels: all from 1")
        for stage in self.stages:
            # the normalisation over one channel is nothing but its bias
            if stage.width < 2 or stage.depth < 1:
                raise ValueError(
                    f"a stage of width {stage.width}, depth {stage.depth}; must be at least 2 and at least 1"
                )
            has_heads = stage.kind == "glance" or not self.weightless
            if has_heads and stage.width % _heads(stage.width):
                raise ValueError(f"width {stage.width} does not split evenly into {_heads(stage.width)} heads")
        if self.fusion and len({stage.width for stage in self.stages}) > 1:
            raise ValueError("fused stages have different widths; they are added, so all must have the same")
        if not 1 <= self.reduce_kernel <= 31 or self.reduce_kernel % 2 == 0:
            raise ValueError(f"reduce_kernel {self.reduce_kernel}; must be odd, from 1 to 31")
        if not 1 <= self.expansion <= 64:
            raise ValueError(f"expansion {self.expansion}; must be from 1 to 64")
        if not 0 <= self.dropout < 1 or not math.isfinite(self.alpha):
            raise ValueError(
                f"dropout {self.dropout}, alpha {self.alpha}; must be from 0 to below 1, and a finite number"
            )
        if not 0 < self.scene_prior <= 1000:
            raise ValueError(f"scene_prior {self.scene_prior}; must be above 0 and at most 1000")
        if not 1 <= self.smoothing <= 32 or not 0 <= self.probes <= 32:
            raise ValueError(f"smoothing {self.smoothing}, probes {self.probes}; must be from 1 to 32 and from 0 to 32")
        if self.relative and not self.standardise:
            raise ValueError("relative needs standardise, which provides the training mean")

    @classmethod
    def paper(cls, channels: int, structure: Structure = "GF") -> MgfnConfig:
        """The paper's text: widths C/32 for the first block and C/16 for the second (structures: table 3).

        Change single settings with `dataclasses.replace`.
        """
        narrow, wide = channels // 32, channels // 16
        stages = {
            "GF": (Stage("glance", narrow, 1), Stage("focus", wide, 1)),
            "FG": (Stage("focus", narrow, 1), Stage("glance", wide, 1)),
            "FF": (Stage("focus", narrow, 1), Stage("focus", wide, 1)),
            "GF-fusion": (Stage("glance", wide, 1), Stage("focus", wide, 1)),
        }
        return cls(channels, stages[structure], fusion=structure == "GF-fusion", normalised_magnitude=False)

    @classmethod
    def released(cls, channels: int = 2048) -> MgfnConfig:
        """The authors' code: its state dict loads name by name."""
        stages = (Stage("glance", 64, 3), Stage("focus", 128, 3), Stage("focus", 1024, 2))
        return cls(channels, stages, amplify_reduced=True, weightless=False)


class MgfnOutput(NamedTuple):
    """`scores` (N, T) in [0, 1], mean over crops; `features` (N, P, T, D), the last ones (f_FB of eq. 9), after their
    normalisation or before it (`normalised_magnitude`); `magnitudes` (N, T), their L2 norm, mean over crops.
    `logits` (N, P, T): of each crop, before the sigmoid, the mean over crops and any smoothing; losses use them,
    because a score of exactly 0 or 1 has no gradient."""

    scores: Tensor
    magnitudes: Tensor
    features: Tensor
    logits: Tensor


class HeadConfig(Protocol):
    """What a head is built from: a dataclass of plain values, saved beside the weights."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def channels(self) -> int: ...


class Head(nn.Module):
    """What scores windows of features: float32 (N, T, P, C) -> MgfnOutput. MGFN here, others in `mgfn.baselines`."""

    config: HeadConfig


class ChannelNorm(nn.Module):
    """Layer normalisation of (B, D, T) over D; divides by (deviation + eps), as the authors' code does."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1, width, 1))
        self.b = nn.Parameter(torch.zeros(1, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        # the root has no slope at zero; 1e-15 is lost beside eps, so no value changes
        deviation = centred.square().mean(dim=1, keepdim=True).clamp_min(1e-30).sqrt()
        return centred / (deviation + self.eps) * self.g + self.b


class GlanceAttention(nn.Module):
    """Video clip-level transformer (eq. 3 to 5): every clip attends to every clip of the window."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = _heads(width)
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
        self.heads = _heads(width)
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
    """Self-attentional convolution as in the paper (eq. 6, 7): no weight of its own.

    The equations name k1 both as the output channel and as an index of summation, over all channels, where the
    text says kernel 5 and "nearby channels". Our reading: each channel is multiplied by the sum of its five
    nearest, F_sac[k1] = F[k1] * sum over |k2 - k1| <= 2 of F[k2], here of normalised features, and the mean
    instead of the sum, so that the product keeps the scale of its factors.
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
    """Short-cut convolution, attention, two-layered FFN; each is added to what it is given (figure 4)."""

    def __init__(self, kind: Kind, width: int, config: MgfnConfig) -> None:
        attention: nn.Module
        if kind == "glance":
            attention = GlanceAttention(width)
        else:
            attention = FocusSelfConvolution(width) if config.weightless else FocusConvolution(width)
        hidden = config.expansion * width
        feed_forward = nn.Sequential(
            ChannelNorm(width),
            nn.Conv1d(width, hidden, 1),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Conv1d(hidden, width, 1),
        )
        super().__init__([nn.Conv1d(width, width, 3, padding=1), attention, feed_forward])

    def forward(self, x: Tensor) -> Tensor:
        for step in self:
            x = step(x) + x
        return x


class Blocks(nn.Module):
    """The blocks of one stage, (B, width, T) -> (B, width, T)."""

    def __init__(self, stage: Stage, config: MgfnConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(stage.kind, stage.width, config) for _ in range(stage.depth)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layers:
            x = block(x)
        return x


class Mgfn(Head):
    """Windows of features to anomaly scores: float32 (N, T, P, C) -> MgfnOutput. Any T >= 1."""

    config: MgfnConfig
    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, config: MgfnConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.stages[0].width, config.stages[-1].width
        self.to_tokens = nn.Conv1d(config.channels, first, config.reduce_kernel, padding=config.reduce_kernel // 2)
        if config.alpha:
            self.to_mag = nn.Conv1d(1, first if config.amplify_reduced else config.channels, 3, padding=1)
        if config.probes:
            self.probes = nn.Conv1d(config.channels, config.probes, 1)
        if config.standardise:
            self.register_buffer("feature_mean", torch.zeros(config.channels))
            self.register_buffer("feature_deviation", torch.ones(config.channels))
        stages: list[nn.Module] = []
        for index, stage in enumerate(config.stages):
            parts: list[nn.Module] = [Blocks(stage, config)]
            if not config.fusion and index + 1 < len(config.stages):
                following = config.stages[index + 1].width
                parts.append(nn.Sequential(ChannelNorm(stage.width), nn.Conv1d(stage.width, following, 1)))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.drop = nn.Dropout(config.dropout)
        self.to_logits = nn.Sequential(nn.LayerNorm(last))
        self.fc = nn.Linear(last, 1)

    def normalised(self, x: Tensor) -> Tensor:
        """Features as the settings `root` and `relative` show them: (B, C, T) -> (B, C, T)."""
        if self.config.root:
            x = x.sign() * x.abs().sqrt()
        if self.config.relative:
            prior = self.config.scene_prior
            scene = (x.sum(dim=-1) + prior * self.feature_mean) / (x.shape[-1] + prior)  # (B, C)
            return x - scene[:, :, None]
        return x

    def standardised(self, x: Tensor) -> Tensor:
        """Normalised features in deviations from their mean: (B, C, T) -> (B, C, T)."""
        if not self.config.standardise:
            return x
        centred = x if self.config.relative else x - self.feature_mean[:, None]
        return centred / self.feature_deviation[:, None]

    def amplify(self, x: Tensor, shown: Tensor) -> Tensor:
        """Feature amplification (eq. 1, 2) and reduction of features, normalised and then standardised.

        Both (B, C, T) -> (B, first width, T); the magnitude is of `x`, what it is added to is `shown`.
        """
        if not self.config.alpha:
            return self._reduce(shown)
        magnitude = x.square().sum(dim=1, keepdim=True).sqrt()  # (B, 1, T)
        amplified = self.config.alpha * self.to_mag(magnitude)
        if self.config.amplify_reduced:
            return self._reduce(shown) + amplified
        return self._reduce(shown + amplified)

    def _reduce(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.to_tokens(self.drop(x))
        return tokens

    def forward(self, features: Tensor) -> MgfnOutput:
        crops = features.shape[2]
        x = self.normalised(features.permute(0, 2, 3, 1).flatten(0, 1))  # (N * P, C, T)
        shown = self.standardised(x)
        probed = self.probes(shown).logsumexp(dim=1) if self.config.probes else None  # (N * P, T)
        x = self.amplify(x, shown)  # (N * P, width, T)
        if self.config.fusion:
            x = torch.stack([stage(x) for stage in self.stages]).sum(dim=0)
        else:
            for stage in self.stages:
                x = stage(x)
        last = x.transpose(1, 2)  # (N * P, T, D)
        normalised = self.to_logits(last)
        logits = self.fc(self.drop(normalised)).squeeze(-1)  # (N * P, T)
        if probed is not None:
            logits = logits + probed
        logits = logits.unflatten(0, (-1, crops))  # (N, P, T)
        scores = torch.sigmoid(logits).mean(dim=1)  # (N, T)
        if (clips := self.config.smoothing) > 1:
            padded = functional.pad(scores[:, None], (clips - 1, 0), mode="replicate")
            scores = functional.avg_pool1d(padded, clips, stride=1)[:, 0]
        last = (normalised if self.config.normalised_magnitude else last).unflatten(0, (-1, crops))  # (N, P, T, D)
        # the root of a sum of squares has no slope at zero
        magnitudes = last.square().sum(dim=-1).clamp_min(1e-12).sqrt().mean(dim=1)
        return MgfnOutput(scores, magnitudes, last, logits)


class MgfnEnsemble(Head):
    """Several networks of one configuration, trained from different seeds; scores are their mean.

    A head trained on few videos swings with its seed; the mean does so much less. `features` are side by side.
    """

    config: MgfnConfig

    def __init__(self, config: MgfnConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList([Mgfn(config) for _ in range(config.members)])

    def forward(self, features: Tensor) -> MgfnOutput:
        outputs = [member(features) for member in self.members]
        return MgfnOutput(
            torch.stack([out.scores for out in outputs]).mean(dim=0),
            torch.stack([out.magnitudes for out in outputs]).mean(dim=0),
            torch.cat([out.features for out in outputs], dim=-1),
            torch.cat([out.logits for out in outputs], dim=1),  # as crops: the mean over both is the members' mean
        )


def make_head(config: MgfnConfig) -> Mgfn | MgfnEnsemble:
    """The network of a configuration, untrained."""
    return Mgfn(config) if config.members == 1 else MgfnEnsemble(config)
