"""Weights of others: nothing is parsed before its hash has matched, and nothing but arrays is ever built."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.pinned import FetchError, PinnedFile, fetch
from mgfn.backbones import BACKBONES
from mgfn.backbones.i3d import I3D, load_kinetics
from mgfn.weights import WeightsError, pinned, read_arrays


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hostile-was-here",)


def dump(path: Path, tree: object) -> Path:
    path.write_bytes(pickle.dumps(tree, protocol=2))
    return path


def dump_as_numpy_1(path: Path, tree: object) -> Path:
    """NumPy 2 writes another module name than the release's NumPy 1 did."""
    content = pickle.dumps(tree, protocol=3)
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return path


def test_nested_arrays_become_flat_keys(tmp_path: Path) -> None:
    tree = {"params": {"unit": {"kernel": np.ones((2, 3), np.float32)}}, "stats": {"mean": np.zeros(2, np.float32)}}
    path = tmp_path / "tree.ckpt"
    # NumPy 2 writes another module name than the release's NumPy 1 did
    path.write_bytes(pickle.dumps(tree, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    arrays = read_arrays(path)
    assert set(arrays) == {"params/unit/kernel", "stats/mean"}
    np.testing.assert_array_equal(arrays["params/unit/kernel"], np.ones((2, 3)))


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="only NumPy arrays are admitted"):
        read_arrays(dump(tmp_path / "evil.ckpt", {"a": Hostile()}))
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize("tree", [{"a": "text"}, ["a"], {"a": {"b": 1.0}}])
def test_anything_but_arrays_is_refused(tmp_path: Path, tree: object) -> None:
    with pytest.raises(WeightsError, match="expected an array"):
        read_arrays(dump(tmp_path / "other.ckpt", tree))


def test_a_cut_checkpoint(tmp_path: Path) -> None:
    path = dump(tmp_path / "cut.ckpt", {"a": list(range(1000))})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(WeightsError, match="is not a checkpoint of arrays"):
        read_arrays(path)


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None], dtype=object), np.ones(2, complex)])
def test_arrays_of_anything_but_floats_are_refused(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(WeightsError, match="a is a ndarray .*, expected an array of floats"):
        read_arrays(dump_as_numpy_1(tmp_path / "other.ckpt", {"a": array}))


def test_a_tree_without_an_end_is_refused(tmp_path: Path) -> None:
    tree: dict[str, Any] = {}
    tree["x"] = tree
    with pytest.raises(WeightsError, match="x/x is a dict, expected an array"):
        read_arrays(dump(tmp_path / "loop.ckpt", tree))


def test_damaged_checkpoints_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    tree = {"params": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
    path = dump_as_numpy_1(tmp_path / "tree.ckpt", tree)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_arrays(path)
        except WeightsError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 -- some damage is harmless
    assert refused > 250


def test_a_file_of_another_hash_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = dump(tmp_path / "evil.ckpt", {"a": Hostile()})
    with pytest.raises(WeightsError, match=f"expected {pinned('i3d').sha256}"):
        BACKBONES["i3d"].load(path)
    assert not (tmp_path / "hostile-was-here").exists()
    with pytest.raises(WeightsError, match="no such file"):
        BACKBONES["i3d"].load(tmp_path / "none.ckpt")


def pin(**changes: Any) -> PinnedFile:
    values: dict[str, Any] = {
        "requirement": "no-such==1.0",
        "archive_sha256": "0" * 64,
        "member": "a/b.bin",
        "sha256": "0" * 64,
    }
    return PinnedFile(**({**values, "bytes": 10, "source": "nowhere", "license": "none"} | changes))


def test_offline_says_what_to_run_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(FetchError) as caught:
        fetch(pin(), tmp_path / "cache")
    assert "is this machine offline?" in str(caught.value)
    assert "pip download --no-deps --require-hashes" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())


def test_a_cached_file_is_used_only_if_its_hash_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    (tmp_path / "b.bin").write_bytes(b"content")
    right = pin(sha256="ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    assert fetch(right, tmp_path) == tmp_path / "b.bin"
    (tmp_path / "b.bin").write_bytes(b"damaged")
    with pytest.raises(FetchError, match="cannot fetch"):
        fetch(right, tmp_path)


def kinetics_arrays(model: I3D) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The released tree's keys and layouts, from a model's own weights."""
    arrays = {}
    for name, value in model.state_dict().items():
        *unit, layer, leaf = name.split(".")
        if name.startswith("Logits"):
            key = "params/Logits/Conv3d_0c_1x1/Conv_0/" + ("kernel" if leaf == "weight" else "bias")
        elif layer == "conv":
            key = f"params/{'/'.join(unit)}/Conv_0/kernel"
        elif leaf == "bias":
            key = f"params/{'/'.join(unit)}/BatchNorm_0/bias"
        elif leaf.startswith("running"):
            key = f"batch_stats/{'/'.join(unit)}/BatchNorm_0/{leaf.removeprefix('running_')}"
        else:
            continue
        array = value.numpy()
        arrays[key] = array.transpose(2, 3, 4, 1, 0) if key.endswith("kernel") else array
    return arrays


def test_every_array_finds_its_place_or_is_named() -> None:
    torch.manual_seed(0)
    source, target = I3D(), I3D()
    arrays = kinetics_arrays(source)
    assert len(arrays) == 230
    load_kinetics(target, arrays)
    for name, value in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[name], value)
    stray = arrays | {"params/Mixed_9z/Conv_0/kernel": np.zeros((1, 1, 1, 2, 2), np.float32)}
    with pytest.raises(WeightsError, match=r"left over.*Mixed_9z"):
        load_kinetics(target, stray)
    del arrays["params/Conv3d_1a_7x7/Conv_0/kernel"]
    with pytest.raises(WeightsError, match=r"missing.*Conv3d_1a_7x7"):
        load_kinetics(target, arrays)


@pytest.mark.slow
def test_the_published_weights_see_a_street_in_street_footage(kinetics_i3d: I3D) -> None:
    """Features of moving pictures differ from those of still ones, and every parameter was filled."""
    still = torch.full((1, 16, 224, 224, 3), 128, dtype=torch.uint8)
    moving = torch.randint(0, 256, (1, 16, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        a, b = kinetics_i3d(still), kinetics_i3d(moving)
        logits = kinetics_i3d.logits(still)
    assert a.shape == (1, 1024)
    assert logits.shape == (1, 400)
    assert float((a - b).norm()) > 1.0
    assert all(bool(torch.isfinite(p).all()) for p in kinetics_i3d.parameters())
