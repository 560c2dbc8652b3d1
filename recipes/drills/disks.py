"""A data folder on a disk of 20 MB: filled by clips, and then to the last byte by another program."""

from __future__ import annotations

import time

from recipes.drills.drill import Findings, Ground
from recipes.drills.house import House, house
from tests.servers.disks import fill, small_disk
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as


def full(ground: Ground, findings: Findings) -> None:
    """Alarms (tests, through the whole path) one after the other, each with a clip of 2 MB."""
    by_clips, by_others = (8, 2) if ground.short else (30, 6)
    units = encode_as("h264", moving_pictures(25 * 20, 1280, 720), crf="12")
    camera, config = SettableCamera(Track(units)), ground.folder / "site.yaml"
    config.write_text(
        "retention: {free_mb: 3}\n"
        "defaults: {alarm: {threshold_on: 1, threshold_off: 1}, clip: {pre_roll: 1, post_roll: 1}}\n"
        f"cameras:\n  door: {{url: '{camera.url}'}}\n"
    )
    with (
        small_disk(ground.folder / "data", "20m") as disk,
        camera.running(),
        house(ground.folder, ground.bundle, "--config", config) as home,
    ):
        until(lambda: len(home.ears.scores("door")) > 8, 60, "scores")
        calm = time.monotonic()
        time.sleep(8.0)
        usual = home.ears.rate("door", calm, time.monotonic())
        began = time.monotonic()
        _alarms(home, by_clips)
        findings.same(f"{by_clips} alarms with clips: published", len(_ends(home)), by_clips)
        findings.same("old images and clips were deleted", home.service.said("media expired"), True)
        newest = set(_ends(home)[-by_clips // 2 :])
        findings.least(
            "of the newer half: clips kept", len({path.stem for path in disk.glob("media/*.mp4")} & newest), 1
        )
        fill(disk)
        _alarms(home, by_others)
        findings.same(
            f"{by_others} alarms on a disk without a free byte: published", len(_ends(home)) - by_clips, by_others
        )
        (disk / "filler").unlink()
        until(lambda: home.health().json()["oldest_unwritten"] < 1, 30, "what waited being written")
        _alarms(home, 2)
        findings.same("2 alarms after there is room again: published", len(_ends(home)) - by_clips - by_others, 2)
        change = 100 * (1 - home.ears.rate("door", began, time.monotonic()) / usual)
        findings.most("clips not scored meanwhile", change, 5.0, "%")
        findings.same("crashes", home.crashes, 0)


def _alarms(home: House, count: int) -> None:
    for _ in range(count):
        before = len(_ends(home))
        home.ears.publish("mgfn/door/test/set", "now")
        until(lambda: len(_ends(home)) > before, 30, "the end of an alarm")  # noqa: B023


def _ends(home: House) -> list[str]:
    return [event["id"] for event in home.ears.events() if event["type"] == "end"]
