"""What cameras do that no recording does: logins, media lines and times of every kind, over real RTSP."""

from __future__ import annotations

import itertools
from urllib.parse import unquote

import pytest

from stream.base.addresses import parse_sources
from stream.base.errors import CameraError, Reason, UsageError
from stream.camera.capture import Capture
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    return encode_as("h264", moving_pictures(100))


def seen(url: str, pictures: int = 10) -> int:
    (source,) = parse_sources([url])
    with Capture(source) as capture:
        return len(list(itertools.islice(capture.pictures(), pictures)))


@pytest.mark.parametrize("spelling", ["rtsp", "RTSP", "Rtsp"])
def test_the_scheme_in_capitals(units: list[bytes], spelling: str) -> None:
    with SettableCamera(Track(units)).running() as camera:
        assert seen(f"{spelling}://{camera.host}/cam") == 10


@pytest.mark.parametrize("user_info", ["admin", "admin:"])
def test_a_user_without_a_password(units: list[bytes], user_info: str) -> None:
    with SettableCamera(Track(units), login=("admin", "")).running() as camera:
        assert seen(f"rtsp://{user_info}@{camera.host}/cam") == 10
        with pytest.raises(CameraError) as caught:
            seen(f"rtsp://{camera.host}/cam")
    assert caught.value.reason is Reason.UNAUTHORIZED


@pytest.mark.slow
def test_the_longest_login_works_and_a_longer_one_is_refused_without_its_password(units: list[bytes]) -> None:
    password = "p" * 115 + "%C3%BC"
    with SettableCamera(Track(units), login=("admin", unquote(password))).running() as camera:
        assert seen(f"rtsp://admin:{password}@{camera.host}/cam") == 10
    with pytest.raises(UsageError, match=r"too long: 128 characters .* at most 127") as caught:
        parse_sources([f"door=rtsp://admin:{password}x@h/cam"])
    assert "ppp" not in str(caught.value)


def test_an_unknown_codec_in_the_first_line_does_not_hide_the_second(units: list[bytes]) -> None:
    with SettableCamera(Track(units, encoding="X-SMART265"), Track(units)).running() as camera:
        assert seen(camera.url) == 10


def test_nothing_but_unknown_codecs_is_said(units: list[bytes]) -> None:
    with SettableCamera(Track(units, encoding="X-SMART265")).running() as camera, pytest.raises(CameraError) as caught:
        seen(camera.url)
    assert caught.value.reason is Reason.NOT_READABLE
    assert "unknown codec" in caught.value.detail
