"""Hardware decoding: what is asked for and is not there ends on the CPU, and is said."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from structlog.testing import capture_logs

from stream.base.addresses import Source
from stream.camera.capture import Capture
from stream.camera.hwaccel import Hwaccel, accelerator
from tests.servers.rtsp import moving_pictures, write_video


def test_none_is_the_cpu_and_nothing_is_said() -> None:
    with capture_logs() as said:
        assert accelerator("none", "door") is None
    assert not said


@pytest.mark.skipif(Path("/dev/nvidia0").exists() or Path("/dev/dri").exists(), reason="a device is there")
@pytest.mark.parametrize(
    ("wanted", "reason"), [("auto", "no device found"), ("cuda", "cuda: "), ("vaapi", "vaapi: not in this FFmpeg")]
)
def test_what_is_not_there_ends_on_the_cpu_with_one_line(wanted: Hwaccel, reason: str) -> None:
    with capture_logs() as said:
        assert accelerator(wanted, "door") is None
    (line,) = said
    assert line["event"] == "hardware decoding failed; using the CPU"
    assert (line["camera"], line["hwaccel"]) == ("door", wanted)
    assert line["reason"].startswith(reason)


def test_auto_tries_what_it_finds(tmp_path: Path) -> None:
    with capture_logs() as said:
        assert accelerator("auto", "door", {"vaapi": tmp_path, "cuda": tmp_path / "absent"}) is None
    assert said[0]["reason"].startswith("vaapi: ")
    assert "cuda" not in said[0]["reason"]


def test_a_stream_that_the_device_does_not_decode_is_decoded_all_the_same(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", moving_pictures(20))
    fallback = av.codec.hwaccel.HWAccel("qsv", allow_software_fallback=True)
    with Capture(Source("video", str(video), live=False), hwaccel=fallback) as capture:
        assert len(list(capture.pictures())) == 20
