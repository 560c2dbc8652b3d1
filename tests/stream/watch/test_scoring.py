"""Which kind of incident an event names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.engine import Engine
from stream.watch.scoring import kind_of
from tests.bundles import KINDS

WINDOW = np.zeros((2, 1, 4), np.float32)


def engine(shares: tuple[float, ...], claimed: tuple[str, ...]) -> Engine:
    def kind_shares(window: FloatArray) -> FloatArray:
        assert claimed, "a bundle that claims none is not asked"
        assert window is WINDOW
        return np.array([(1.0, 0.0, 0.0), shares], np.float32)

    manifest = SimpleNamespace(kinds=KINDS, claimed_kinds=claimed)
    return cast(Engine, SimpleNamespace(manifest=manifest, kind_shares=kind_shares))


@pytest.mark.parametrize(
    ("shares", "claimed", "kind"),
    [
        ((0.1, 0.8, 0.1), KINDS, "fall"),
        ((0.75, 0.2, 0.05), ("violence",), "violence"),
        ((0.45, 0.5, 0.05), KINDS, "unknown"),  # none stands out
        ((0.1, 0.8, 0.1), ("violence",), "unknown"),  # sources left out did not bear it out
        ((0.1, 0.8, 0.1), (), "unknown"),
    ],
)
def test_a_kind_is_named_if_it_stands_out_and_may_be_claimed(
    shares: tuple[float, ...], claimed: tuple[str, ...], kind: str
) -> None:
    assert kind_of(WINDOW, engine(shares, claimed)) == kind
