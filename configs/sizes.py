"""Sizes that all parts of the project share; the manifest of a bundle repeats them."""

from __future__ import annotations

from typing import Final

CLIP_LENGTH: Final = 16
"""Frames of a clip."""
WINDOW: Final = 32
"""Clips that the head sees together."""
