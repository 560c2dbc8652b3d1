"""Streams that are opened: a good one, and one that never shows a whole image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.base.errors import CameraError, Reason
from stream.discovery import looking
from stream.discovery.looking import look, with_login
from stream.discovery.soap import Login
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as


def test_an_image_is_taken_with_a_login_of_any_characters() -> None:
    login = Login("view er", "p@ss/w:rd%?#\u00e9")
    units = encode_as("h264", moving_pictures(30))
    with SettableCamera(Track(units), login=("view er", login.password)).running() as camera:
        seen = look(camera.url, login)
        assert seen.size == "320x240"
        picture = cv2.imdecode(np.frombuffer(seen.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (240, 320, 3)
        with pytest.raises(CameraError) as caught:
            look(camera.url, Login("view er", "wrong"))
        assert caught.value.reason is Reason.UNAUTHORIZED
    assert with_login("rtsp://h/1?a=b", None) == "rtsp://h/1?a=b"


@pytest.mark.slow
def test_a_stream_that_never_shows_a_whole_image_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LONGEST", 0.5)
    units = encode_as("h264", moving_pictures(60), gop=250)[1:]  # no keyframe
    camera = SettableCamera(Track(units, lambda n: (n / 100, n / 25)))
    with camera.running(), pytest.raises(CameraError, match="no whole image in"):
        look(camera.url, None)
