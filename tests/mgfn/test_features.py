from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgfn.features import FeatureError, check_finite, listed_file, read_features


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
        (np.ones((3, 2, 5), np.float32), "5 channels, expected 4"),
        (np.ones(3, np.float32), r"float32 \(3,\), expected float"),
        (np.ones((0, 1, 4), np.float32), r"float32 \(0, 1, 4\), expected float"),
        (np.ones((3, 4), np.int64), r"int64 \(3, 4\), expected float"),
        (np.array([{"a": 1}]), "not a whole .npy file of numbers$"),
        (b"\x93NUMPY\x01\x00", "not a whole .npy file|cut short"),
        (b"", "not a whole .npy file|cut short"),
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
