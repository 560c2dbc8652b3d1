"""Scores packed and unpacked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.archive.score_log import LoggedScore, ScoreBook, chunk_start, pack, unpack

SCORES = st.lists(
    st.tuples(st.floats(0.001, 1000), st.floats(0, 60), st.floats(0, 1), st.integers(1, 32)), min_size=1, max_size=50
)


@given(SCORES, st.floats(0, 4e9))
def test_what_is_packed_comes_back(rows: list[tuple[float, float, float, int]], at: float) -> None:
    scores = []
    for step, span, score, window in rows:
        at += step
        scores.append(LoggedScore(at, at + span, score, window))
    back = unpack(pack(scores))
    assert [s.window for s in back] == [s.window for s in scores]
    for a, b in zip(scores, back, strict=True):
        assert b.start == pytest.approx(a.start, abs=2e-3)
        assert b.end == pytest.approx(a.end, abs=3e-3)
        assert b.score == pytest.approx(a.score, abs=1e-5)


def test_a_minute_of_a_camera_is_under_500_bytes() -> None:
    book, chunks = ScoreBook(), []
    for number in range(200):
        start = 1.8e9 + 0.64 * number
        chunk = book.add(LoggedScore(start, start + 0.64, (number * 0.37) % 1.0, 32))
        if chunk is not None:
            chunks.append(chunk)
    assert len(chunks) == 2
    assert max(map(len, chunks)) < 500
    rest = book.flush()
    assert rest is not None
    assert sum(len(unpack(chunk)) for chunk in [*chunks, rest]) == 200
    assert chunk_start(chunks[0]) == 1.8e9
    assert book.flush() is None


def test_a_clock_that_leaps_begins_a_chunk() -> None:
    book, chunks = ScoreBook(), []
    for start in (1.8e9, 1.8e9 + 1, 1.7e9, 1.7e9 + 1, 1.75e9, 1.75e9 + 60):
        chunk = book.add(LoggedScore(start, start + 1, 0.5, 32))
        chunks += [chunk] if chunk is not None else []
    assert [[score.start for score in unpack(chunk)] for chunk in chunks] == [
        [1.8e9, 1.8e9 + 1], [1.7e9, 1.7e9 + 1], [1.75e9, 1.75e9 + 60],
    ]  # fmt: skip


@pytest.mark.parametrize("chunk", [b"", b"\0" * 10, b"\0" * 40, pack([LoggedScore(1, 2, 0.5, 1)])[:-3]])
def test_damaged_chunks_are_refused(chunk: bytes) -> None:
    with pytest.raises(ValueError, match="no chunk of scores"):
        unpack(chunk)
