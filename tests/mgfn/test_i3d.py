"""I3D: "SAME" padding by hand, and every released array in its place.

The exported graph is compared in tests/test_default_bundle.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mgfn.backbones import BACKBONES
from mgfn.backbones.i3d import CHANNELS, I3D, LAYERS, MaxPool3dSame, Unit3D, load_kinetics
from mgfn.weights import FloatArray, WeightsError, fetch, read_arrays

MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
BRANCHES = (
    "Branch_0/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0b_3x3",
    "Branch_2/Conv3d_0a_1x1",
    "Branch_2/Conv3d_0b_3x3",
    "Branch_3/Conv3d_0b_1x1",
)
UNITS = [
    "Conv3d_1a_7x7",
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    *(f"Mixed_{mixed}/{branch}" for mixed in MIXED for branch in BRANCHES),
]


@pytest.fixture(scope="module")
def untrained() -> I3D:
    torch.manual_seed(0)
    return I3D().eval()


@pytest.fixture
def arrays(untrained: I3D) -> dict[str, FloatArray]:
    """A tree of the release's names and shapes: every unit's arrays are filled with the unit's own number."""
    found: dict[str, FloatArray] = {}
    for number, unit in enumerate(UNITS, start=1):
        conv = untrained.get_submodule(f"{unit.replace('/', '.')}.conv").weight
        assert isinstance(conv, torch.Tensor)
        out, given, *kernel = conv.shape
        found[f"params/{unit}/Conv_0/kernel"] = np.full((*kernel, given, out), number, np.float32)
        found[f"params/{unit}/BatchNorm_0/bias"] = np.full(out, number + 0.25, np.float32)
        found[f"batch_stats/{unit}/BatchNorm_0/mean"] = np.full((1, 1, 1, 1, out), number + 0.5, np.float32)
        found[f"batch_stats/{unit}/BatchNorm_0/var"] = np.full((1, 1, 1, 1, out), number + 0.75, np.float32)
    found["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"] = np.full((1, 1, 1, 1024, 400), -1, np.float32)
    found["params/Logits/Conv3d_0c_1x1/Conv_0/bias"] = np.full(400, -2, np.float32)
    return found


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    # TensorFlow: out = ceil(size / stride), total = (out - 1) * stride + kernel - size, the odd one at the far end
    [(224, 7, 2, 2, 3), (16, 7, 2, 2, 3), (112, 3, 2, 0, 1), (28, 3, 2, 0, 1), (14, 3, 1, 1, 1), (7, 2, 2, 0, 1)],
)
def test_same_padding_by_hand(size: int, kernel: int, stride: int, before: int, after: int) -> None:
    unit = Unit3D(1, 1, (1, 1, kernel), (1, 1, stride)).eval()
    row = torch.rand(size)
    found = unit.conv.weight.detach().flatten()
    padded = functional.pad(row, (before, after))
    by_hand = torch.stack([padded[i : i + kernel] @ found for i in range(0, len(padded) - kernel + 1, stride)])
    with torch.inference_mode():
        out = unit(row[None, None, None, None])[0, 0, 0, 0]
    assert len(out) == -(-size // stride)
    torch.testing.assert_close(out, (by_hand / (1 + 1e-3) ** 0.5).relu())


def test_pooling_pads_at_the_far_end() -> None:
    pool = MaxPool3dSame((1, 1, 3), (1, 1, 2))
    row = torch.tensor([9.0, 1.0, 2.0, 3.0, 4.0, 8.0])
    # windows of an even length: (9 1 2) (2 3 4) (4 8 pad); padding before would give (pad 9 1) (1 2 3) (3 4 8)
    assert pool(row[None, None, None, None])[0, 0, 0, 0].tolist() == [9.0, 4.0, 8.0]
    row = torch.tensor([1.0, 2.0, 7.0, 0.0])
    assert pool(row[None, None, None, None])[0, 0, 0, 0].tolist() == [7.0, 7.0]
    pool = MaxPool3dSame((1, 1, 3), (1, 1, 1))
    assert pool(row[None, None, None, None])[0, 0, 0, 0].tolist() == [2.0, 7.0, 7.0, 7.0]


@pytest.mark.slow
def test_every_array_finds_its_place(arrays: dict[str, FloatArray]) -> None:
    model = I3D()
    load_kinetics(model, arrays)
    state = model.state_dict()
    for number, unit in enumerate(UNITS, start=1):
        name = unit.replace("/", ".")
        assert state.pop(f"{name}.conv.weight").unique().tolist() == [number]
        assert state.pop(f"{name}.bn.bias").unique().tolist() == [number + 0.25]
        assert state.pop(f"{name}.bn.running_mean").unique().tolist() == [number + 0.5]
        assert state.pop(f"{name}.bn.running_var").unique().tolist() == [number + 0.75]
        assert state.pop(f"{name}.bn.weight").unique().tolist() == [1]
        state.pop(f"{name}.bn.num_batches_tracked")
    assert state.pop("Logits.Conv3d_0c_1x1.weight").unique().tolist() == [-1]
    assert state.pop("Logits.Conv3d_0c_1x1.bias").unique().tolist() == [-2]
    assert not state


def test_kernels_are_turned_into_pytorchs_order(arrays: dict[str, FloatArray]) -> None:
    key = "params/Conv3d_1a_7x7/Conv_0/kernel"
    arrays[key] = np.random.default_rng(0).random((7, 7, 7, 3, 64), dtype=np.float32)
    model = I3D()
    load_kinetics(model, arrays)
    assert float(model.Conv3d_1a_7x7.conv.weight[5, 2, 1, 3, 6].detach()) == arrays[key][1, 3, 6, 2, 5]


@pytest.mark.parametrize(
    "key",
    [
        "lonely",
        "params/Conv3d_1a_7x7/BatchNorm_0/scale",
        "params/Conv3d_1a_7x7/BatchNorm_0/weight",
        "params/Conv3d_1a_7x7/BatchNorm_0/mean",
        "params/Mixed_9z/Branch_0/Conv3d_0a_1x1/Conv_0/kernel",
        "elsewhere/Conv3d_1a_7x7/Conv_0/kernel",
    ],
)
def test_an_array_left_over_is_named(untrained: I3D, arrays: dict[str, FloatArray], key: str) -> None:
    arrays[key] = np.ones(64, np.float32)
    with pytest.raises(WeightsError, match=rf"^checkpoint does not fit I3D: unexpected {key} \(64,\)$"):
        load_kinetics(untrained, arrays)


def test_a_missing_array_is_named(untrained: I3D, arrays: dict[str, FloatArray]) -> None:
    del arrays["batch_stats/Mixed_4d/Branch_2/Conv3d_0b_3x3/BatchNorm_0/var"]
    with pytest.raises(
        WeightsError, match=r"I3D: missing batch_stats/Mixed_4d/Branch_2/Conv3d_0b_3x3/BatchNorm_0/var for"
    ):
        load_kinetics(untrained, arrays)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("params/Conv3d_2b_1x1/Conv_0/kernel", (1, 1, 1, 64, 65)),
        ("params/Conv3d_2b_1x1/Conv_0/kernel", (64, 64)),
        ("params/Conv3d_2b_1x1/BatchNorm_0/bias", (63,)),
        ("batch_stats/Conv3d_2b_1x1/BatchNorm_0/mean", (1, 1, 1, 1, 63)),
        ("params/Logits/Conv3d_0c_1x1/Conv_0/bias", (600,)),
    ],
)
def test_a_misshapen_array_is_named(
    untrained: I3D, arrays: dict[str, FloatArray], key: str, shape: tuple[int, ...]
) -> None:
    before = untrained.Conv3d_2b_1x1.conv.weight.clone()
    arrays[key] = np.zeros(shape, np.float32)
    with pytest.raises(WeightsError) as refused:
        load_kinetics(untrained, arrays)
    assert f"I3D: wrong shape of {key} {shape}" in str(refused.value)
    assert torch.equal(untrained.Conv3d_2b_1x1.conv.weight, before)


