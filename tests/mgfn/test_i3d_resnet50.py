"""I3D-ResNet50: the published state dict's names and shapes, its arithmetic and its loader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mgfn.backbones.i3d_resnet50 import I3DResNet50, load
from mgfn.weights import WeightsError

SHAPES = Path(__file__).parents[3] / "shared" / "reference" / "released_i3d_r50.shapes.json"


def seeded(seed: int = 0) -> I3DResNet50:
    torch.manual_seed(seed)
    model = I3DResNet50().eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model


def direct_reading(state: dict[str, Tensor], clips: Tensor) -> Tensor:
    """The published description, block by block, straight from the state dict."""

    def bn(x: Tensor, name: str) -> Tensor:
        shape = (1, -1, 1, 1, 1)
        mean, var = state[f"{name}.running_mean"].view(shape), state[f"{name}.running_var"].view(shape)
        return (x - mean) / (var + 1e-5).sqrt() * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(
            shape
        )

    x = clips.permute(0, 4, 1, 2, 3).float() * 2 / 255 - 1
    x = bn(functional.conv3d(x, state["conv1.weight"], stride=2, padding=(2, 3, 3)), "bn1").relu()
    x = functional.max_pool3d(x, (2, 3, 3), (2, 2, 2))
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            kernel = state[f"{name}.conv1.weight"]
            y = bn(functional.conv3d(x, kernel, padding=(kernel.shape[2] // 2, 0, 0)), f"{name}.bn1").relu()
            y = functional.conv3d(y, state[f"{name}.conv2.weight"], stride=(1, stride, stride), padding=(0, 1, 1))
            y = functional.conv3d(bn(y, f"{name}.bn2").relu(), state[f"{name}.conv3.weight"])
            y = bn(y, f"{name}.bn3")
            if f"{name}.downsample.0.weight" in state:
                x = functional.conv3d(x, state[f"{name}.downsample.0.weight"], stride=(1, stride, stride))
                x = bn(x, f"{name}.downsample.1")
            x = (x + y).relu()
        if layer == 1:
            x = functional.max_pool3d(x, (2, 1, 1), (2, 1, 1))
    return x.mean((2, 3, 4))


@pytest.mark.skipif(not SHAPES.exists(), reason="../shared/reference is absent")
def test_names_and_shapes_are_the_published_ones() -> None:
    published = {name: tuple(shape) for name, shape in json.loads(SHAPES.read_text()).items()}
    assert {name: tuple(value.shape) for name, value in I3DResNet50().state_dict().items()} == published


@pytest.mark.slow
def test_equals_a_direct_reading(tmp_path: Path) -> None:
    torch.save(seeded().state_dict(), tmp_path / "r50.pth")
    model = load(tmp_path / "r50.pth")
    clips = torch.randint(0, 256, (1, 16, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        features, expected = model(clips), direct_reading(dict(model.state_dict()), clips)
    assert features.shape == (1, 2048)
    assert float((features - expected).norm() / expected.norm()) <= 1e-4


def test_without_weights_says_what_to_pass() -> None:
    with pytest.raises(WeightsError, match=r"--backbone-weights FILE"):
        load(None)


def test_foreign_state_dict_names_keys(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "image.pth")
    with pytest.raises(WeightsError, match=r"does not fit.*bn1\.bias"):
        load(tmp_path / "image.pth")


@pytest.mark.parametrize("content", [[1, 2], {"conv1.weight": 3}, {0: torch.zeros(1)}, {"state_dict": {}}])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(
        WeightsError, match=r"expected a state dict$|does not fit: missing conv1|does not fit: missing bn1"
    ):
        load(tmp_path / "other.pth")


def test_pickle_with_code_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": np.random.default_rng}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        load(tmp_path / "evil.pth")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1000)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:500])
    with pytest.raises(WeightsError, match="cannot read"):
        load(tmp_path / "cut.pth")
