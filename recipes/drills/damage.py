"""Cameras whose video is damaged on its way, and cameras that change their stream."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recipes.drills.drill import Findings, Ground
from recipes.drills.house import House, house
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as, steady

SHARE_FLIPPED, SHARE_LOST = 0.1, 0.05
# seconds
_CHANGES_AFTER = 12
_CALM, _INCIDENT = 20, 10


@dataclass(frozen=True)
class Flipped(Track):
    """In a tenth of its access units, some bytes behind the headers are flipped."""

    def payloads(self, index: int) -> list[bytes]:
        pieces = super().payloads(index)
        rng = random.Random(index)
        if rng.random() >= SHARE_FLIPPED:
            return pieces
        return [self._damaged(piece, rng) for piece in pieces]

    @staticmethod
    def _damaged(piece: bytes, rng: random.Random) -> bytes:
        if len(piece) < 60:  # parameter sets
            return piece
        damaged = bytearray(piece)
        for _ in range(3):
            damaged[rng.randrange(30, len(piece))] ^= 1 << rng.randrange(8)
        return bytes(damaged)


def flipped(ground: Ground, findings: Findings) -> None:
    """Every clip would raise an alarm: whatever alarm comes is of a clip that was taken for whole."""
    units = encode_as("h264", moving_pictures(25 * 20))
    _damage(ground, findings, SettableCamera(Flipped(units)), "tcp")


def lost(ground: Ground, findings: Findings) -> None:
    """Every clip would raise an alarm, as with flipped bytes."""
    units = encode_as("h264", moving_pictures(25 * 20))
    _damage(ground, findings, SettableCamera(Track(units), loss=SHARE_LOST), "udp")
    _staged(Ground(ground.folder_for("staged"), ground.bundle, ground.short), findings)


def _damage(ground: Ground, findings: Findings, camera: SettableCamera, transport: str) -> None:
    lasts = 20.0 if ground.short else 600.0
    config = ground.folder / "site.yaml"
    config.write_text(
        "defaults: {alarm: {threshold_on: 0, threshold_off: 0}}\n"
        f"cameras:\n  door: {{url: '{camera.url}', transport: {transport}}}\n"
    )
    with camera.running(), house(ground.folder, ground.bundle, "--config", config) as home:
        until(lambda: home.ears.last("mgfn/door/available") == "online", 60, "the camera")
        began = time.monotonic()
        time.sleep(lasts)
        state = home.camera("door")
        degraded = home.ears.times("mgfn/door/status", "degraded", began)
        problems = {said for _, topic, said in home.ears.heard if topic == "mgfn/door/problem"} - {"none"}
        findings.same("crashes", home.crashes, 0)
        findings.note("frames decoded, damaged", f"{state['frames']}, {state['corrupt_frames']}")
        findings.note("clips scored", len(home.ears.scores("door", began)))
        findings.note("clips withheld as damaged", state["damaged_clips"])
        findings.note("alarms", len({e["id"] for e in home.ears.events() if e["type"] == "new"}))
        findings.note("problem over MQTT", ", ".join(sorted(problems)) or "none")
        first = degraded[0] - began if degraded else float("inf")
        findings.most("`degraded` after", first, 10.0, "s")


def _staged(ground: Ground, findings: Findings) -> None:
    """Incidents on a camera of whose packets 5 % are lost: each must ring, or `problem` say that nothing is seen."""
    wanted = 2 if ground.short else 10
    # the tiny model scores a flickering wall 0.43, and something that moves 0.6
    wall = [np.full((240, 320, 3), 255 if number % 2 else 200, np.uint8) for number in range(25 * _CALM)]
    units = encode_as("h264", [*wall, *moving_pictures(25 * _INCIDENT)])
    camera = SettableCamera(Track(units), loss=SHARE_LOST)
    config = ground.folder / "site.yaml"
    config.write_text(
        "defaults: {alarm: {threshold_on: 0.5, threshold_off: 0.48}}\n"
        f"cameras:\n  door: {{url: '{camera.url}', transport: udp}}\n"
    )
    rang, blind, missed = 0, 0, 0
    with camera.running(), house(ground.folder, ground.bundle, "--config", config) as home:
        until(lambda: home.ears.last("mgfn/door/available") == "online", 60, "the camera")
        for number in range(wanted):
            begins = camera.played_at[-1] + number * (_CALM + _INCIDENT) + _CALM - time.time() + time.monotonic()
            time.sleep(max(0.0, begins + _INCIDENT - time.monotonic()))
            alarm, problem = _rang(home, begins), _problem(home, begins)
            rang, blind, missed = rang + alarm, blind + (problem and not alarm), missed + (not alarm and not problem)
        crashes = home.crashes
    findings.same("incidents at 5 % loss: crashes", crashes, 0)
    findings.note(f"of {wanted} incidents: rang within {_INCIDENT} s", rang)
    findings.note(f"of {wanted} incidents: did not ring, but `problem` named the damage", blind)
    findings.same(f"of {wanted} incidents: neither", missed, 0)


def _rang(home: House, begins: float) -> bool:
    said = [json.loads(text) for at, topic, text in home.ears.heard if at >= begins and topic.endswith("/events")]
    return any(event["type"] == "new" for event in said)


def _problem(home: House, begins: float) -> bool:
    """Whether `problem` stood at that time, or came within the incident."""
    before = "none"
    for at, topic, said in home.ears.heard:
        if topic == "mgfn/door/problem":
            if at > begins and said != "none":
                return True
            before = said if at <= begins else before
    return before != "none"


def changes(ground: Ground, findings: Findings) -> None:
    """640x360 at 25/s in H.264, then 480x270 at 15/s, within one connection and with a new one, then H.265."""
    for number, (name, first, second) in enumerate(_streams()):
        folder = ground.folder_for(f"change{number}")
        camera = SettableCamera(first)
        with camera.running(), house(folder, ground.bundle, "--rtsp", f"door={camera.url}") as home:
            until(lambda: len(home.ears.scores("door")) >= 4, 60, "scores")
            if second is None:
                since = camera.played_at[0] + _CHANGES_AFTER - time.time() + time.monotonic()
                time.sleep(max(0.0, since - time.monotonic()))
            else:
                camera.tracks = (second,)
                camera.hang_up()
                since = time.monotonic()
            until(lambda: 1 in _windows(home, since), 30, "a score of an empty window")  # noqa: B023
            took = home.ears.scores("door", since)
            findings.most(f"{name}: scored again after", took[0] - since, 20.48, "s")
            time.sleep(3.0)
            windows = _windows(home, since)
            findings.same(f"{name}: windows that began", windows.count(1), 1)
            findings.same(f"{name}: connections", len(camera.played_at), 1 if second is None else 2)
            findings.same(f"{name}: crashes", home.crashes, 0)


def _windows(home: House, since: float) -> list[int]:
    """How full the window was at each score."""
    return [json.loads(said)["window"] for at, topic, said in home.ears.heard if at > since and topic.endswith("score")]


def _streams() -> Sequence[tuple[str, Track, Track | None]]:
    """The name of a change, and the streams before and after it; None if the first one changes within itself."""
    wide, small = moving_pictures(25 * _CHANGES_AFTER, 640, 360), moving_pictures(15 * 20, 480, 270)
    units, others = encode_as("h264", wide), encode_as("h264", small, fps=15)
    first = Track(units)
    within = Track([*units, *others], lambda k: (_changed(k, len(units)), _changed(k, len(units))))
    return (
        ("640x360 to 480x270, 25 to 15 fps, one connection", within, None),
        ("640x360 to 480x270, 25 to 15 fps", first, Track(others, steady(15))),
        ("H.264 to H.265", first, Track(encode_as("h265", wide), codec="h265")),
    )


def _changed(index: int, first: int) -> float:
    """When a frame is sent: 25 a second, and 15 after the first so many."""
    return index / 25 if index < first else first / 25 + (index - first) / 15
