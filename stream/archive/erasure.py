"""Erases what is stored of a camera in a period: images, clips, windows, events, waiting messages and scores."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from stream.archive.media import SUFFIX, media_path
from stream.archive.store import Store
from stream.base.errors import StreamError


@dataclass(frozen=True)
class Erased:
    """How much was removed. `open_events`: alarms that have not ended, which stay."""

    camera: str
    events: int
    images: int
    clips: int
    windows: int
    bytes: int
    scores: int
    open_events: int


def erase(store: Store, camera: str, begin: float, end: float, *, dry: bool = False) -> Erased:
    """Remove everything of `camera` from epoch time `begin` to `end`; `dry`: only count.

    An alarm belongs to the period if any of it does. Files go first, so that an interrupted call can be repeated.
    Raises StreamError if a file cannot be deleted.
    """
    ids, open_events = store.events.within(camera, begin, end)
    files = [(kind, media_path(store.media, event_id, kind)) for event_id in ids for kind in SUFFIX]
    sizes = {}
    for kind, path in files:
        try:
            sizes[path] = (kind, path.stat().st_size)
            if not dry:
                path.unlink()
        except FileNotFoundError:
            sizes.pop(path, None)
        except OSError as error:
            raise StreamError(f"{path}: cannot be deleted: {error.strerror}") from None
    with nullcontext() if dry else store.transaction():
        scores = store.scores.erase(camera, begin, end, dry=dry)
        if not dry:
            store.events.erase(ids)
            store.canary.erase(camera, begin, end)
    if not dry:
        store.forget_deleted_content()
    kinds = [kind for kind, _ in sizes.values()]
    return Erased(
        camera, len(ids), kinds.count("snapshot"), kinds.count("clip"), kinds.count("window"),
        sum(size for _, size in sizes.values()), scores, open_events,
    )  # fmt: skip
