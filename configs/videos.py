"""Which files in a folder count as videos. A file that is named explicitly can have any suffix."""

from __future__ import annotations

from typing import Final

SUFFIXES: Final = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()  # noqa: SIM905 -- readable
)
