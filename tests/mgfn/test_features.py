from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgfn.backbones import BACKBONES
from mgfn.features import (
    BACKBONE_CHANNELS,
    FeatureError,
    check_axes,
    check_finite,
    feature_shape,
    listed_file,
    read_features,
)


def test_files_are_mapped_and_two_axes_are_one_crop(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    a = read_features(tmp_path / "a.npy", channels=4)
    assert a.shape == (2, 3, 4)
    assert isinstance(a, np.memmap)
    np.save(tmp_path / "b.npy", np.ones((5, 4)))
    assert read_features(tmp_path / "b.npy").shape == (5, 1, 4)
    assert read_features(tmp_path / "b.npy").dtype == np.float32


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.ones((3, 2, 5), np.float32), "5 channels, expected 4; 4 and the magnitude"),
        (np.ones(3, np.float32), r"float32 \(3,\), expected float"),
        (np.ones((0, 1, 4), np.float32), r"float32 \(0, 1, 4\), expected float"),
        (np.ones((3, 4), np.int64), r"int64 \(3, 4\), expected float"),
        (np.array([{"a": 1}]), "not a complete .npy file of numbers$"),
        (b"\x93NUMPY\x01\x00", "not a complete .npy file|cut short"),
        (b"", "not a complete .npy file|cut short"),
        (None, "No such file"),
    ],
)
def test_what_is_no_feature_file(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, np.asarray(content), allow_pickle=True)
    with pytest.raises(FeatureError, match=says) as caught:
        read_features(path, channels=4)
    assert "\n" not in str(caught.value)


def test_a_cut_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((50, 1, 4), np.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-100])
    with pytest.raises(FeatureError):
        read_features(tmp_path / "a.npy")


def test_not_a_number_is_named(tmp_path: Path) -> None:
    features = np.ones((4, 1, 3), np.float32)
    check_finite(tmp_path / "a.npy", features)
    features[2, 0, 1] = np.nan
    with pytest.raises(FeatureError, match=r"a\.npy: 1 clips hold NaN or infinity, first clip 2"):
        check_finite(tmp_path / "a.npy", features)


def test_listed_files_are_found_by_path_by_name_and_as_extracted(tmp_path: Path) -> None:
    folder, listing = tmp_path / "features", tmp_path / "lists" / "test.list"
    for path in (folder / "sub" / "a.npy", folder / "a.npy", folder / "b.npy", listing.parent / "c.npy"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert listed_file("sub/a.npy", folder, listing) == folder / "sub" / "a.npy"
    assert listed_file(r"G:\UCF\a", folder, listing) == folder / "a.npy"
    assert listed_file("/home/yu/b_i3d.npy", folder, listing) == folder / "b.npy"  # mgfn-extract's own
    assert listed_file("/home/yu/c_i3d.npy", None, listing) == listing.parent / "c.npy"
    assert listed_file(str(folder / "a.npy"), None, listing) == folder / "a.npy"
    assert listed_file("/home/yu/gone_i3d.npy", folder, listing) == folder / "gone_i3d.npy"


def test_a_line_that_no_file_could_be_called_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    line = '{"v": [1, 2]}, ' * 30  # JSON given for a list
    found = listed_file(line, None, tmp_path / "test.list")
    with pytest.raises(FeatureError, match="File name too long"):
        read_features(found)


@pytest.mark.parametrize(
    ("shape", "channels", "says"),
    [
        ((10, 32, 2049), None, "32 crops of 2049 channels, .*10 crops are plausible; 2048 and the magnitude"),
        ((32, 2048, 10), None, "2048 crops of 10 channels, .*; axis 1 has 2048: are the axes in another order"),
        ((32, 10, 2049), None, "2049 channels; 2048 and the magnitude, which the network computes itself"),
        ((32, 1025), None, "1025 channels; 1024 and the magnitude"),
        ((10, 40, 1024), None, "40 crops of 1024 channels"),
        ((32, 2048, 10), 2048, "10 channels, expected 2048; axis 1 has 2048: are the axes in another order"),
        ((1024, 40), 1024, "40 channels, expected 1024; axis 0 has 1024: are the axes in another order"),
        ((10, 32, 1024), 1024, "32 crops of 1024 channels"),
        ((40, 1, 5), 4, "5 channels, expected 4; 4 and the magnitude"),
        ((40, 1, 7), 4, r"7 channels, expected 4; expected \(clips, crops, C\)"),
    ],
)
def test_axes_in_another_order_are_named(shape: tuple[int, ...], channels: int | None, says: str) -> None:
    with pytest.raises(FeatureError, match=says) as caught:
        check_axes(Path("a.npy"), shape, channels)
    assert str(shape) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(40, 10, 2048), (1, 5, 1024), (40, 1024), (2048, 1024), (32, 10, 512), (9, 1856)])
def test_plausible_axes(shape: tuple[int, ...]) -> None:
    check_axes(Path("a.npy"), shape)
    check_axes(Path("a.npy"), shape, shape[-1])


def test_axes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    """A sparse file of 64 GB in float64: reading or converting it would fail or take minutes."""
    path = tmp_path / "huge.npy"
    np.lib.format.open_memmap(path, "w+", np.float64, (1 << 22, 1024, 2))
    for read in (read_features, feature_shape):
        with pytest.raises(FeatureError, match="1024 crops of 2 channels"):
            read(path)


def test_the_known_channels_are_those_of_the_backbones() -> None:
    assert set(BACKBONE_CHANNELS) == {backbone.channels for backbone in BACKBONES.values()}
