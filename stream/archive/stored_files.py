"""What the journal notes and writes of the files of events: images, clips, windows and heat maps."""

from __future__ import annotations

from collections.abc import Callable

from configs.atomic import replacing
from stream.archive.clock import Clock
from stream.archive.explanation import Explanation
from stream.archive.media import Kind, media_path
from stream.archive.store import Store
from stream.archive.writer import Writer
from stream.base.log import log


class StoredFiles:
    """Its methods return at once; the writer's thread does the work."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def kept(self, event_id: str, kind: Kind, size: int, then: Callable[[], None] | None = None) -> None:
        """An image or clip is on disk; `then` is called afterwards, by the writer's thread."""

        def write(store: Store) -> Callable[[], None] | None:
            store.events.file_kept(event_id, kind, size)
            return then

        self._writer.put(write)

    def explained(self, event_id: str, explanation: Explanation) -> None:
        """The window of an alarm."""
        self._write(event_id, "window", explanation.packed)

    def heat_map(self, event_id: str, content: bytes) -> None:
        """The heat map of an alarm."""
        self._write(event_id, "heat", lambda: content)

    def _write(self, event_id: str, kind: Kind, packed: Callable[[], bytes]) -> None:
        """A file beside an event's image and clip. If the disk is full, only the file is lost."""

        def write(store: Store) -> None:
            if kind == "heat" and store.events.get(event_id) is None:
                return  # it takes seconds, and its event was erased meanwhile
            content = packed()
            try:
                with replacing(media_path(store.media, event_id, kind)) as partial:
                    partial.write_bytes(content)
                    self._clock.steady.stamp(partial)
                store.events.file_kept(event_id, kind, len(content))
            except OSError as error:
                log.warning(f"event has no {kind}", id=event_id, reason=error.strerror)

        self._writer.put(write)

    def latest_snapshot(self, camera: str, then: Callable[[str, str], None]) -> None:
        """`then` is called with the camera and its newest event that has an image, if any, by the writer's thread."""

        def look(store: Store) -> Callable[[], None] | None:
            event_id = store.events.latest_snapshot(camera)
            return None if event_id is None else lambda: then(camera, event_id)

        self._writer.put(look)
