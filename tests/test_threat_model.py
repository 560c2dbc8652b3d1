"""The threat model names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_in_the_threat_model_exists() -> None:
    text = (ROOT / "docs" / "design" / "threat-model.md").read_text()
    rows = [row for row in text.partition("## Confinement")[0].splitlines() if row.startswith("|")][2:]
    assert len(rows) >= 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert named, row
        assert all((ROOT / name).is_file() for name in named), row
