"""Events: the contract's fields, one id, a counting seq."""

from __future__ import annotations

import re

from stream.alarm.event import Event, ModelName, Moment, TopClip, stamped

# The contract's example, section 4.
FIELDS = {
    "schema", "type", "id", "seq", "camera", "label", "test", "start_time", "end_time", "local_time",
    "published_time", "delayed", "end_reason", "window", "score", "top_score", "threshold_on", "threshold_off",
    "top_clips", "snapshot", "clip", "latency_ms", "model",
}  # fmt: skip


def make() -> Event:
    return Event.begun("front_door", 1795466000.123, (0.8, 0.6), ModelName("default", "ab" * 32, "openvino"))


def test_life_cycle_has_one_id_and_a_counting_seq() -> None:
    event = make()
    messages = [
        event.new(Moment(0.9, 0.9, 32, 1795466001.4)),
        event.update(Moment(0.95, 0.95, 32, 1795466002.0)),
        event.end(Moment(0.2, 0.95, 32, 1795466004.0), 1795466003.36, "score"),
        event.media(snapshot=True, clip=True),
    ]
    assert [m["type"] for m in messages] == ["new", "update", "end", "media"]
    assert [m["seq"] for m in messages] == [0, 1, 2, 3]
    assert {m["id"] for m in messages} == {event.id}
    assert re.fullmatch(r"1795466000\.12-[a-z0-9]{6}", event.id)
    assert all(set(m) == FIELDS for m in messages)
    assert (messages[0]["end_time"], messages[0]["end_reason"]) == (None, None)
    assert (messages[2]["end_time"], messages[2]["end_reason"]) == (1795466003.36, "score")
    assert messages[2]["top_score"] == 0.95
    assert messages[3] == messages[2] | {
        "type": "media", "seq": 3, "snapshot": f"/api/events/{event.id}/snapshot.jpg",
        "clip": f"/api/events/{event.id}/clip.mp4",
    }  # fmt: skip


def test_top_clips_and_an_event_taken_up_again() -> None:
    new = make().new(Moment(0.9, 0.9, 32, 1795466001.4, (TopClip(1795465998.0, 1795465998.6, 0.42),)))
    assert new["top_clips"] == [{"start": 1795465998.0, "end": 1795465998.6, "weight": 0.42}]
    end = Event(new).end(None, 1795466009.0, "restart")
    assert (end["id"], end["seq"], end["end_reason"], end["top_score"]) == (new["id"], 1, "restart", 0.9)


def test_local_time_carries_an_offset() -> None:
    assert re.search(r"T\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$", make().new(Moment(0.9, 0.9, 1, 0.0))["local_time"])


def test_what_waited_longer_than_ten_seconds_is_delayed() -> None:
    payload = make().update(Moment(0.9, 0.9, 32, 1000.0))
    prompt, late = stamped(payload, 1000.1, 1000.6), stamped(payload, 1000.1, 1011.0)
    assert (prompt["delayed"], prompt["published_time"], prompt["latency_ms"]) == (False, 1000.6, 600)
    assert (late["delayed"], late["latency_ms"]) == (True, 11000)


def test_the_latency_of_new_counts_from_the_alarms_start() -> None:
    payload = make().new(Moment(0.9, 0.9, 32, 1795466000.763))
    assert stamped(payload, 1795466001.5, 1795466001.523)["latency_ms"] == 1400


def test_ids_differ() -> None:
    assert len({make().id for _ in range(100)}) == 100
