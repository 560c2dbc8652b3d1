"""What both networks have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export.onnx import export_head
from mgfn.extended import Extended, ExtendedConfig
from mgfn.network import Head, HeadConfig, magnitude_of
from mgfn.paper import Paper, PaperConfig
from mgfn.released import Released, ReleasedConfig
from tests.mgfn.networks import SMALL_RELEASED, seeded


@pytest.mark.parametrize("head", [Paper(PaperConfig(64)), Released(SMALL_RELEASED)], ids=["paper", "released"])
def test_constant_features_give_finite_gradients(head: Paper | Released) -> None:
    head.train()
    with torch.no_grad():  # every clip's channels are alike from the first block on
        head.to_tokens.weight.zero_()
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        head.to_mag.weight.zero_()
        assert head.to_mag.bias is not None
        head.to_mag.bias.zero_()
    out = head(torch.ones(2, 4, 1, head.config.channels))
    (out.scores.sum() + out.magnitudes.sum()).backward()
    assert all(bool(value.grad.isfinite().all()) for value in head.parameters() if value.grad is not None)


@pytest.mark.parametrize(
    ("head", "expected"),
    # the reduction doubles; the convolution gives |f| to channel 0 and the clip before's |f| plus 2 to channel 1
    [
        (Paper(PaperConfig(2, widths=(2, 2))), [[7.0, 0.0, 14.0], [8.4, 1.4, 16.4]]),
        (Released(ReleasedConfig(2, widths=(2, 2, 2))), [[6.5, 0.0, 13.0], [8.2, 0.7, 16.2]]),
    ],
    ids=["paper", "released"],
)
def test_magnitude_is_added_before_the_reduction_or_after_it(
    head: Paper | Released, expected: list[list[float]]
) -> None:
    with torch.no_grad():
        head.to_mag.weight.copy_(torch.tensor([[[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]]))
        assert head.to_mag.bias is not None
        head.to_mag.bias.copy_(torch.tensor([0.0, 2.0]))
        head.to_tokens.weight.zero_()
        head.to_tokens.weight[:, :, 1] = 2 * torch.eye(2)
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        x = torch.tensor([[[3.0, 0.0, 6.0], [4.0, 0.0, 8.0]]])  # |f| is 5, 0, 10
        out = head.reduce(x, magnitude_of(x))
    np.testing.assert_allclose(out[0].numpy(), expected, rtol=1e-5)


def test_magnitudes_before_and_after_normalisation() -> None:
    """Until its gains are learnt, the layer normalisation leaves every clip the same norm: nothing to select by."""
    torch.manual_seed(0)
    x = torch.rand(4, 32, 1, 256)
    with torch.no_grad():
        paper = Paper(PaperConfig(256)).eval()(x)
        released = Released(ReleasedConfig(256, widths=(8, 8, 16))).eval()(x)
    for out in (paper, released):
        torch.testing.assert_close(out.magnitudes, out.features[:, 0].norm(dim=-1))
    assert float(paper.magnitudes.std()) > 0.05
    torch.testing.assert_close(released.magnitudes, torch.full((4, 32), 16.0).sqrt(), atol=1e-2, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "config"),
    [
        pytest.param(Paper, PaperConfig(64), id="GF"),
        pytest.param(Paper, PaperConfig(64, "GF-fusion"), id="fusion"),
        pytest.param(Released, SMALL_RELEASED, id="released"),
        pytest.param(
            Extended,
            ExtendedConfig(PaperConfig(64), smoothing=3, root=True, relative=True, probes=2),
            id="extended",
        ),
    ],
)
def test_onnx_takes_every_length(tmp_path: Path, make: Callable[[HeadConfig], Head], config: HeadConfig) -> None:
    head = seeded(make, config)
    export_head(head, config.channels, 2, tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for clips in (1, 2, 32):
        x = torch.rand(3, clips, 2, config.channels)
        with torch.inference_mode():
            expected = head(x).scores.numpy()
        np.testing.assert_allclose(session.run(None, {"windows": x.numpy()})[0], expected, atol=1e-5)
