"""Pictures as large as the line carries in two seconds, told as a time line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.sinks.image_queue import FIRST, LEAST, ImageQueue, Outgoing, shrunk

TOPIC = "mgfn/door/anomaly/snapshot"


def jpeg(least: int) -> bytes:
    """A JPEG of noise, of at least so many bytes."""
    side = 64
    rng = np.random.default_rng(0)
    while True:
        picture = rng.integers(0, 255, (side, side, 3), np.uint8)
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        if len(encoded) >= least:
            return encoded
        side = int(side * 1.3)


class Line:
    def __init__(self) -> None:
        self.complaints: list[tuple[str, int, int | None]] = []
        self.line = ImageQueue(lambda *complaint: self.complaints.append(complaint))
        self.now = 100.0

    def send(self, takes: float | None) -> int:
        """Hand the next picture over; the broker has it after `takes` seconds (None: the connection breaks at once)."""
        outgoing = self.line.next(self.now)
        assert outgoing is not None
        size = min(outgoing.most, len(outgoing.jpeg))
        self.line.sent(outgoing, size, self.now)
        if takes is None:
            self.line.connection_lost(self.now)
            self.line.connected(None)
        else:
            self.now += takes
            self.line.acknowledged(self.now)
        return size

    def idle(self) -> bool:
        return self.line.next(self.now) is None


def test_the_first_is_small_and_goes_again_larger_as_the_line_allows() -> None:
    line = Line()
    line.line.set(TOPIC, b"x" * 100_000)
    assert line.send(FIRST / 12_000) == FIRST  # 12 KB/s
    assert line.send(2.0) == 24_000
    assert line.idle()
    line.line.set(TOPIC, b"y" * 100_000)
    assert line.send(2.0) == 24_000
    line.line.set(TOPIC, b"z" * 5_000)
    assert line.send(0.5) == 5_000
    assert line.idle()


def test_over_a_fast_line_it_is_whole_at_once() -> None:
    line = Line()
    line.line.set(TOPIC, b"x" * 100_000)
    assert line.send(0.005) == FIRST
    assert line.send(0.01) == 100_000
    assert line.idle()
    line.line.set(TOPIC, b"y" * 100_000)
    assert line.send(0.01) == 100_000
    assert line.idle()


def test_what_the_broker_says_of_its_limit_holds() -> None:
    line = Line()
    line.line.connected(20_000)
    line.line.set(TOPIC, b"x" * 100_000)
    line.send(0.001)
    size = line.send(0.001)
    assert 19_900 < size < 20_000 - len(TOPIC)
    assert line.idle()
    assert line.complaints == [(TOPIC, 100_000, 20_000)]
    line.line.connected(1_000)  # too small for any picture
    assert line.idle()


def test_a_picture_that_breaks_connections_is_sent_smaller_and_said_once() -> None:
    line = Line()
    line.line.set(TOPIC, b"x" * 100_000)
    assert line.send(0.001) == FIRST
    line.line.set(TOPIC, b"y" * 100_000)
    assert [line.send(None), line.send(None)] == [100_000, 100_000]
    assert line.complaints == [(TOPIC, 100_000, None)]
    assert line.send(0.001) == 25_000
    assert line.idle()
    line.now += 4_000.0  # after an hour it is tried again
    line.line.set(TOPIC, b"z" * 100_000)
    assert [line.send(None), line.send(None), line.send(0.001)] == [100_000, 100_000, 25_000]
    assert len(line.complaints) == 1


def test_a_break_by_chance_costs_one_more_try() -> None:
    line = Line()
    line.line.set(TOPIC, b"x" * 5_000)
    assert [line.send(None), line.send(0.5)] == [5_000, 5_000]
    line.line.set(TOPIC, b"y" * 5_000)
    assert [line.send(None), line.send(0.5)] == [5_000, 5_000]
    assert line.complaints == []


def test_one_at_a_time_and_none_that_is_gone() -> None:
    line = Line()
    for topic in ("a", "b"):
        line.line.set(topic, b"x" * 100)
    outgoing = line.line.next(line.now)
    assert outgoing is not None
    line.line.sent(outgoing, 100, line.now)
    assert line.idle()
    line.line.remove("b")
    line.line.acknowledged(line.now + 0.1)
    assert line.idle()
    assert line.line.topics() == ["a"]


@pytest.mark.parametrize("most", [60_000, 20_000, 8_192, LEAST])
def test_shrunk_keeps_the_bound_and_is_a_picture(most: int) -> None:
    small = shrunk(jpeg(100_000), most)
    assert small is not None
    assert len(small) <= most
    decoded = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert len(small) > most / 2  # not smaller than need be


def test_what_is_no_picture_cannot_be_shrunk() -> None:
    assert shrunk(b"x" * 100, 50) is None
    assert shrunk(b"x" * 100, 100) == b"x" * 100
    line = Line()
    line.line.set(TOPIC, b"x" * 100_000)
    outgoing = line.line.next(line.now)
    assert outgoing == Outgoing(TOPIC, b"x" * 100_000, FIRST)
    line.line.skipped(outgoing)
    assert line.idle()
