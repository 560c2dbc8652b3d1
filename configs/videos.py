"""Which files of a folder are taken for videos; a file that is named itself may be called anything."""

from __future__ import annotations

from typing import Final

SUFFIXES: Final = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()  # noqa: SIM905 -- readable
)
