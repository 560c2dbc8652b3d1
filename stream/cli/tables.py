"""Tables on standard output."""

from __future__ import annotations

import os

from rich.console import Console


def console(piped: int) -> Console:
    """A console as wide as the terminal or COLUMNS; in a pipe without COLUMNS, `piped` columns wide.

    Markup is off, because an address like [fe80::1] is not markup.
    """
    known = Console().is_terminal or "COLUMNS" in os.environ
    return Console(width=None if known else piped, markup=False, emoji=False)