def test_many_problems_make_one_short_line(untrained: I3D) -> None:
    with pytest.raises(WeightsError) as refused:
        load_kinetics(untrained, {})
    assert str(refused.value).endswith("; ...")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.slow
def test_the_published_arrays_are_all_used(kinetics_i3d: I3D) -> None:
    published = read_arrays(fetch("i3d"))
    learnt = [n for n in kinetics_i3d.state_dict() if not n.endswith(("bn.weight", "num_batches_tracked"))]
    assert len(published) == len(learnt) == 4 * len(UNITS) + 2
    total = sum(value.numel() for name, value in kinetics_i3d.named_parameters() if "bn.weight" not in name)
    assert total == pytest.approx(12.70e6, rel=2e-3)
    for unit in UNITS:
        conv = kinetics_i3d.get_submodule(f"{unit.replace('/', '.')}.conv").weight
        assert isinstance(conv, torch.Tensor)
        assert torch.equal(conv, torch.from_numpy(published[f"params/{unit}/Conv_0/kernel"]).permute(4, 3, 0, 1, 2))


@pytest.mark.slow
def test_pixels_are_scaled_to_minus_one_and_one(untrained: I3D) -> None:
    seen: list[torch.Tensor] = []
    hook = untrained.Conv3d_1a_7x7.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    clips = torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8)
    clips[..., 0], clips[..., 1] = 255, 51
    try:
        with torch.inference_mode():
            features, logits = untrained(clips), untrained.logits(clips)
    finally:
        hook.remove()
    assert (features.shape, logits.shape) == ((1, 1024), (1, 400))
    assert seen[0].shape == (1, 3, 16, 224, 224)
    np.testing.assert_allclose(seen[0][0, :, 3, 100, 100].numpy(), [1.0, -0.6, -1.0], atol=1e-6)


