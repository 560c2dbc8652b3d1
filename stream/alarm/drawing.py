"""What an operator draws on a camera's picture: the region, masks, and zones outside of which nothing is seen. Pure."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

MOST_POLYGONS: Final = 50
MOST_CORNERS: Final = 100
SMALLEST_REGION: Final = 0.05
_SLACK: Final = 1e-9
_LEAST_AREA: Final = 1e-5  # of the image: about two pixels of 640 x 360

Point = tuple[float, float]
Polygon = tuple[Point, ...]


@dataclass(frozen=True)
class Drawing:
    """In fractions of the image from the upper left. `region`: x, y, width, height; None for the whole image.

    masks: polygons that are not seen. only_here: if there are any, nothing outside of them is seen.
    """

    region: tuple[float, float, float, float] | None = None
    masks: tuple[Polygon, ...] = ()
    only_here: tuple[Polygon, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `drawing_of` reads it."""
        return json.loads(json.dumps(asdict(self)))


def drawing_of(data: object) -> Drawing:
    """The drawing in JSON data. Raises ValueError with one line that names what is wrong."""
    if not isinstance(data, dict) or data.keys() - {"region", "masks", "only_here"}:
        raise ValueError("must be an object with region, masks and only_here")
    region = data.get("region")
    return Drawing(
        None if region is None else _region(region),
        _polygons("masks", data.get("masks") or []),
        _polygons("only_here", data.get("only_here") or []),
    )


def fault(polygon: Sequence[Sequence[float]]) -> str:
    """Why the polygon cannot be used, or ""."""
    corners = [(float(x), float(y)) for x, y in polygon]
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    for (first, one), (second, other) in itertools.combinations(enumerate(edges), 2):
        if _neighbours(first, second, len(edges)):
            before, after = (one, other) if second == first + 1 else (other, one)
            crossing = _turns_back(*before, after[1])
        else:
            crossing = _cross(*one, *other)
        if crossing:
            return (
                f"crosses itself: the edge from corner {first + 1} to {_next(first, edges)} meets the one from corner "
                f"{second + 1} to {_next(second, edges)}; move one of these corners"
            )
    area = abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in edges)) / 2
    return "" if area >= _LEAST_AREA else "has no area; its corners lie on a line"


def _next(edge: int, edges: Sequence[object]) -> int:
    return (edge + 1) % len(edges) + 1


def _neighbours(first: int, second: int, count: int) -> bool:
    return second - first in (1, count - 1)


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _turns_back(a: Point, b: Point, c: Point) -> bool:
    """Whether the edge from b to c runs back along the edge from a to b."""
    ahead = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return abs(_turn(a, b, c)) < _SLACK and (ahead < 0 or a == b or b == c)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the two edges have a point in common."""
    sides = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    touching = ((a, b, c, sides[0]), (a, b, d, sides[1]), (c, d, a, sides[2]), (c, d, b, sides[3]))
    return any(abs(side) < _SLACK and _within(start, end, point) for start, end, point, side in touching)


def _within(start: Point, end: Point, point: Point) -> bool:
    return all(min(s, e) - _SLACK <= p <= max(s, e) + _SLACK for s, e, p in zip(start, end, point, strict=True))


def _numbers(what: str, data: object, count: int) -> tuple[float, ...]:
    fine = isinstance(data, list) and len(data) == count
    if not fine or not all(type(n) in (int, float) and math.isfinite(n) and 0 <= n <= 1 for n in data):  # type: ignore[attr-defined]
        raise ValueError(f"{what}: must be {count} numbers from 0 to 1")
    return tuple(float(n) for n in data)  # type: ignore[attr-defined]


def _region(data: object) -> tuple[float, float, float, float]:
    x, y, width, height = _numbers("region", data, 4)
    if min(width, height) < SMALLEST_REGION:
        raise ValueError(f"region: must have at least {SMALLEST_REGION:.0%} of the image's width and height")
    if x + width > 1 + _SLACK or y + height > 1 + _SLACK:
        raise ValueError("region: must lie within the image")
    return x, y, width, height


def _polygons(key: str, data: object) -> tuple[Polygon, ...]:
    if not isinstance(data, list) or len(data) > MOST_POLYGONS:
        raise ValueError(f"{key}: must be a list of at most {MOST_POLYGONS} polygons")
    found: list[Polygon] = []
    for number, polygon in enumerate(data):
        where = f"{key}[{number}]"
        if not isinstance(polygon, list) or not 3 <= len(polygon) <= MOST_CORNERS:
            raise ValueError(f"{where}: must have 3 to {MOST_CORNERS} corners")
        corners = [_numbers(f"{where}[{corner}]", point, 2) for corner, point in enumerate(polygon)]
        if problem := fault(corners):
            raise ValueError(f"{where}: {problem}")
        found.append(tuple((x, y) for x, y in corners))
    return tuple(found)
