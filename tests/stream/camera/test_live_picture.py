"""The live image: taken only while somebody looks, at most five times a second, without what is masked."""

from __future__ import annotations

import time

import av
import cv2
import numpy as np

from stream.camera.clip_ring import ClipRing
from stream.camera.live_picture import _MOST, EVERY, LiveView
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
    ring.live.write(b"a" * (_MOST + 1))
    assert ring.live.read() is None
    ring.live.write(b"first")
    ring.live._put(8, (3).to_bytes(8, "little"))  # a decoder ended while it wrote
    assert ring.live.read() is None
    ring.live.write(b"next")
    assert ring.live.read() == (6, b"next")
    assert not ring.live.watched(time.monotonic())
    ring.close()
