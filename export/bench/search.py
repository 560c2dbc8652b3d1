"""Finds the largest number of cameras that can be watched, in few tries. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def next_count(tried: Mapping[int, bool], first: int, most: int | None) -> int | None:
    """The number of cameras to try next, given which numbers were tried and whether they were held; None: finished.

    Begins with `first`, an estimate. Goes up by a quarter, then doubling, until one is not held (never above `most`),
    or down by a quarter, then halving, until one is held. Then halves the interval.
    """
    limit = most if most is not None else float("inf")
    held = max((count for count, was_held in tried.items() if was_held), default=0)
    failed = min((count for count, was_held in tried.items() if not was_held and count > held), default=None)
    if not tried:
        wanted = max(1, first)
    elif failed is None:
        wanted = held + max(1, held // 4 if len(tried) == 1 else held)
    elif held == 0:
        wanted = failed - max(1, failed // 4 if len(tried) == 1 else failed // 2)
    else:
        wanted = (held + failed) // 2
    wanted = int(min(wanted, limit))
    return None if wanted <= 0 or wanted in tried else wanted
