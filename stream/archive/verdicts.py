"""Verdicts as a camera learns from them: with the feature that the event's window holds, however old it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.arrays import FloatArray
from stream.alarm.requests import GiveVerdict, JudgedEvent
from stream.archive.event_store import ListedEvent
from stream.archive.explanation import read
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.errors import StreamError
from stream.base.log import log

_MOST = 64  # newest events with each verdict: as many as a camera remembers


def judge(store: Store, given: GiveVerdict, at: float) -> tuple[JudgedEvent, bool] | None:
    """Store a verdict that was given at steady time `at`. Returns the event, and whether it had another verdict before;
    None for an unknown event.
    """
    event_id = store.events.latest_alarm(given.camera) if given.event == "latest" else given.event
    before = None if event_id is None else store.events.get(event_id)
    found = None if event_id is None else store.events.judge(given.camera, event_id, given.verdict)
    listed = None if found is None else store.events.get(found)
    if before is None or listed is None:
        log.warning("verdict ignored: unknown event", camera=given.camera, id=given.event)
        return None
    log.info("verdict", camera=given.camera, id=found, verdict=given.verdict or "withdrawn")
    return judged_event(store, listed, at), listed.verdict != before.verdict


def judged_event(store: Store, listed: ListedEvent, at: float) -> JudgedEvent:
    """An event with its verdict, which was given at steady time `at`. Reads the event's window from disk."""
    message = listed.message
    return JudgedEvent(
        message.camera, message.id, listed.verdict, message.steady_start, message.top_score, message.model.sha256, at,
        _feature(store, message.id),
    )  # fmt: skip


def _feature(store: Store, event_id: str) -> FloatArray | None:
    """The feature, (crops, C), of the clip with which the event began."""
    try:
        window = read(media_path(store.media, event_id, "window"))
    except StreamError:
        return None
    return np.asarray(window.features[-1], np.float32)


def missed(store: Store, camera: str, known: Mapping[str, str]) -> list[JudgedEvent]:
    """Verdicts that were given or withdrawn while the program did not run; `known` are those that the camera learned.

    When they were given is not stored: they count from the beginning of the event.
    """
    judged = [listed for verdict in ("true", "false_alarm") for listed in store.events.judged(camera, verdict, _MOST)]
    given = {listed.message.id: listed for listed in judged}
    found = [
        judged_event(store, listed, listed.message.steady_start)
        for event_id, listed in given.items()
        if known.get(event_id) != listed.verdict
    ]
    for event_id in known.keys() - given.keys():
        listed = store.events.get(event_id)  # one that is gone or old keeps its verdict
        if listed is not None and listed.verdict is None:
            found.append(judged_event(store, listed, 0.0))
    return found
