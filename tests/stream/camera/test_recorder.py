"""Pictures and clips from real packets, without a camera."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from stream.base.clock import SteadyClock
from stream.camera import recorder, recorder_thread
from stream.camera.clip_file import COPIED, ENCODED_AGAIN, FIRST_PICTURE
from stream.camera.masked_clip import MaskedClip
from stream.camera.messages import ClipClosed, EndClip, Message, SnapshotTaken, StartClip, TakeSnapshot
from stream.camera.packets import PacketRing, StoredPacket
from stream.camera.recorder_thread import RecorderThread
from stream.camera.view import View
from tests.servers.rtsp import moving_pictures, write_video

CLOCK = SteadyClock.by_the_wall()


def packet(number: int, size: int = 100) -> StoredPacket:
    """25 a second, a keyframe every second."""
    return StoredPacket(b"x" * size, number, number, number % 25 == 0, number / 25)


def test_the_ring_begins_with_a_keyframe_and_keeps_its_span() -> None:
    ring = PacketRing(span=2.0)
    for number in range(7, 250):  # joined in the middle of a group
        ring.add(packet(number))
    assert ring.since(0.0)[0] == packet(175)  # 7.0 s: the last keyframe at least two seconds old at 9.96 s
    assert ring.since(8.7)[0] == packet(200)
    assert len(ring.since(8.7)) == 50


def test_the_ring_is_bounded_by_bytes() -> None:
    ring = PacketRing(span=60.0, largest=10_000)
    for number in range(250):
        ring.add(packet(number))
    assert ring.since(0.0)[0] == packet(150)  # 100 packets are 10,000 bytes
    for number in range(250, 275):
        ring.add(packet(number, size=1_000))
    assert ring.since(0.0) == []  # one group alone is larger: it waits for the next
    ring.add(packet(275))
    assert ring.since(0.0) == [packet(275)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", moving_pictures(200))


def play(
    recorder: RecorderThread, video: Path, orders: dict[int, StartClip | EndClip | TakeSnapshot], until: int
) -> None:
    """Frames as the decoder's process takes them; epoch time is packet time + 1000."""
    _play(recorder, video, orders, until)
    recorder.settle()


def _play(
    recorder: RecorderThread, video: Path, orders: dict[int, StartClip | EndClip | TakeSnapshot], until: int
) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        recorder.connected(stream)
        number = 0
        for each in container.demux(stream):
            recorder.packet(each)
            for frame in each.decode():
                if number % 16 == 15:
                    recorder.finished_clip(0, number // 16, frame)
                if number in orders:
                    recorder.obey(orders[number], 1000.0)
                number += 1
                if number == until:
                    return


@pytest.mark.slow
def test_a_clip_holds_what_was_before_and_after(tmp_path: Path, video: Path) -> None:
    sent: list[Message] = []
    path = tmp_path / "1000.00-abcdef.mp4"
    start = StartClip("1000.00-abcdef", path, begin=1002.5, longest=60.0)
    play(
        RecorderThread(5.0, sent.append, CLOCK), video, {100: start, 125: EndClip("1000.00-abcdef", until=1006.0)}, 200
    )
    (closed,) = sent
    assert isinstance(closed, ClipClosed)
    assert closed.bytes == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]
    # its index comes first, so that a browser can begin at once
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")
    with av.open(str(path)) as clip, av.open(str(video)) as original:
        found = [f.to_ndarray(format="gray") for f in clip.decode(video=0)]
        wanted = [f.to_ndarray(format="gray") for f in original.decode(video=0)]
        assert clip.streams.video[0].codec_context.name == "h264"
        assert clip.metadata["description"] == COPIED
    # from the keyframe at 2.0 s to 6.0 s, picture by picture what the camera sent
    assert len(found) == 101
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted[50:151], strict=True))


