"""What is drawn on a picture: polygons that cross themselves, and other things that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.alarm.drawing import Drawing, drawing_of, fault

SQUARE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]
BOW_TIE = [[0.1, 0.1], [0.5, 0.5], [0.5, 0.1], [0.1, 0.5]]


def test_a_drawing_comes_back_as_it_went() -> None:
    data = {"region": [0.1, 0.2, 0.5, 0.6], "masks": [SQUARE], "only_here": [SQUARE, SQUARE[:3]]}
    assert drawing_of(data).as_json() == data
    assert drawing_of({}) == Drawing()


@pytest.mark.parametrize(
    "shape",
    [
        SQUARE,
        SQUARE[::-1],
        SQUARE[:3],
        [[0, 0], [1, 0], [1, 0.28], [0.55, 0.2], [0, 0.31]],
        [[0, 0], [0.5, 0], [1, 0], [1, 1]],  # a corner on a straight edge
        [[0, 0], [1, 0], [1, 1], [0.5, 0.01], [0, 1]],
    ],
)
def test_simple_polygons_are_taken(shape: list[list[float]]) -> None:
    assert fault(shape) == ""


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (BOW_TIE, "crosses itself: the edge from corner 1 to 2 meets the one from corner 3 to 4"),
        ([[0, 0], [1, 0], [0.5, 0], [0.5, 1]], "crosses itself"),  # runs back on its edge
        ([[0, 0], [1, 0], [1, 1], [0.5, 0], [0, 1]], "crosses itself"),  # touches its own edge
        ([[0, 0], [0, 0], [1, 0], [1, 1]], "crosses itself"),
        ([[0, 0], [0.5, 0], [1, 0]], "crosses itself"),  # closes along itself
        ([[0.5, 0.5], [0.501, 0.5], [0.501, 0.501]], "has no area"),
    ],
)
def test_polygons_that_cannot_be_filled_are_refused(shape: list[list[float]], says: str) -> None:
    assert says in fault(shape)


@given(st.floats(0, 6.28), st.integers(3, 40))
def test_a_circle_of_corners_is_simple_until_two_are_exchanged(start: float, count: int) -> None:
    import math

    points = [(start + 2 * math.pi * n / count) for n in range(count)]
    circle = [[0.5 + 0.4 * math.cos(a), 0.5 + 0.4 * math.sin(a)] for a in points]
    assert fault(circle) == ""
    if count > 3:
        circle[1], circle[2] = circle[2], circle[1]
        assert "crosses itself" in fault(circle)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "must be an object"),
        ({"mask": []}, "must be an object"),
        ({"masks": 7}, "masks: must be a list of at most 50"),
        ({"masks": [SQUARE] * 51}, "at most 50"),
        ({"masks": [[[0, 0]]]}, "masks[0]: must have 3 to 100 corners"),
        ({"masks": [SQUARE, BOW_TIE]}, "masks[1]: crosses itself"),
        ({"only_here": [BOW_TIE]}, "only_here[0]: crosses itself"),
        ({"only_here": [[[0, 0], [0, 2], [1, 1]]]}, "only_here[0][1]: must be 2 numbers from 0 to 1"),
        ({"masks": [[[0, 0], [0, float("nan")], [1, 1]]]}, "numbers from 0 to 1"),
        ({"masks": [[[0, 0], [0, True], [1, 1]]]}, "numbers from 0 to 1"),
        ({"masks": [[[0, 0], [0, "1"], [1, 1]]]}, "numbers from 0 to 1"),
        ({"region": [0, 0, 1]}, "region: must be 4 numbers"),
        ({"region": [0.5, 0, 0.6, 1]}, "region: must lie within the image"),
        ({"region": [0, 0, 0.01, 1]}, "region: must have at least 5%"),
    ],
)
def test_what_is_no_drawing_is_refused_in_one_line(data: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        drawing_of(data)
    assert says in str(caught.value)
