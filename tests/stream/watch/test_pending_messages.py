"""Messages that wait for their files, told as a time line."""

from __future__ import annotations

from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.watch.pending_messages import PICTURE_WITHIN, PendingMessages

MOMENT = Moment(0.9, 0.9, 32, 1001.0)


def begun() -> Event:
    return Event.begun("door", 1000.0, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))


def told(messages: list[EventMessage]) -> list[tuple[str, bool, bool]]:
    return [(m.type, m.snapshot is not None, m.clip is not None) for m in messages]


def pending_with_new() -> tuple[PendingMessages, Event]:
    pending, event = PendingMessages(), begun()
    pending.say(event.new(MOMENT))
    pending.expect_files(event.id, now=10.0)
    return pending, event


def test_an_answer_to_an_alarm_that_awaits_its_clip_comes_before_media() -> None:
    pending, event = pending_with_new()
    pending.say(event.end(MOMENT, 1004.0, "score"))
    for answered in ("while `end` waits for the image", "afterwards"):
        ended = pending.ended(event.id)
        assert ended is not None, answered
        if answered == "afterwards":
            assert ended.acknowledge(1006.0, "ben") is None
        elif (answer := ended.acknowledge(1005.0, "anna")) is not None:
            pending.say(answer)
            pending.pictured(event.id, taken=True)
            assert told(pending.due(15.0)) == [("new", True, False), ("end", True, False), ("ack", True, False)]
    pending.closed(event.id, kept=True)
    (media,) = pending.due(20.0)
    assert media.acknowledged is not None
    assert (media.seq, media.acknowledged.by, media.clip is not None) == (3, "anna", True)
    assert pending.ended(event.id) is None


def test_new_leaves_with_its_picture_and_media_when_all_is_closed() -> None:
    pending, event = pending_with_new()
    assert pending.due(10.1) == []
    pending.pictured(event.id, taken=True)
    assert told(pending.due(10.2)) == [("new", True, False)]
    pending.say(event.update(MOMENT))
    assert told(pending.due(12.0)) == [("update", True, False)]
    pending.say(event.end(MOMENT, 1004.0, "score"))
    assert told(pending.due(15.0)) == [("end", True, False)]
    assert pending.expecting
    pending.closed(event.id, kept=True)
    media = pending.due(20.0)
    assert told(media) == [("media", True, True)]
    assert media[0].seq == 3
    assert not pending.expecting


def test_a_picture_that_does_not_come_holds_nothing_up_for_long() -> None:
    pending, event = pending_with_new()
    pending.say(event.update(MOMENT))
    assert pending.due(10.0 + PICTURE_WITHIN - 0.01) == []
    assert told(pending.due(10.0 + PICTURE_WITHIN)) == [("new", False, False), ("update", False, False)]
    pending.pictured(event.id, taken=True)  # late, yet in time for `end`
    pending.say(event.end(MOMENT, 1004.0, "score"))
    pending.closed(event.id, kept=False)
    assert told(pending.due(14.0)) == [("end", True, False), ("media", True, False)]


def test_media_never_comes_before_end() -> None:
    pending, event = pending_with_new()
    pending.pictured(event.id, taken=True)
    pending.closed(event.id, kept=True)  # cut: the camera went away
    assert told(pending.due(11.0)) == [("new", True, False)]
    pending.say(event.end(MOMENT, 1002.0, "camera_lost"))
    assert [m.type for m in pending.due(11.1)] == ["end", "media"]


def test_an_event_without_a_clip_waits_for_its_picture_alone() -> None:
    pending, event = PendingMessages(), begun()
    pending.say(event.new(MOMENT))
    pending.expect_files(event.id, now=10.0, clip=False)
    pending.pictured(event.id, taken=True)
    pending.say(event.end(MOMENT, 1002.0, "score"))
    assert told(pending.due(11.0)) == [("new", True, False), ("end", True, False), ("media", True, False)]


def test_a_lost_decoder_writes_no_more() -> None:
    pending, event = pending_with_new()
    pending.lost()
    pending.say(event.end(MOMENT, 1002.0, "camera_lost"))
    assert told(pending.due(10.1)) == [("new", False, False), ("end", False, False), ("media", False, False)]


def test_events_without_files_leave_at_once() -> None:
    pending, event = PendingMessages(), begun()
    pending.say(event.new(MOMENT))
    assert told(pending.due(0.0)) == [("new", False, False)]
    pending.pictured("1.00-abcdef", taken=True)
    pending.closed("1.00-abcdef", kept=True)
    assert pending.due(0.0) == []