def write_as(path: Path, codec: str, pix_fmt: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, pix_fmt
        stream.options = {"x265-params": "log-level=none:keyint=25:bframes=0"} if codec == "libx265" else {}
        for picture in moving_pictures(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


# What Debian's Chromium 156 made of each: it plays the first alone. Safari and browsers with a decoder in hardware play
# H.265 under this name; VLC and FFmpeg play all of them.
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "kept_as", "tag"),
    [
        ("libx264", "yuv420p", "h264", "avc1"),
        ("libx265", "yuv420p", "hevc", "hvc1"),
        ("mjpeg", "yuvj420p", "mjpeg", "mp4v"),
    ],
)
def test_whatever_the_camera_sends_is_kept_as_it_is(
    tmp_path: Path, codec: str, pix_fmt: str, kept_as: str, tag: str
) -> None:
    source = write_as(tmp_path / "source.mkv", codec, pix_fmt)
    sent: list[Message] = []
    recorder, path = RecorderThread(5.0, sent.append, CLOCK), tmp_path / "1.00-aaaaaa.mp4"
    play(recorder, source, {40: StartClip("1.00-aaaaaa", path, begin=1001.0, longest=60.0)}, 60)
    recorder.disconnected()
    recorder.settle()
    with av.open(str(path)) as clip, av.open(str(source)) as original:
        stream = clip.streams.video[0]
        assert (stream.codec_context.name, stream.codec_tag) == (kept_as, tag)
        found = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
        wanted = [bytes(packet) for packet in original.demux(video=0) if packet.size]
    assert len(found) >= 30
    assert found == wanted[-len(found) :]


def test_a_long_clip_is_cut_and_a_lost_camera_closes_it(tmp_path: Path, video: Path) -> None:
    sent: list[Message] = []
    recorder = RecorderThread(1.0, sent.append, CLOCK)
    cut = StartClip("1.00-aaaaaa", tmp_path / "cut.mp4", begin=1000.0, longest=2.0)
    lost = StartClip("2.00-bbbbbb", tmp_path / "lost.mp4", begin=1003.0, longest=60.0)
    play(recorder, video, {10: cut, 100: lost}, 150)
    assert [(m.event, m.seconds) for m in sent if isinstance(m, ClipClosed)] == [("1.00-aaaaaa", 2.0)]
    recorder.disconnected()
    recorder.settle()
    assert isinstance(sent[-1], ClipClosed)
    assert sent[-1].event == "2.00-bbbbbb"
    assert sent[-1].seconds == pytest.approx(149 / 25 - 3.0)
    recorder.obey(StartClip("3.00-cccccc", tmp_path / "x.mp4", 1.0, 1.0), None)
    assert sent[-1] == ClipClosed("3.00-cccccc", 0, 0.0, "the camera is not connected")


def test_a_clip_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path, video: Path) -> None:
    sent: list[Message] = []
    (folder := tmp_path / "no").touch()  # a file where the folder should be
    start = StartClip("1.00-aaaaaa", folder / "clip.mp4", begin=1000.0, longest=9.0)
    shot = TakeSnapshot("1.00-aaaaaa", folder / "clip.jpg", "text", None)
    play(RecorderThread(1.0, sent.append, CLOCK), video, {20: start, 21: shot}, 30)
    assert sent == [
        ClipClosed("1.00-aaaaaa", 0, 0.0, "Not a directory"),
        SnapshotTaken("1.00-aaaaaa", 0, "File exists"),
    ]


def test_the_picture_is_of_the_clip_that_was_scored_with_text_below(tmp_path: Path, video: Path) -> None:
    import cv2

    sent: list[Message] = []
    path = tmp_path / "shot.jpg"
    play(
        RecorderThread(1.0, sent.append, CLOCK),
        video,
        {70: TakeSnapshot("1.00-aaaaaa", path, "door  0.91", (0, 2))},
        90,
    )
    assert sent == [SnapshotTaken("1.00-aaaaaa", path.stat().st_size)]
    picture = cv2.imread(str(path))
    assert picture is not None
    with av.open(str(video)) as container:
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    upper = slice(0, 200)
    errors = [float(np.abs(picture[upper].astype(int) - frames[n][upper]).mean()) for n in (31, 47, 63)]
    assert errors[1] == min(errors)
    assert errors[1] < 5
    assert picture[215:].max() > 200  # white letters in the dark band


