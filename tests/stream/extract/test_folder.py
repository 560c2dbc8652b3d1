"""The folder of features: who may write there, what counts as done, and files that are whole or not there."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import numpy as np
import pytest

from configs.atomic import partial_path
from stream.base.errors import StreamError, UsageError
from stream.extract.folder import FeatureFolder, Record
from stream.extract.videos import find_videos

RECORD = Record(
    bundle="0" * 64, backbone="i3d", engine="openvino", precision="float32", channels=4, crops=2, geometry="ends"
)


def test_a_file_grows_and_is_there_once_it_is_finished(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).random((1234, 2, 4), dtype=np.float32)
    with FeatureFolder.claimed(tmp_path, RECORD) as folder:
        file = folder.begin("a.b")
        for clip in clips:
            file.append(clip)
        assert not folder.holds("a.b")
        file.finish()
        assert folder.holds("a.b")
    np.testing.assert_array_equal(np.load(tmp_path / "a.b.npy"), clips)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.npy", "extract.json"]


def test_an_abandoned_file_leaves_nothing(tmp_path: Path) -> None:
    with FeatureFolder.claimed(tmp_path, RECORD) as folder:
        file = folder.begin("a")
        file.append(np.zeros((2, 4), np.float32))
        file.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["extract.json"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with FeatureFolder.claimed(tmp_path, RECORD) as folder:
        file = folder.begin("a")
        with files_of_at_most(1000), pytest.raises(StreamError, match=r"a\.npy: cannot be written: File too large"):
            file.append(np.zeros((2, 1 << 20), np.float32))
        file.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["extract.json"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2, 4)),
        np.zeros((3, 1, 4), np.float32),
        np.zeros((3, 2, 5), np.float32),
        np.zeros((0, 2, 4), np.float32),
        np.zeros((3, 4), np.float32),
        np.array([{"a": 1}], dtype=object),
    ],
)
def test_files_of_another_shape_are_not_done(tmp_path: Path, array: np.ndarray) -> None:
    with FeatureFolder.claimed(tmp_path, RECORD) as folder:
        np.save(tmp_path / "a.npy", array)
        assert not folder.holds("a")
        (tmp_path / "b.npy").write_bytes(b"")
        assert not folder.holds("b")
        assert not folder.holds("c")
        np.save(tmp_path / "a.npy", np.zeros((3, 2, 4), np.float32))
        assert folder.holds("a")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"bundle": "1" * 64}, "made with bundle 0000000000"),
        ({"crops": 10, "geometry": "ten"}, "made with crops 2, but this run uses 10"),
        ({"geometry": "squash"}, "made with geometry ends, but this run uses squash"),
        (
            {"engine": "openvino-int8", "precision": "int8"},
            "made with engine openvino, but this run uses",
        ),
    ],
)
def test_a_folder_made_with_other_settings_is_refused(tmp_path: Path, changed: dict[str, object], says: str) -> None:
    with FeatureFolder.claimed(tmp_path, RECORD):
        np.save(tmp_path / "a.npy", np.zeros((3, 2, 4), np.float32))
    before = (tmp_path / "extract.json").read_bytes()
    other = RECORD.model_copy(update=changed)
    with pytest.raises(UsageError, match=says), FeatureFolder.claimed(tmp_path, other):
        pass
    assert (tmp_path / "extract.json").read_bytes() == before
    with FeatureFolder.claimed(tmp_path, RECORD):
        pass


def test_a_run_that_extracted_nothing_binds_nobody(tmp_path: Path) -> None:
    with FeatureFolder.claimed(tmp_path, RECORD):
        pass
    other = RECORD.model_copy(update={"engine": "onnxruntime"})
    with FeatureFolder.claimed(tmp_path, other):
        assert Record.model_validate_json((tmp_path / "extract.json").read_bytes()) == other


@pytest.mark.parametrize("content", ["[]", "not JSON", json.dumps({"bundle": "0" * 64}), '{"bundle": "../etc"}'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "extract.json").write_text(content)
    refused = pytest.raises(UsageError, match=r"extract\.json: .*choose another folder")
    with refused, FeatureFolder.claimed(tmp_path, RECORD):
        pass
    assert (tmp_path / "extract.json").read_text() == content


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "extract.json").touch()  # killed before it wrote its first line
    with FeatureFolder.claimed(tmp_path, RECORD):
        partial_path(tmp_path / "a.npy").write_bytes(b"half")
    assert [path.name for path in tmp_path.iterdir()] == ["extract.json"]
    assert Record.model_validate_json((tmp_path / "extract.json").read_bytes()) == RECORD


def test_features_that_nobody_knows_are_not_mixed_with_ours(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2, 4), np.float32))
    refused = pytest.raises(UsageError, match=r"holds a\.npy but no extract\.json")
    with refused, FeatureFolder.claimed(tmp_path, RECORD):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_two_that_write_to_one_folder(tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match="another mgfn-extract is writing there")
    with FeatureFolder.claimed(tmp_path, RECORD), refused, FeatureFolder.claimed(tmp_path, RECORD):
        pass


def test_a_machine_that_sees_another_folder_says_so(tmp_path: Path) -> None:
    elsewhere = FeatureFolder(tmp_path / "elsewhere", RECORD)
    with FeatureFolder.claimed(tmp_path, RECORD):
        FeatureFolder(tmp_path, RECORD).check_seen()
        with pytest.raises(UsageError, match=f"{gethostname()} does not see this folder"):
            elsewhere.check_seen()
        with pytest.raises(UsageError, match="does not see"):
            FeatureFolder(tmp_path, RECORD.model_copy(update={"crops": 1})).check_seen()


def test_videos_below_a_folder_by_their_suffix_and_named_files_by_any_name(tmp_path: Path) -> None:
    for name in ("b/z.MP4", "b/a.avi", "c.mkv", "c.txt", ".hidden.mp4", ".trash/d.mp4", "elsewhere"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / "folder.mp4").mkdir()
    videos = find_videos([str(tmp_path), str(tmp_path / "elsewhere")])
    assert [video.name for video in videos] == ["c", "a", "z", "elsewhere"]
    assert {video.bytes for video in videos} == {3}


def test_two_videos_of_one_name_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").touch()
    (tmp_path / "x.avi").touch()
    with pytest.raises(UsageError, match=r"/x\.avi and .*/a/x\.mp4 would both become x\.npy"):
        find_videos([str(tmp_path)])
