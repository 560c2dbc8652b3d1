"""Events: the contract's fields, one id, a counting seq."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from stream.alarm.event import Acknowledgement, Event, EventMessage, ModelName, Moment, TopClip
from stream.sinks.delivery import stamped

# The contract's example, section 4, and the additions of section 5.
SCHEMA_1 = {
    "schema", "type", "id", "seq", "camera", "label", "test", "start_time", "end_time", "local_time",
    "published_time", "delayed", "end_reason", "window", "score", "top_score", "threshold_on", "threshold_off",
    "top_clips", "snapshot", "clip", "latency_ms", "model",
}  # fmt: skip
ADDED = {
    "kind": "unknown",
    "focus_region": None,
    "severity": "alarm",
    "suppressed": None,
    "acknowledged": None,
    "raw": None,
    "resembles": None,
    "heat_map": None,
}


def make() -> Event:
    return Event.begun("front_door", 1795466000.123, (0.8, 0.6), ModelName("default", "ab" * 32, "openvino"))


def test_the_first_answer_stays_and_later_messages_repeat_it() -> None:
    event = Event.begun("door", 1000.0, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
    event.new(Moment(0.9, 0.9, 32, 1000.0))
    answer = event.acknowledge(1003.2504, "anna")
    assert answer is not None
    assert (answer.type, answer.seq, answer.acknowledged) == ("ack", 1, Acknowledgement(1003.25, "anna"))
    assert event.acknowledge(1004.0, "ben") is None
    end = event.end(None, 1010.0, "score")
    assert (end.seq, end.acknowledged) == (2, Acknowledgement(1003.25, "anna"))
    assert stamped(answer, 0.5, 1003.75).latency_ms == 500


def test_life_cycle_has_one_id_and_a_counting_seq() -> None:
    event = make()
    messages = [
        event.new(Moment(0.9, 0.9, 32, 1795466001.4)),
        event.update(Moment(0.95, 0.95, 32, 1795466002.0)),
        event.end(Moment(0.2, 0.95, 32, 1795466004.0), 1795466003.36, "score"),
        event.media(snapshot=True, clip=True),
    ]
    assert [m.type for m in messages] == ["new", "update", "end", "media"]
    assert [m.seq for m in messages] == [0, 1, 2, 3]
    assert {m.id for m in messages} == {event.id}
    assert re.fullmatch(r"1795466000\.12-[a-z0-9]{6}", event.id)
    assert (messages[0].end_time, messages[0].end_reason) == (None, None)
    assert (messages[2].end_time, messages[2].end_reason) == (1795466003.36, "score")
    assert messages[2].top_score == 0.95
    assert messages[3] == replace(
        messages[2],
        type="media",
        seq=3,
        snapshot=f"/api/events/{event.id}/snapshot.jpg",
        clip=f"/api/events/{event.id}/clip.mp4",
    )


def test_its_json_has_the_keys_of_both_schemas() -> None:
    written = make().new(Moment(0.9, 0.9, 32, 1795466001.4)).as_json()
    assert set(written) == SCHEMA_1 | set(ADDED)
    assert written["schema"] == 2
    assert {name: written[name] for name in ADDED} == ADDED
    assert written["model"] == {"bundle": "default", "sha256": "ab" * 32, "backend": "openvino"}


def test_what_is_stored_is_read_back() -> None:
    new = make().new(Moment(0.9, 0.9, 32, 1795466001.4, (TopClip(1795465998.0, 1795465998.6, 0.42),), raw=0.7))
    full = replace(
        stamped(new, 0.5, 1795466002.0),
        kind="tampering",
        focus_region=(0.25, 0.0, 0.5, 1.0),
        severity="notice",
        suppressed="snooze",
        acknowledged=Acknowledgement(1795466100.0, "ann"),
    )
    for message in (new, full):
        assert EventMessage.from_stored(json.loads(json.dumps(message.as_stored()))) == message
    written = full.as_json()
    assert (written["focus_region"], written["raw"]) == ([0.25, 0.0, 0.5, 1.0], 0.7)
    assert written["acknowledged"] == {"time": 1795466100.0, "by": "ann"}


# As release 0.1.0 wrote it: `latency_ms` holds what the latency counts from.
OLD = """{"schema": 1, "type": "update", "id": "1795466000.12-a1b2c3", "seq": 1, "camera": "front_door",
 "label": "anomaly", "test": false, "start_time": 1795466000.123, "end_time": null,
 "local_time": "2026-11-23T20:33:20.123+00:00", "published_time": null, "delayed": false, "end_reason": null,
 "window": 32, "score": 0.95, "top_score": 0.95, "threshold_on": 0.8, "threshold_off": 0.6,
 "top_clips": [{"start": 1795465998.0, "end": 1795465998.6, "weight": 0.42}], "snapshot": null, "clip": null,
 "latency_ms": 1795466002000, "model": {"bundle": "default", "sha256": "ab", "backend": "openvino"}}"""


def test_an_event_stored_by_schema_1_goes_on_as_schema_2() -> None:
    old = EventMessage.from_stored(json.loads(OLD))
    assert old.latency_ms is None
    left = stamped(old, 1795466002.6, 1795466002.75)
    assert (left.latency_ms, left.top_clips) == (750, (TopClip(1795465998.0, 1795465998.6, 0.42),))
    stored = json.loads(OLD) | {"published_time": 1795466002.75}
    assert EventMessage.from_stored(stored).as_json() == json.loads(OLD) | ADDED | {
        "schema": 2, "published_time": 1795466002.75, "latency_ms": 750,
    }  # fmt: skip
    end = Event(old).end(None, 1795466009.0, "restart")
    assert (end.id, end.seq, end.end_reason, end.top_score) == (old.id, 2, "restart", 0.95)


def test_top_clips_and_an_event_taken_up_again() -> None:
    new = make().new(Moment(0.9, 0.9, 32, 1795466001.4, (TopClip(1795465998.00004, 1795465998.6, 0.42),)))
    assert new.as_json()["top_clips"] == [{"start": 1795465998.0, "end": 1795465998.6, "weight": 0.42}]
    end = Event(new).end(None, 1795466009.0, "restart")
    assert (end.id, end.seq, end.end_reason, end.top_score) == (new.id, 1, "restart", 0.9)


def test_local_time_carries_an_offset() -> None:
    assert re.search(r"T\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$", make().new(Moment(0.9, 0.9, 1, 0.0)).local_time)


def test_what_waited_longer_than_ten_seconds_is_delayed() -> None:
    message = make().update(Moment(0.9, 0.9, 32, 1000.0))
    prompt, late = stamped(message, 0.5, 1000.6), stamped(message, 10.9, 1011.0)
    assert (prompt.delayed, prompt.published_time, prompt.latency_ms) == (False, 1000.6, 600)
    assert (late.delayed, late.latency_ms) == (True, 11000)


def test_the_latency_of_new_counts_from_the_alarms_start() -> None:
    message = make().new(Moment(0.9, 0.9, 32, 1795466000.763))
    assert stamped(message, 1795466001.5, 1795466001.523).latency_ms == 1400


def test_ids_differ() -> None:
    assert len({make().id for _ in range(100)}) == 100
