"""docs/troubleshooting.md quotes the program: each quoted log line exists in the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_quoted_log_lines_exist() -> None:
    table = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    symptoms = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ") and "log: " in line]
    quotes = [quote for symptom in symptoms for quote in re.findall("`([^`]+)`", symptom.partition("log: ")[2])]
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "stream").rglob("*.py"))
    assert len(quotes) > 10
    assert [quote for quote in quotes for part in quote.split(" ... ") if part not in code] == []
