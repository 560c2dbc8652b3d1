"""The media folder: names that cannot leave it, and what must go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.archive.media import MediaFile, evict, media_path, to_evict
from stream.archive.retention import DAY, Retention
from stream.base.atomic_files import partial_path

FOLDER = Path("/data/media")


def test_where_the_files_of_an_event_lie() -> None:
    path = media_path(FOLDER, "1795466000.12-a1b2c3", "clip")
    assert path == FOLDER / "1795466000.12-a1b2c3.mp4"
    assert partial_path(path).name == "1795466000.12-a1b2c3.part.mp4"


@pytest.mark.parametrize(
    "event_id",
    ["", "..", "../x", "/etc/passwd", "1.00-abcdef/../x", "1.00-abcdef\n", "1.00-abcdef\0", "1.00-ABCDEF", "1-abcdef",
     "1.00-abcdef.jpg", "١.00-abcdef"],
)  # fmt: skip
def test_other_ids_have_no_path(event_id: str) -> None:
    with pytest.raises(ValueError, match="is no event id"):
        media_path(FOLDER, event_id, "snapshot")


@given(st.text(max_size=30))
def test_no_name_leaves_the_folder(event_id: str) -> None:
    try:
        path = media_path(FOLDER, event_id, "snapshot")
    except ValueError:
        return
    assert path.parent == FOLDER


def files(*ages: float) -> list[MediaFile]:
    return [MediaFile(f"{n}.00-abcdef", "clip", 100, 100 * DAY - age * DAY) for n, age in enumerate(ages)]


@pytest.mark.parametrize(
    ("retention", "free", "gone"),
    [
        (Retention(media_days=30, free_bytes=0), 0, ["2"]),  # by age
        (Retention(media_days=99, media_bytes=250, free_bytes=0), 0, ["2", "1"]),  # by bytes
        (Retention(media_days=99, free_bytes=50), 0, ["2"]),  # by what is left of the disk
        (Retention(media_days=99, free_bytes=1000), 0, ["2", "1", "3", "0"]),  # as much as there is
        (Retention(media_days=99, free_bytes=0), 0, []),
    ],
)
def test_the_oldest_go_first(retention: Retention, free: int, gone: list[str]) -> None:
    evicted = to_evict(files(1, 20, 31, 10), retention, 100 * DAY, free)
    assert [file.event_id.partition(".")[0] for file in evicted] == gone


def test_eviction_goes_on_where_a_decoder_renames_its_half_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, clip = tmp_path / "1000.00-abcdef.jpg", tmp_path / "2000.00-abcdef.mp4"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    partial_path(clip).write_bytes(b"x")
    glob = Path.glob

    def renamed_after(self: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(self, pattern))
        partial_path(clip).rename(clip)
        return iter(found)

    monkeypatch.setattr(Path, "glob", renamed_after)
    gone = evict(tmp_path, Retention(media_days=1, free_bytes=0), 30 * DAY)
    assert [file.event_id for file in gone] == [old.stem]
    assert clip.exists()


def test_the_half_of_a_slow_clip_stays(tmp_path: Path) -> None:
    half, dead = (partial_path(tmp_path / f"{n}000.00-abcdef.mp4") for n in (1, 2))
    for path, age in ((half, 1_000), (dead, 10_000)):  # a still scene at 1 fps writes once in minutes
        path.write_bytes(b"x")
        os.utime(path, (DAY - age, DAY - age))
    evict(tmp_path, Retention(free_bytes=0), DAY)
    assert half.exists()
    assert not dead.exists()


def test_a_half_that_cannot_be_deleted_does_not_keep_the_rest(tmp_path: Path) -> None:
    half = partial_path(media_path(tmp_path, "1000.00-aaaaaa", "clip"))
    half.mkdir()
    old = media_path(tmp_path, "2000.00-bbbbbb", "clip")
    old.write_bytes(b"x")
    for path in (half, old):
        os.utime(path, (1_000, 1_000))
    assert [file.event_id for file in evict(tmp_path, Retention(), 1_000 + 400 * DAY)] == ["2000.00-bbbbbb"]
    assert not old.exists()
