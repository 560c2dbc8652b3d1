"""The heat map of a bundle: as in PyTorch, on both runtimes, and warm where the probes find something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import heat_map as runtimes
from engine.bundle import Bundle
from engine.errors import BackendError
from engine.heat_map import HEAT_MAP, has_heat_map, heat_map
from mgfn.backbones.i3d import I3D
from mgfn.extended import Ensemble, Extended, ExtendedConfig
from mgfn.heat import SIDE, HeatMap, can_be_mapped
from mgfn.paper import PaperConfig
from tests.bundles import TinyBackbone, field_sources


def clip_of(corner: bool) -> np.ndarray:
    """A dark clip, in which the lower right lights up."""
    clip = np.full((16, 224, 224, 3), 40, np.uint8)
    if corner:
        clip[9:, 112:, 112:] = 250
    return clip


def test_both_runtimes_give_what_pytorch_gives(field_bundle: Path) -> None:
    sources, bundle = field_sources(), Bundle.open(field_bundle)
    assert sources.head is not None
    assert has_heat_map(bundle)
    clip = clip_of(True)
    for length in (1, 2, 32):
        window = np.random.default_rng(length).uniform(0, 1, (length, 1, 64)).astype(np.float32)
        with torch.inference_mode():
            network = HeatMap(sources.backbone, sources.head)
            wanted = network(torch.from_numpy(clip[None]), torch.from_numpy(window[None]))
        for run in (runtimes._onnxruntime, runtimes._openvino):
            heat = run(str(bundle.file(HEAT_MAP)), clip[None], window[None])
            np.testing.assert_allclose(heat, wanted[0].numpy(), rtol=1e-3, atol=1e-5)
    with pytest.raises(BackendError, match=r"heat.onnx: "):
        heat_map(bundle, clip[:8], window)


def test_it_is_warm_where_the_probe_that_fired_finds_movement_and_nowhere_in_a_still_clip() -> None:
    head = Extended(ExtendedConfig(PaperConfig(64, widths=(8, 8)), probes=2)).eval()
    with torch.no_grad():
        head.probes.weight.zero_()
        head.probes.weight[0] = 1.0  # brightness
    heat = HeatMap(TinyBackbone().eval(), head)
    window = torch.ones(1, 3, 1, 64)
    with torch.inference_mode():
        found = heat(torch.from_numpy(clip_of(True)[None]), window)[0]
        still = heat(torch.from_numpy(clip_of(False)[None]), window)[0]
    assert found.shape == (SIDE, SIDE)
    assert found[8:, 8:].min() > 0
    assert found[:6].max() == found[:, :6].max() == still.max() == 0


def test_which_networks_have_one() -> None:
    with_probes = ExtendedConfig(PaperConfig(64, widths=(8, 8)), probes=1)
    assert can_be_mapped(TinyBackbone(), Extended(with_probes), 1)
    assert can_be_mapped(TinyBackbone(), Ensemble(ExtendedConfig(with_probes.network, probes=1, members=2)), 1)
    assert not can_be_mapped(TinyBackbone(), Extended(with_probes), 2)
    assert not can_be_mapped(TinyBackbone(), Extended(ExtendedConfig(with_probes.network)), 1)
    assert not can_be_mapped(TinyBackbone(), None, 1)
    assert not can_be_mapped(torch.nn.Identity(), Extended(with_probes), 1)


@pytest.mark.slow
def test_the_maps_of_i3d_are_those_of_its_feature() -> None:
    torch.manual_seed(0)
    network = I3D().eval()
    network.layers = ("Mixed_4f", "Mixed_5b", "Mixed_5c")
    clip = torch.randint(0, 256, (1, 16, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        means = torch.cat([layer.mean(dim=(2, 3, 4)) for layer in network.maps(clip)], dim=1)
        torch.testing.assert_close(means, network(clip), rtol=1e-4, atol=1e-6)
