"""Detects a camera that sends frames but produces no clips. Pure: monotonic times are passed in."""

from __future__ import annotations

from typing import Final

from configs.sizes import CLIP_LENGTH

NO_CLIP_AFTER: Final = 100.0  # a clip with one frame every 5 s takes 80 s
BLIND_AFTER: Final = 5.0  # seconds without an undamaged clip
BLIND: Final = "nothing is scored: the video arrives damaged; check the network, or set the camera's transport to tcp"
SLOWEST_RATE: Final = 0.2
# Clips that span more seconds than this are far from what the network was trained on (0.64 s).
LONG_CLIP: Final = 4.0


class ClipWatch:
    """Counts the frames of a connection since its last clip."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pictures = 0
        self._damaged_since: float | None = None

    def connected(self, now: float) -> None:
        self._since, self._pictures, self._damaged_since = now, 0, None

    def disconnected(self) -> None:
        self._since = None

    def picture(self) -> None:
        self._pictures += 1

    def clip(self, now: float) -> None:
        """A clip was completed, whether or not there was room for it."""
        self._since, self._pictures, self._damaged_since = now, 0, None

    def damaged(self, now: float) -> None:
        """A clip was completed, but is damaged, so it is not scored."""
        self._since, self._pictures = now, 0
        if self._damaged_since is None:
            self._damaged_since = now

    def problem(self, now: float) -> str:
        """Why nothing is scored although frames arrive, or ""."""
        if self._damaged_since is not None and now - self._damaged_since >= BLIND_AFTER:
            return BLIND
        if self._since is None or not self._pictures or (passed := now - self._since) < NO_CLIP_AFTER:
            return ""
        if self._pictures < SLOWEST_RATE * passed:
            return too_slow(self._pictures / passed)
        found = f"{self._pictures} frames in {passed:.0f} s, but never {CLIP_LENGTH} in a row"
        return f"nothing is scored: {found}; check the camera's frame rate and clock"


def too_slow(rate: float) -> str:
    """The message for a camera that sends so few frames per second."""
    return f"nothing is scored: the camera sends a frame every {1 / rate:.0f} s; at least one every 5 s is needed"


def spans_long(seconds: float) -> str:
    """The message for clips that span so much longer than in training."""
    return f"a clip spans {seconds:.0f} s (0.64 s in training): fast incidents are missed"
