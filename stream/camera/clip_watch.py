"""Does a camera whose pictures come give clips, too? Pure: monotonic times are passed in."""

from __future__ import annotations

from typing import Final

from stream.camera.clips import CLIP_LENGTH

NO_CLIP_AFTER: Final = 100.0  # a clip at one picture in 5 s takes 80 s
SLOWEST_RATE: Final = 0.2
# Seconds that a clip spans, from which on it is far from what the network was trained on (0.64 s).
LONG_CLIP: Final = 4.0


class ClipWatch:
    """Counts the pictures of a connection since its last clip."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pictures = 0

    def connected(self, now: float) -> None:
        self._since, self._pictures = now, 0

    def disconnected(self) -> None:
        self._since = None

    def picture(self) -> None:
        self._pictures += 1

    def clip(self, now: float) -> None:
        """A clip is complete, be there room for it or not."""
        self._since, self._pictures = now, 0

    def problem(self, now: float) -> str:
        """Why nothing is scored though pictures come, "" if all is well."""
        if self._since is None or not self._pictures or (passed := now - self._since) < NO_CLIP_AFTER:
            return ""
        if self._pictures < SLOWEST_RATE * passed:
            return too_slow(self._pictures / passed)
        found = f"{self._pictures} frames in {passed:.0f} s, but never {CLIP_LENGTH} in a row"
        return f"nothing is scored: {found}; check the camera's frame rate and clock"


def too_slow(rate: float) -> str:
    """What is said of a camera that sends so few pictures a second."""
    return f"nothing is scored: the camera sends a frame every {1 / rate:.0f} s; at least one every 5 s is needed"


def spans_long(seconds: float) -> str:
    """What is said of clips that span so much more than those of training."""
    return f"a clip spans {seconds:.0f} s (0.64 s in training): fast incidents are missed"
