"""Whether messages come back, told as a time line."""

from __future__ import annotations

from stream.sinks.echo import NOT_BACK, PATIENCE, EchoWatch, Proof

EVENTS, STATUS = "mgfn/events", "mgfn/door/status"


def listening() -> EchoWatch:
    echo = EchoWatch("mgfn")
    echo.listening(0.0)
    return echo


def test_what_comes_back_is_proven() -> None:
    echo = listening()
    assert echo.proof() is Proof.WAITING
    echo.expect(EVENTS, "id 0", 1.0)
    echo.received(EVENTS, "another 0")
    assert echo.proof() is Proof.WAITING
    echo.received(EVENTS, "id 0")
    assert echo.proof() is Proof.PROVEN
    assert echo.changes(100.0) == []


def test_one_topic_of_many_that_does_not_come_back_has_failed_and_is_reported_once() -> None:
    echo = listening()
    echo.expect(STATUS, "online", 1.0, retained=True)
    echo.expect(EVENTS, "id 0", 1.0)
    echo.received(STATUS, "online")
    assert echo.changes(1.0 + PATIENCE) == []
    assert echo.changes(1.1 + PATIENCE) == [(EVENTS, NOT_BACK)]
    assert echo.changes(2.0 + PATIENCE) == []
    assert echo.failed() == {EVENTS: NOT_BACK}
    assert echo.proof() is Proof.FAILED
    echo.expect(EVENTS, "id 1", 20.0)
    echo.received(EVENTS, "id 1")
    assert echo.changes(21.0) == [(EVENTS, "")]
    assert echo.failed() == {}


def test_an_account_that_may_not_read_proves_nothing() -> None:
    echo = listening()
    echo.expect(STATUS, "online", 1.0, retained=True)
    echo.expect(EVENTS, "id 0", 1.0)
    assert echo.changes(30.0) == []
    assert echo.proof() is Proof.UNPROVEN
    assert echo.failed() == {}


def test_what_the_broker_let_through_has_not_failed() -> None:
    echo = listening()
    echo.expect(STATUS, "online", 1.0, retained=True)
    echo.received(STATUS, "online")
    echo.expect(EVENTS, "id 0", 1.0)
    echo.accepted(EVENTS)  # it says so, but this account may not read there
    assert echo.changes(30.0) == []
    assert echo.proof() is Proof.UNPROVEN


def test_a_refusal_is_known_at_once_and_ends_with_the_next_that_is_let_through() -> None:
    echo = listening()
    echo.expect(EVENTS, "id 0", 1.0)
    echo.refused(EVENTS, "Not authorized")
    assert echo.changes(1.0) == [(EVENTS, "Not authorized")]
    assert echo.changes(30.0) == []
    echo.expect(EVENTS, "id 0", 31.0)
    echo.accepted(EVENTS)
    echo.received(EVENTS, "id 0")
    assert echo.changes(31.0) == [(EVENTS, "")]
    assert echo.proof() is Proof.PROVEN


def test_nothing_counts_while_nobody_listens_but_what_the_broker_keeps() -> None:
    echo = EchoWatch("mgfn")
    echo.expect(EVENTS, "id 0", 1.0)
    echo.expect(STATUS, "warming", 1.0, retained=True)
    echo.expect(STATUS, "online", 2.0, retained=True)
    assert echo.changes(100.0) == []
    echo.listening(100.0)
    echo.received(STATUS, "online")  # retained
    assert echo.changes(200.0) == []
    assert echo.proof() is Proof.PROVEN
    echo.not_listening()
    echo.expect(EVENTS, "id 1", 201.0)
    assert echo.changes(300.0) == []
    echo.listening(300.0)
    assert echo.changes(311.0) == [(STATUS, NOT_BACK)]  # it was there before


def test_a_lost_connection_and_emptied_topics_are_no_failure() -> None:
    echo = listening()
    echo.expect(STATUS, "online", 1.0, retained=True)
    echo.received(STATUS, "online")
    echo.expect(EVENTS, "id 0", 1.0)
    echo.restart()
    echo.expect(STATUS, "", 2.0, retained=True)
    assert echo.changes(100.0) == []
    echo.listening(101.0)
    assert echo.changes(200.0) == []


def test_scores_count_from_the_first_that_was_not_heard() -> None:
    echo = listening()
    echo.expect(STATUS, "online", 1.0, retained=True)
    echo.received(STATUS, "online")
    for number in range(20):
        echo.expect("mgfn/door/score", "", 1.0 + number)
    assert echo.changes(11.5) == [("mgfn/door/score", NOT_BACK)]


def test_pictures_and_others_topics_are_not_waited_for() -> None:
    echo = listening()
    for topic in ("mgfn/door/anomaly/snapshot", "homeassistant/device/x/config", "mgfn/door/score/slow"):
        echo.expect(topic, "x", 1.0)
    assert echo.changes(100.0) == []
    assert echo.proof() is Proof.WAITING
    assert "mgfn/+/status" in echo.topics()
    assert not any("snapshot" in topic for topic in echo.topics())
