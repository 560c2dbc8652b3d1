"""`--check`: tests whether everything is reachable, and shows what the model sees of each camera."""

from __future__ import annotations

import itertools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av import VideoFrame
from rich.table import Table

from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array
from engine.engine import Engine
from engine.geometry import seen
from stream.base.addresses import Source
from stream.base.errors import CameraError, Reason, UsageError
from stream.base.redaction import redact_all, shown_url
from stream.camera.capture import Capture
from stream.camera.clip_watch import LONG_CLIP, SLOWEST_RATE, spans_long, too_slow
from stream.camera.clips import LONGEST_GAP
from stream.camera.snapshot import snapshot
from stream.camera.view import View, hidden
from stream.cli.check_broker import broker_rows
from stream.cli.tables import console
from stream.settings.settings import ServiceSettings
from stream.sinks.courier import UndeliveredError
from stream.sinks.frigate import FrigateBridge
from stream.sinks.notifications import notify_targets

_FRAMES = 25
# Time limits for a camera with a low frame rate: for all frames, and for a single one.
_SECONDS = 6.0
_PATIENCE = 15.0
_AT_ONCE = 16


def check_all(settings: ServiceSettings, engine: Engine, folder: Path) -> bool:
    """Test the broker and every camera, write an image of each into `folder`, and print a table.

    Returns whether everything is reachable. Raises UsageError, after the table, for an invalid notification target. The
    bundle has already been checked by opening it.
    """
    table = _RedactedTable("what", "state", "found")
    bundle = engine.bundle
    table.add_row("bundle", "ok", f"{bundle.path} on {engine.backend.name} ({engine.reason})")
    fine = True
    if settings.frigate is not None:
        bridge = FrigateBridge(settings.frigate)
        try:
            state, found = "ok", f"version {bridge.probe()}"
        except UndeliveredError as error:
            fine, state, found = False, "failed", str(error)
        table.add_row("frigate", state, f"{shown_url(settings.frigate.url)} {found}")
        bridge.close()
    wrong: UsageError | None = None
    if settings.notify is not None:
        try:
            state, found = "ok", f"targets understood: {len(notify_targets(settings.notify, None))}; nothing was sent"
        except UsageError as error:
            wrong, state, found = error, "failed", str(error)
        table.add_row("notify", state, found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--data {folder}: {error.strerror}") from None
    tries = [(camera, stream) for camera in settings.cameras for stream in camera.streams]
    images: dict[str, bytes] = {}  # as the service would send them
    # in parallel, because a host that accepts and does not respond takes a long time
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        answers = [pool.submit(_tried, stream, camera.transport) for camera, stream in tries]
        for (camera, stream), answer in zip(tries, answers, strict=True):
            name = camera.name if stream is camera.streams[0] else f"{camera.name} (main stream)"
            try:
                found, frame = answer.result()
            except CameraError as error:
                fine = False
                table.add_row(name, "failed", f"{stream.shown}: {error}")
                continue
            if camera.name not in images:
                path = folder / f"{camera.name}.jpg"
                if not cv2.imwrite(str(path), _with_view(frame, camera.view, engine.manifest.geometry)):
                    raise UsageError(f"--data {folder}: {path.name} cannot be written there")
                if camera.eco and not camera.skip_still:
                    found += "; eco has no effect: skip_still is off"
                found = f"{found}; what the model sees:  {path}"
                images[camera.name] = snapshot(frame, f"{camera.name}  --check")
            table.add_row(name, "ok", found)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, do not start the remaining ones
    largest = max(images.values(), key=len, default=b"") or _sample_image()
    for what, state, found in broker_rows(settings, largest):
        fine &= state != "failed"
        table.add_row(what, state, found)
    console(160).print(table)
    if wrong is not None:
        raise wrong
    return fine


def _sample_image() -> bytes:
    """An image of the usual size, if no camera has given one."""
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()


class _RedactedTable(Table):
    """A table whose cells are redacted."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(redact_all(cell) for cell in cells), **options)


def _tried(stream: Source, transport: str) -> tuple[str, VideoFrame]:
    """Size and frame rate as text, and a frame. Raises CameraError."""
    pictures, arrivals = [], [time.monotonic()]
    with Capture(stream, transport, read_timeout=_PATIENCE) as capture:
        for picture in capture.pictures():
            pictures.append(picture)
            arrivals.append(time.monotonic())
            pauses = stream.live and _pauses(arrivals)
            if len(pictures) > 2 and arrivals[-1] - arrivals[0] > _SECONDS:
                break
            if len(pictures) >= _FRAMES and not pauses:
                break
    if stream.live and _never_in_a_row(arrivals):
        raise CameraError(
            Reason.BAD_RATE, f"nothing is scored: it pauses, and never sends {CLIP_LENGTH} frames in a row"
        )
    if not pictures:
        raise CameraError(Reason.NOT_READABLE, f"{stream.shown}: every frame is corrupt")
    timed = pictures[1:] if len(pictures) > 2 else pictures  # the first frame over RTSP has no time
    span = timed[-1].media_time - timed[0].media_time
    frames = (len(timed) - 1) / span if span > 0 else None
    if stream.live and frames is not None and frames < 0.9 * SLOWEST_RATE:
        raise CameraError(Reason.BAD_RATE, too_slow(frames))
    rate = "rate unknown" if frames is None else f"{frames:.1f} fps"
    if frames is not None and CLIP_LENGTH / frames > LONG_CLIP:
        rate += f"; {spans_long(CLIP_LENGTH / frames)}"
    frame = pictures[-1].frame
    return f"{frame.width}x{frame.height}, {rate}", frame


def _pauses(arrivals: list[float]) -> list[int]:
    """After which frames the camera paused for longer than a clip may."""
    gaps = [after - before for before, after in itertools.pairwise(arrivals[1:])]
    longest = max(LONGEST_GAP, 2.5 * statistics.median(gaps)) if gaps else 0.0
    return [number for number, gap in enumerate(gaps) if gap > longest]


def _never_in_a_row(arrivals: list[float]) -> bool:
    """Whether between the camera's pauses there are never enough frames for a clip."""
    runs = [after - before for before, after in itertools.pairwise(_pauses(arrivals))]
    return bool(runs) and max(runs) < CLIP_LENGTH


def _with_view(frame: VideoFrame, view: View, geometry: str) -> UInt8Array:
    """The frame (BGR) with masks darkened and a line around each region that becomes a crop."""
    picture = np.ascontiguousarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    masked = hidden(view, frame.width, frame.height) > 0
    picture[masked] //= 4
    left, top, right, bottom = view.box(frame.width, frame.height)
    for x0, y0, x1, y1 in seen(geometry, right - left, bottom - top):
        cv2.rectangle(picture, (left + x0, top + y0), (left + x1 - 1, top + y1 - 1), (0, 220, 255), 2)
    return picture
