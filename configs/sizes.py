"""Sizes that every part of the project agrees on; a bundle's manifest repeats them."""

from __future__ import annotations

from typing import Final

CLIP_LENGTH: Final = 16
"""Frames of a clip."""
WINDOW: Final = 32
"""Clips that the head sees together."""