@pytest.mark.slow
def test_features_tell_moving_pictures_from_still_ones(kinetics_i3d: I3D) -> None:
    still = torch.full((1, 16, 224, 224, 3), 128, dtype=torch.uint8)
    torch.manual_seed(0)
    moving = torch.randint(0, 256, (1, 16, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        a, b = kinetics_i3d(still), kinetics_i3d(moving)
    assert float(a.min()) >= 0.0  # a mean after a ReLU
    assert float((a - b).norm()) > 1.0


@pytest.mark.slow
def test_layers_stand_side_by_side_with_the_published_feature_last() -> None:
    torch.manual_seed(0)
    model = I3D().eval()
    clips = torch.randint(0, 255, (1, 16, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        published = model(clips)
        maps: dict[str, torch.Tensor] = {}
        for name in LAYERS:
            model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: maps.update({name: out}))
        model.layers = tuple(LAYERS)
        wide = model(clips)
    assert wide.shape == (1, sum(LAYERS.values()))
    assert torch.equal(wide[:, -CHANNELS:], published)
    expected = torch.cat([maps[name].mean(dim=(2, 3, 4)) for name in LAYERS], dim=1)
    assert torch.allclose(wide, expected, atol=1e-5)


def test_a_head_says_by_its_channels_which_layers_it_sees() -> None:
    spec = BACKBONES["i3d"]
    assert spec.layers_of(1024) == ("Mixed_5c",)
    assert spec.layers_of(832 + 1024) == ("Mixed_5b", "Mixed_5c")
    assert spec.layers_of(2 * 832 + 1024) == ("Mixed_4f", "Mixed_5b", "Mixed_5c")
    assert spec.layers_of(2048) is None
    assert BACKBONES["i3d-r50"].layers_of(2048) is None
