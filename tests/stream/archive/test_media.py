"""The media folder: names that cannot leave it, and what must go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.atomic import partial_path
from stream.alarm.event import EVENT_ID
from stream.archive.media import MediaFile, media_path, to_evict
from stream.archive.retention import DAY, Retention

FOLDER = Path("/data/media")


def test_where_the_files_of_an_event_lie() -> None:
    path = media_path(FOLDER, "1795466000.12-a1b2c3", "clip")
    assert path == FOLDER / "1795466000.12-a1b2c3.mp4"
    assert not EVENT_ID.fullmatch(partial_path(path).stem)  # not listed as a finished file


@pytest.mark.parametrize(
    "event_id",
    ["", "..", "../x", "/etc/passwd", "1.00-abcdef/../x", "1.00-abcdef\n", "1.00-abcdef\0", "1.00-ABCDEF", "1-abcdef",
     "1.00-abcdef.jpg", "١.00-abcdef"],
)  # fmt: skip
def test_other_ids_have_no_path(event_id: str) -> None:
    with pytest.raises(ValueError, match="is not an event id"):
        media_path(FOLDER, event_id, "snapshot")


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None)
@given(st.text(max_size=30) | st.text(st.sampled_from("0123456789.-abcz/\\\0\n"), max_size=20))
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
