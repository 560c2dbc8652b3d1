"""Tables on standard output."""

from __future__ import annotations

import os

from rich.console import Console


def console(piped: int) -> Console:
    """As wide as the terminal or COLUMNS says; into a pipe, where nothing says, `piped` columns. No markup: an address
    like [fe80::1] is none."""
    known = Console().is_terminal or "COLUMNS" in os.environ
    return Console(width=None if known else piped, markup=False, emoji=False)
