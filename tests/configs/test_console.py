from __future__ import annotations

import pytest
from rich.table import Table

from configs.console import plain_console


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("door:b:1", "a:smiley:b", "[bold]yard[/bold]", "[/]", "x[1]")
    table = Table(names[0], title=names[1])
    for name in names:
        table.add_row(name)
    for stderr in (False, True):
        console = plain_console(stderr=stderr, width=60)
        console.print(table)
        for name in names:
            console.print(name)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert all(text.count(name) >= 2 for name in names)
