"""Consoles that print user-defined names literally: no markup, no emoji, no automatic colours."""

from __future__ import annotations

from rich.console import Console


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console for texts that may contain names, paths and addresses of users.

    Rich would interpret `[bold]` in a name as markup and `:b:` as an emoji.
    """
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
