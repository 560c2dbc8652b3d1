"""Linear probes on single clips, trained only with labels of whole videos: they select an abnormal video's incident
clips.

Trained with every clip labelled like its video, a strongly regularised ridge regression learns over many videos what
only abnormal ones contain. The clips that it selects are the labels of the next round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgfn.extended import Extended
from mgfn.training.compose import Composer, FloatArray

# A probe's value is near 0 for ordinary clips and near 1 for incidents: as logits, -4 and 2.
_SLOPE, _OFFSET = 6.0, -4.0
_ROUNDS: Final = 3
_FEWEST: Final = 3  # number of an abnormal video's clips that are its incident's: the paper's k
_ORDINARY_BELOW: Final = 0.95  # share of normal videos' clips


@dataclass(frozen=True)
class Probe:
    """Ridge regression on the network's input for a clip: `slopes` (C,) and `intercept`, float64.

    In an abnormal video, clips whose value, the mean over three neighbours, is above `threshold` are the incident's.
    """

    slopes: Tensor
    intercept: Tensor
    threshold: float

    def picked(self, shown: Tensor) -> NDArray[np.bool_]:
        """(T,): the incident's clips of an abnormal video, from the network's input (T, crops, C)."""
        values = smoothed(shown @ self.slopes.float())
        found = values > self.threshold
        found[np.argsort(values)[-_FEWEST:]] = True
        return found


def fit_probe(
    head: Extended, composer: Composer, tampering: bool, streams: int = 600, penalty: float = 2.6, rounds: int = _ROUNDS
) -> Probe:
    """A probe for one kind of incident, on the standardised inputs of `head`; `penalty` for each clip.

    It only uses the features of each composed stream, and whether it contains an incident.
    """
    # every other pair is a window that fills up: there the scene is only compared with the training mean
    lengths = [32 if i % 4 < 2 else 1 + i % 31 for i in range(streams)]
    videos = [shown(head, composer.stream(t, bool(i % 2), tampering).features) for i, t in enumerate(lengths)]
    labels = [np.full(len(video), bool(i % 2)) for i, video in enumerate(videos)]
    crops = videos[0].shape[1]
    x = torch.cat([video.flatten(0, 1) for video in videos])
    for turn in range(rounds + 1):
        y = torch.from_numpy(np.concatenate(labels).repeat(crops)).double()
        slopes, intercept = ridge(x, y, penalty)
        normal = np.concatenate([smoothed(video @ slopes.float()) for video in videos[::2]])
        probe = Probe(slopes, intercept, float(np.quantile(normal, _ORDINARY_BELOW)))
        if turn < rounds:
            labels = [probe.picked(video) if i % 2 else labels[i] for i, video in enumerate(videos)]
    return probe


@torch.no_grad()
def add_probes(head: Extended, probes: Sequence[Probe], network_share: float) -> None:
    """Add the probes to the network, whose own logits then count `network_share`.

    A network trained on few recordings is fully confident that some ordinary clip is an incident; a strongly
    regularised ridge regression rarely is, and knows nothing of earlier clips. Raises ValueError if their number is not
    the one that the head has.
    """
    if len(probes) != head.config.probes:
        raise ValueError(f"{head.config.probes} probes for {len(probes)} kinds of incident")
    for index, probe in enumerate(probes):
        head.get_parameter("probes.weight")[index, :, 0] = _SLOPE * probe.slopes
        head.get_parameter("probes.bias")[index] = _SLOPE * probe.intercept + _OFFSET
    head.network.fc.weight.mul_(network_share)
    head.network.fc.bias.mul_(network_share)


@torch.no_grad()
def shown(head: Extended, features: FloatArray) -> Tensor:
    """The network's input for a video (T, crops, C): the same shape, standardised."""
    x = torch.from_numpy(features).permute(1, 2, 0)
    return head.standardised(head.normalised(x)).permute(2, 0, 1)


def smoothed(values: Tensor) -> FloatArray:
    """(T, crops) -> (T,): the mean over crops and over each clip and its neighbours; the ends count twice."""
    of_clips = np.pad(values.mean(dim=1).numpy(), 1, mode="edge")
    return np.convolve(of_clips, np.full(3, 1 / 3, np.float32), "valid")


def ridge(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Slopes (C,) and intercept of y in {0, 1} on x (n, C), with equal weight for both classes, in float64.

    Least squares with weights of mean 1, plus `penalty` times n times the squared slopes.
    """
    x = x.double()
    weights = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    mean_x, mean_y = (weights[:, None] * x).mean(dim=0), (weights * y).mean()
    weighted = (x - mean_x) * weights[:, None]
    gram = weighted.T @ (x - mean_x) / len(x)
    slopes = torch.linalg.solve(
        gram + penalty * torch.eye(len(gram), dtype=x.dtype), weighted.T @ (y - mean_y) / len(x)
    )
    return slopes, mean_y - mean_x @ slopes
