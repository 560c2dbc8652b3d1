"""Messages of one camera's events that wait for their files. Pure: time is passed in.

`new` waits briefly for its image, and everything that follows waits behind it. `media` waits until the files are
closed, and for `end`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from stream.alarm.event import Event, EventMessage
from stream.alarm.event_urls import snapshot_url

PICTURE_WITHIN: Final = 1.0


@dataclass
class _Files:
    picture_until: float
    snapshot: bool | None = None
    clip: bool | None = None
    ended: Event | None = None


class PendingMessages:
    """Takes messages as they are created, and returns them in order, when they may be sent."""

    def __init__(self) -> None:
        self._line: deque[EventMessage] = deque()
        self._files: dict[str, _Files] = {}

    def expect_files(self, event_id: str, now: float, *, clip: bool = True) -> None:
        """An image and perhaps a `clip` were requested; `now` in seconds of a monotonic clock."""
        self._files[event_id] = _Files(now + PICTURE_WITHIN, clip=None if clip else False)

    def say(self, payload: EventMessage) -> None:
        """Add the next message of an event."""
        self._line.append(payload)

    def pictured(self, event_id: str, *, taken: bool) -> None:
        """The image was written, or cannot be."""
        if event_id in self._files:
            self._files[event_id].snapshot = taken

    def closed(self, event_id: str, *, kept: bool) -> None:
        """The clip was closed, or cannot be made."""
        if event_id in self._files:
            self._files[event_id].clip = kept

    def lost(self) -> None:
        """The expected files will not be written."""
        for files in self._files.values():
            files.snapshot = bool(files.snapshot)
            files.clip = bool(files.clip)

    def ended(self, event_id: str) -> Event | None:
        """An event that is over, but not all of whose messages have left."""
        last = next((message for message in reversed(self._line) if message.id == event_id), None)
        if last is not None:
            return Event(last)
        return None if event_id not in self._files else self._files[event_id].ended

    @property
    def expecting(self) -> bool:
        """Whether a file is still to come."""
        return any(f.snapshot is None or f.clip is None for f in self._files.values())

    def due(self, now: float) -> list[EventMessage]:
        """The messages that may be sent at monotonic time `now`."""
        leaving: list[EventMessage] = []
        while self._line:
            payload = self._line[0]
            files = self._files.get(payload.id)
            if files is not None:
                if files.snapshot is None and now < files.picture_until:
                    break
                if payload.end_time is not None:
                    files.ended = Event(payload)
                if files.snapshot:
                    payload = replace(payload, snapshot=snapshot_url(payload.id))
            self._line.popleft()
            leaving.append(payload)
        for event_id, files in list(self._files.items()):
            if files.ended is not None and files.snapshot is not None and files.clip is not None:
                del self._files[event_id]
                leaving.append(files.ended.media(snapshot=files.snapshot, clip=files.clip))
        return leaving
