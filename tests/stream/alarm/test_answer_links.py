"""Links that acknowledge one event."""

from __future__ import annotations

from stream.alarm.answer_links import AnswerLinks

EVENT = "1000.00-aaaaaa"


def test_a_link_answers_one_event_for_one_recipient_of_one_installation() -> None:
    links = AnswerLinks("a key", "http://h:8080/")
    assert links.event(EVENT) == f"http://h:8080/#event/{EVENT}"
    path = str(links.answer(EVENT, "notify-1")).removeprefix("http://h:8080")
    assert links.named_by(path) == "notify-1"
    assert links.named_by(path.replace("notify-1", "notify-2")) is None
    assert links.named_by(path.replace(EVENT, "1000.00-bbbbbb")) is None
    assert links.named_by(f"{path}/") is None
    assert AnswerLinks("another key").named_by(path) is None
    assert not links.right("1", "phone", "é")  # a code is ASCII
    assert "a key" not in repr(links)


def test_a_page_that_only_this_machine_reaches_has_no_links() -> None:
    links = AnswerLinks("a key", None)
    assert (links.event(EVENT), links.answer(EVENT, "notify-1")) == (None, None)
