"""Scores packed and unpacked."""

from __future__ import annotations

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.archive.score_log import LoggedScore, ScoreBook, chunk_start, columns, legible, pack, unpack

SCORES = st.lists(
    st.tuples(st.floats(0.001, 1000), st.floats(0, 60), st.floats(0, 1), st.integers(1, 32), st.booleans()),
    min_size=1,
    max_size=50,
)


@given(SCORES, st.floats(0, 4e9))
def test_what_is_packed_comes_back(rows: list[tuple[float, float, float, int, bool]], at: float) -> None:
    scores = []
    for step, span, score, window, connects in rows:
        at += step
        scores.append(LoggedScore(at, at + span, score, window, connects))
    back = unpack(pack(scores))
    assert [(s.window, s.connects) for s in back] == [(s.window, s.connects) for s in scores]
    assert columns([pack(scores)]).connects.tolist() == [s.connects for s in scores]
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
    with pytest.raises(ValueError, match="not a chunk of scores"):
        unpack(chunk)


def test_chunks_that_lack_connections_are_read() -> None:
    """Written by version 0.1: the window's byte alone."""
    new = pack([LoggedScore(float(i), i + 1.0, 0.5, window) for i, window in enumerate([31, 32, 1, 1, 1, 1, 2, 1, 2])])
    head, body = new[:10], bytearray(zlib.decompress(new[10:]))
    body[-9:] = bytes(window & 0x3F for window in body[-9:])
    old = head + zlib.compress(bytes(body), 9)
    expected = [False, False, True, False, False, False, False, True, False]
    assert [score.connects for score in unpack(old)] == columns([old]).connects.tolist() == expected
    assert [score.window for score in unpack(old)] == [31, 32, 1, 1, 1, 1, 2, 1, 2]


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_chunk_costs_its_own_scores_at_most(noise: bytes, place: int, value: int) -> None:
    whole = pack([LoggedScore(1e9 + at, 1e9 + at + 0.64, at / 50, 32) for at in range(50)])
    changed = bytearray(whole)
    changed[place % len(whole)] = value
    for chunk in (noise, bytes(changed), whole[: place % len(whole)], whole + noise, whole[:10] + noise):
        with suppress(ValueError):
            assert len(unpack(chunk)) <= 65_535
        legible(chunk)
        assert len(columns([whole, chunk, whole])) >= 100


@pytest.mark.slow
def test_a_small_chunk_that_would_become_huge_is_refused() -> None:
    header = pack([LoggedScore(1e9, 1e9 + 1, 0.5, 32)])[:10]
    bomb = header + zlib.compress(bytes(200_000_000), 9)
    with pytest.raises(ValueError, match="not a chunk"):
        unpack(bomb)
    assert len(columns([bomb])) == 0