def test_no_picture_before_the_first_clip(tmp_path: Path) -> None:
    sent: list[Message] = []
    RecorderThread(1.0, sent.append, CLOCK).obey(TakeSnapshot("1.00-aaaaaa", tmp_path / "x.jpg", "", None), None)
    assert sent == [SnapshotTaken("1.00-aaaaaa", 0, "no image yet")]


def test_while_the_disk_hangs_nobody_waits_and_little_is_kept(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder_thread, "RING_BYTES", 20_000)
    sent: list[Message] = []
    recorder, disk = RecorderThread(5.0, sent.append, CLOCK), threading.Event()
    before = StartClip("1.00-aaaaaa", tmp_path / "before.mp4", begin=1000.0, longest=60.0)
    during = StartClip("2.00-bbbbbb", tmp_path / "during.mp4", begin=1000.0, longest=60.0)
    after = StartClip("3.00-cccccc", tmp_path / "after.mp4", begin=1000.0, longest=2.0)
    _play(recorder, video, {5: before}, 10)
    recorder.settle()
    recorder._put(lambda: None if disk.wait(20) else pytest.fail("the disk hung for ever"))
    recorder.disconnected()
    _play(recorder, video, {150: during}, 200)
    assert sent == [ClipClosed("2.00-bbbbbb", 0, 0.0, "the disk does not respond")]
    assert recorder._waiting <= 20_000
    disk.set()
    recorder.settle()
    assert isinstance(sent[1], ClipClosed)
    assert (sent[1].event, sent[1].problem) == ("1.00-aaaaaa", "")
    monkeypatch.setattr(recorder_thread, "RING_BYTES", 20_000_000)  # `play` is faster than a camera
    play(recorder, video, {10: after}, 100)
    assert isinstance(sent[-1], ClipClosed)
    assert (sent[-1].event, sent[-1].seconds) == ("3.00-cccccc", 2.0)
    assert "".join(capsys.readouterr()).count("disk does not respond: nothing is recorded") == 1


# an H.264 unit, with its length before it, by which a camera says that its image is rotated by 180 degrees
UPSIDE_DOWN = bytes.fromhex("00000007 06 2f 03 100009 80")
UPPER_HALF = View(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)),))


def test_masks_reach_saved_images_and_clips(tmp_path: Path, video: Path) -> None:
    """The clip lasts as long as one that is copied, its times can be computed again, and `whole` images show all."""
    import cv2

    sent: list[Message] = []
    thread = RecorderThread(1.0, sent.append, CLOCK, UPPER_HALF)
    clip = StartClip("1.00-aaaaaa", tmp_path / "masked.mp4", begin=1001.5, longest=60.0)
    shot = TakeSnapshot("1.00-aaaaaa", tmp_path / "masked.jpg", "", (0, 1))
    whole = TakeSnapshot("2.00-bbbbbb", tmp_path / "whole.jpg", "", (0, 1), whole=True)
    play(thread, video, {40: clip, 41: shot, 42: whole, 50: EndClip("1.00-aaaaaa", until=1002.4)}, 70)
    thread.disconnected()
    thread.settle()
    (closed,) = [message for message in sent if isinstance(message, ClipClosed)]
    assert closed.problem == ""
    assert closed.seconds == pytest.approx(1.4)
    masked, complete = cv2.imread(str(tmp_path / "masked.jpg")), cv2.imread(str(tmp_path / "whole.jpg"))
    assert masked is not None
    assert complete is not None
    assert masked[:118].max() < 12
    assert masked[130:].mean() > 50
    assert complete[:118].mean() > 50
    with av.open(str(tmp_path / "masked.mp4")) as saved, av.open(str(video)) as original:
        assert saved.metadata["description"] == ENCODED_AGAIN
        begin = float(saved.metadata["comment"].removeprefix(FIRST_PICTURE))
        found = list(saved.decode(video=0))
        wanted = {round(f.time or 0.0, 2): f.to_ndarray(format="rgb24") for f in original.decode(video=0)}
    assert begin == pytest.approx(1001.0)
    assert len(found) == 36
    for frame in found:
        picture, sent_picture = frame.to_ndarray(format="rgb24"), wanted[round((frame.time or 0.0) + 1.0, 2)]
        assert picture[:118].max() < 12
        assert np.abs(picture[130:].astype(int) - sent_picture[130:]).mean() < 6


