"""Messages that wait for their files, told as a time line."""

from __future__ import annotations

from stream.alarm.event import Event, ModelName, Moment, Payload
from stream.watch.pending_messages import PICTURE_WITHIN, EventDesk

MOMENT = Moment(0.9, 0.9, 32, 1001.0)


def begun() -> Event:
    return Event.begun("door", 1000.0, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))


def told(messages: list[Payload]) -> list[tuple[str, bool, bool]]:
    return [(m["type"], m["snapshot"] is not None, m["clip"] is not None) for m in messages]


def desk_with_new() -> tuple[EventDesk, Event]:
    desk, event = EventDesk(), begun()
    desk.say(event.new(MOMENT))
    desk.expect_files(event.id, now=10.0)
    return desk, event


def test_new_leaves_with_its_picture_and_media_when_all_is_closed() -> None:
    desk, event = desk_with_new()
    assert desk.due(10.1) == []
    desk.pictured(event.id, taken=True)
    assert told(desk.due(10.2)) == [("new", True, False)]
    desk.say(event.update(MOMENT))
    assert told(desk.due(12.0)) == [("update", True, False)]
    desk.say(event.end(MOMENT, 1004.0, "score"))
    assert told(desk.due(15.0)) == [("end", True, False)]
    assert desk.expecting
    desk.closed(event.id, kept=True)
    media = desk.due(20.0)
    assert told(media) == [("media", True, True)]
    assert media[0]["seq"] == 3
    assert not desk.expecting


def test_a_picture_that_does_not_come_holds_nothing_up_for_long() -> None:
    desk, event = desk_with_new()
    desk.say(event.update(MOMENT))
    assert desk.due(10.0 + PICTURE_WITHIN - 0.01) == []
    assert told(desk.due(10.0 + PICTURE_WITHIN)) == [("new", False, False), ("update", False, False)]
    desk.pictured(event.id, taken=True)  # late, yet in time for `end`
    desk.say(event.end(MOMENT, 1004.0, "score"))
    desk.closed(event.id, kept=False)
    assert told(desk.due(14.0)) == [("end", True, False), ("media", True, False)]


def test_media_never_comes_before_end() -> None:
    desk, event = desk_with_new()
    desk.pictured(event.id, taken=True)
    desk.closed(event.id, kept=True)  # cut: the camera went away
    assert told(desk.due(11.0)) == [("new", True, False)]
    desk.say(event.end(MOMENT, 1002.0, "camera_lost"))
    assert [m["type"] for m in desk.due(11.1)] == ["end", "media"]


def test_a_lost_decoder_writes_no_more() -> None:
    desk, event = desk_with_new()
    desk.lost()
    desk.say(event.end(MOMENT, 1002.0, "camera_lost"))
    assert told(desk.due(10.1)) == [("new", False, False), ("end", False, False), ("media", False, False)]


def test_events_without_files_leave_at_once() -> None:
    desk, event = EventDesk(), begun()
    desk.say(event.new(MOMENT))
    assert told(desk.due(0.0)) == [("new", False, False)]
    desk.pictured("1.00-abcdef", taken=True)
    desk.closed("1.00-abcdef", kept=True)
    assert desk.due(0.0) == []
