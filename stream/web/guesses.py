"""A limit on guesses of the token, over all addresses together: a botnet gets no more guesses than one machine."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Final

WRONG_PER_MINUTE: Final = 30
_MINUTE: Final = 60.0
_MOST_KNOWN: Final = 1_000


class Guesses:
    """Counts wrong tokens. An address that last sent the right one is not limited, so that an attacker elsewhere
    cannot shut out the programs that watch this one.
    """

    def __init__(self) -> None:
        self._wrong: deque[float] = deque(maxlen=WRONG_PER_MINUTE)
        self._known: OrderedDict[str, None] = OrderedDict()

    def allowed(self, address: str, now: float | None = None) -> bool:
        """Whether a token from this address may be compared at monotonic time `now`."""
        now = time.monotonic() if now is None else now
        full = len(self._wrong) == WRONG_PER_MINUTE and now - self._wrong[0] < _MINUTE
        return not full or address in self._known

    def right(self, address: str) -> None:
        """The address sent the right token."""
        self._known[address] = None
        self._known.move_to_end(address)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def wrong(self, address: str, now: float | None = None) -> None:
        """The address sent a wrong token at monotonic time `now`."""
        self._wrong.append(time.monotonic() if now is None else now)
        self._known.pop(address, None)
