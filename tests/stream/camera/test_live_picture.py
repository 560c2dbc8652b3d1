"""The live image: taken only while somebody looks, at most five times a second, without what is masked."""

from __future__ import annotations

import time

import av
import cv2
import numpy as np
import pytest

from stream.camera.clip_ring import ClipRing
from stream.camera.live_picture import _MOST, EVERY, STILL_EVERY, LiveView
from stream.camera.view import Region, View

WHITE = av.VideoFrame.from_ndarray(np.full((360, 1280, 3), 250, np.uint8), format="rgb24")


def test_nothing_is_taken_unless_somebody_looks_and_then_five_times_a_second() -> None:
    ring = ClipRing.create(1, 1)
    view = LiveView(ring.live, View())
    view.offer(WHITE, 100.0)
    assert ring.live.read() is None
    ring.live.watch(102.0)
    numbers = set()
    for frame in range(50):  # two seconds
        view.offer(WHITE, 100.0 + frame * 0.04)
        newest = ring.live.read()
        assert newest is not None
        numbers.add(newest[0])
    assert len(numbers) == round(2 / EVERY)
    view.offer(WHITE, 103.0)
    last = ring.live.read()
    assert last is not None
    assert last[0] in numbers
    assert cv2.imdecode(np.frombuffer(last[1], np.uint8), cv2.IMREAD_COLOR).shape == (180, 640, 3)  # type: ignore[union-attr]
    assert (ring.clips == 0).all()  # the clips are not touched
    live = ring.live
    ring.close()
    assert live.read() is None


def test_whoever_looks_now_and_then_gets_an_image_every_two_seconds_and_slows_nobody_down() -> None:
    ring = ClipRing.create(1, 1)
    view = LiveView(ring.live, View())
    ring.live.watch(200.0, still=True)

    def images(since: float) -> int:
        numbers = set()
        for frame in range(250):  # ten seconds
            view.offer(WHITE, since + frame * 0.04)
            newest = ring.live.read()
            assert newest is not None
            numbers.add(newest.number)
        return len(numbers)

    assert images(100.0) == 10 / STILL_EVERY
    assert ring.live.read() == (10, ring.live.read().jpeg, pytest.approx(108.0))  # type: ignore[union-attr]
    ring.live.watch(120.0)
    assert 45 <= images(110.0) <= 10 / EVERY
    ring.close()


def test_masks_and_region_apply() -> None:
    ring = ClipRing.create(1, 1)
    view = View(Region(0.0, 0.0, 0.5, 1.0), masks=(((0, 0), (0.25, 0), (0.25, 1), (0, 1)),))
    ring.live.watch(2.0)
    LiveView(ring.live, view).offer(WHITE, 1.0)
    newest = ring.live.read()
    assert newest is not None
    picture = cv2.imdecode(np.frombuffer(newest[1], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape == (180, 320)
    assert picture[:, :150].max() < 16
    assert picture[:, 180:].min() > 230
    ring.close()


def test_an_image_that_is_being_written_or_too_large_is_not_shown() -> None:
    ring = ClipRing.create(1, 1)
    ring.live.write(b"a" * (_MOST + 1), 1.0)
    assert ring.live.read() is None
    ring.live.write(b"first", 2.0)
    ring.live._put(16, (3).to_bytes(8, "little"))  # a decoder ended while it wrote
    assert ring.live.read() is None
    ring.live.write(b"next", 3.0)
    assert ring.live.read() == (6, b"next", 3.0)
    assert ring.live.every(time.monotonic()) is None
    ring.close()
