"""Which packets may hold an image."""

from __future__ import annotations

import pytest

from stream.camera.parameter_sets import START, begins_anew, may_hold_image


@pytest.mark.parametrize(
    ("codec", "kinds", "may"),
    [
        ("h264", [6], False),  # a message
        ("h264", [7, 8], False),
        ("h264", [7, 8, 6, 5], True),
        ("h264", [1], True),
        ("hevc", [39 << 1], False),
        ("hevc", [32 << 1, 33 << 1, 34 << 1], False),
        ("hevc", [34 << 1, 19 << 1], True),
        ("mjpeg", [6], True),
    ],
)
def test_only_slices_are_images(codec: str, kinds: list[int], may: bool) -> None:
    assert may_hold_image(codec, b"".join(START + bytes([kind, 1, 2]) for kind in kinds)) is may


def test_a_packet_without_start_codes_may_be_one() -> None:
    assert may_hold_image("h264", b"\x00\x00\x00\x05garbage")


@pytest.mark.parametrize(
    ("codec", "kinds", "anew"),
    [
        ("h264", [7, 8, 6, 5], True),
        ("h264", [6, 1], False),  # a recovery point
        ("hevc", [21 << 1], True),
        ("mjpeg", [1], True),
    ],
)
def test_only_idr_slices_of_h264_begin_anew(codec: str, kinds: list[int], anew: bool) -> None:
    assert begins_anew(codec, b"".join(START + bytes([kind, 1, 2]) for kind in kinds)) is anew
