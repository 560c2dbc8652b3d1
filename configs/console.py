"""Consoles that print what users named as it is: no markup, no emoji, no colours by pattern."""

from __future__ import annotations

from rich.console import Console


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console for texts that may hold names, paths and addresses of users.

    Rich would take `[bold]` in a name for markup and `:b:` for an emoji.
    """
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
