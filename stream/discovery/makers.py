"""Address patterns of makers, for cameras without ONVIF: (smaller stream or None, main stream), common makers first."""

from __future__ import annotations

from typing import Final

PATTERNS: Final[dict[str, tuple[str | None, str]]] = {
    "Hikvision": ("/Streaming/Channels/102", "/Streaming/Channels/101"),
    "Dahua, Amcrest": ("/cam/realmonitor?channel=1&subtype=1", "/cam/realmonitor?channel=1&subtype=0"),
    "Reolink": ("/h264Preview_01_sub", "/h264Preview_01_main"),
    "TP-Link": ("/stream2", "/stream1"),
    "Axis": (
        "/axis-media/media.amp?videocodec=h264&resolution=640x360",
        "/axis-media/media.amp",
    ),
    "Hanwha": ("/profile3/media.smp", "/profile2/media.smp"),
    "Uniview": ("/media/video2", "/media/video1"),
    "Foscam": ("/videoSub", "/videoMain"),
    "Vivotek": ("/live1s2.sdp", "/live1s1.sdp"),
    "Vivotek, older": (None, "/live.sdp"),
    "Bosch": ("/?inst=2", "/?inst=1"),
    "Panasonic": ("/MediaInput/h264/stream_2", "/MediaInput/h264/stream_1"),
    "Xiongmai": ("/live/ch00_1", "/live/ch00_0"),
    "Wansview, Sricam": ("/live/ch1", "/live/ch0"),
    "others, by number": ("/12", "/11"),
    "others": (None, "/live"),
}
RTSP_PORTS: Final = (554, 8554)
ONVIF_PORTS: Final = (80, 8000, 8080, 8899, 2020)