def test_a_camera_that_is_turned_in_the_middle_gets_no_masked_clip(tmp_path: Path, video: Path) -> None:
    """The image keeps its size, and the masks would lie upside down."""
    turned = tmp_path / "turned.mp4"
    with av.open(str(video)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, sent_packet in enumerate(source.demux(source.streams.video[0])):
            if not sent_packet.size:
                continue
            turned_packet = av.Packet((UPSIDE_DOWN if number >= 45 else b"") + bytes(sent_packet))
            turned_packet.pts, turned_packet.dts = sent_packet.pts, sent_packet.dts
            turned_packet.time_base, turned_packet.is_keyframe = sent_packet.time_base, sent_packet.is_keyframe
            turned_packet.stream = stream
            target.mux(turned_packet)
    with av.open(str(turned)) as container:
        assert [frame.rotation for frame in container.decode(video=0)][::60] == [0, -180, -180, -180]
    sent: list[Message] = []
    thread = RecorderThread(1.0, sent.append, CLOCK, UPPER_HALF)
    play(thread, turned, {40: StartClip("1.00-aaaaaa", tmp_path / "masked.mp4", begin=1001.5, longest=60.0)}, 100)
    assert sent == [ClipClosed("1.00-aaaaaa", 0, 0.0, "a rotated recording cannot be masked")]
    assert [path.name for path in tmp_path.iterdir()] == ["turned.mp4"]


def test_a_clip_that_cannot_be_masked_in_time_is_cut(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is left out rather than saved without masks."""
    monkeypatch.setattr(recorder, "_MASK_AT_END", 0.02)
    monkeypatch.setattr(recorder_thread, "_REST", 60.0)
    sent: list[Message] = []
    thread = RecorderThread(5.0, sent.append, CLOCK, UPPER_HALF)
    _play(thread, video, {150: StartClip("1.00-aaaaaa", tmp_path / "clip.mp4", begin=1000.0, longest=60.0)}, 160)
    thread.close()
    (closed,) = sent
    assert isinstance(closed, ClipClosed)
    assert closed.seconds < 5.0
    assert "no time to mask it" in "".join(capsys.readouterr())
    assert all(path.name == "clip.mp4" for path in tmp_path.iterdir())


def test_a_clip_is_masked_while_no_packet_waits_and_after_the_camera_was_lost(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets do not wait for it, and the incident is kept although the camera was lost soon after the alarm."""
    monkeypatch.setattr(recorder, "_MASK_AT_END", 0.0)
    done: list[str] = []

    def noted(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def called(*given: object) -> None:
            done.append(name)
            method(*given)

        monkeypatch.setattr(owner, name, called)

    noted(recorder.Recorder, "packet")
    noted(MaskedClip, "_convert")
    sent: list[Message] = []
    thread, begun = RecorderThread(5.0, sent.append, CLOCK, UPPER_HALF), threading.Event()
    thread._put(lambda: None if begun.wait(20) else pytest.fail("never begun"))
    _play(thread, video, {50: StartClip("1.00-aaaaaa", tmp_path / "clip.mp4", begin=1000.0, longest=60.0)}, 60)
    thread.disconnected()
    begun.set()
    thread.settle()
    (closed,) = sent
    assert isinstance(closed, ClipClosed)
    assert closed.problem == ""
    assert closed.seconds == pytest.approx(59 / 25)
    assert done == ["packet"] * 60 + ["_convert"] * 60
