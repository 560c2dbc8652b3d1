"""Cameras that go away and stall."""

from __future__ import annotations

import random
import statistics
import time

import numpy as np
import psutil

from recipes.drills.drill import Findings, Ground
from recipes.drills.house import House, Usage, house
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, encode, moving_pictures
from tests.servers.settable_camera import SettableCamera, Silence, Track, encode_as

# The allocators fill their pools in the first 35 returns or so; measured over 100, memory is flat from then on.
WARM_UP = 40


def killed(ground: Ground, findings: Findings) -> None:
    """The camera's process is killed again and again; it is away for half a second to six. Quick returns come first, so
    that growth is not the filling of the allocators' pools.
    """
    times, longest, cycle, warm_up = (2, 1.0, 0.0, 1) if ground.short else (50, 6.0, 12.0, WARM_UP)
    rng = random.Random(1)
    units = encode(moving_pictures(25 * 60))
    camera, other = TestCamera(ground.folder, units), TestCamera(ground.folder, units)
    waits: list[float] = []
    usage: list[Usage] = []
    arguments = ["--rtsp", f"door={camera.url}", "--rtsp", f"other={other.url}"]
    with other.running(), house(ground.folder, ground.bundle, *arguments) as home:
        for number in range(warm_up + times):
            began, measured = time.monotonic(), number >= warm_up
            with camera.running():
                back = time.monotonic()
                until(lambda back=back: home.ears.scores("door", back), 60, "a score after the return")  # type: ignore[misc]
                if measured:
                    waits.append(home.ears.scores("door", back)[0] - back)
                    usage.append(Usage.settled(home.pid, 3))
                time.sleep(1.0)
            away = rng.uniform(0.5, longest if measured else 1.0)
            time.sleep(max(away, began + cycle - time.monotonic()) if measured else away)
        crashes = home.crashes
    findings.same("kills", len(waits), times)
    findings.same("crashes", crashes, 0)
    findings.most("first score after the return, median", statistics.median(waits), 2.0, "s")
    findings.most("first score after the return, p95", float(np.percentile(waits, 95)), 5.0, "s")
    _growth(findings, usage, warm_up, short=ground.short)


def _growth(findings: Findings, usage: list[Usage], warm_up: int, *, short: bool) -> None:
    """How memory, threads and descriptors grew from the first returns that count to the last ones."""
    memory = [each.memory for each in usage]
    some = min(5, len(usage) // 2)
    before, after = usage[0], usage[-1]
    growth = 100 * (statistics.median(memory[-some:]) / statistics.median(memory[:some]) - 1)
    if short:  # too few to be warm
        findings.note("memory growth", f"{growth:.1f} %")
        findings.note("more descriptors", str(after.files - before.files))
    else:
        findings.most(f"memory growth, after {warm_up} quick returns as a warm-up", growth, 5.0, "%")
        slope = float(np.polyfit(range(len(memory)), memory, 1)[0])
        findings.note("slope of memory over the kills", f"{slope:.3f} MiB a kill")
        findings.most("more descriptors", after.files - before.files, 0)
    findings.most("more threads", after.threads - before.threads, 0)
    findings.note("memory of the service and its decoders", f"{after.memory:.0f} MiB")


def _until_stalled(units: list[bytes], seconds: float) -> Track:
    """Video that is sent for so many seconds, and then no more, on a connection that stays open."""
    last = round(25 * seconds)
    return Track(units, lambda k: (k / 25 if k < last else 1e6, k / 25))


def _noticed(home: House, camera: str, stalled_at: float) -> float:
    return home.ears.wait(f"mgfn/{camera}/status", "offline", stalled_at, 30) - stalled_at


def stalls(ground: Ground, findings: Findings) -> None:
    """A server that is stopped; media that stop while control goes on; video that stops while audio goes on."""
    watched = 10.0 if ground.short else 60.0
    units, plays = encode_as("h264", moving_pictures(25 * round(2 * watched + 30))), 8.0
    server, other = TestCamera(ground.folder, units), TestCamera(ground.folder, units)
    media = SettableCamera(_until_stalled(units, plays))
    video = SettableCamera(_until_stalled(units, plays), Silence([b""], lambda k: (k / 50, k / 50)))
    cameras: dict[str, TestCamera | SettableCamera] = {"server": server, "media": media, "video": video, "other": other}
    arguments = [text for name, camera in cameras.items() for text in ("--rtsp", f"{name}={camera.url}")]
    with (
        server.running(), media.running(), video.running(), other.running(),
        house(ground.folder, ground.bundle, *arguments) as home,
    ):  # fmt: skip
        for name in cameras:
            until(lambda name=name: home.ears.scores(name), 60, f"scores of {name}")  # type: ignore[misc]
        for name, camera in (("media", media), ("video", video)):
            since = camera.played_at[0] + plays - time.time() + time.monotonic()
            kind = {"media": "media stopped, control alive", "video": "video stopped, audio going on"}[name]
            findings.most(f"{kind}: offline over MQTT after", _noticed(home, name, since), 5.0, "s")
            findings.note(f"{kind}: problem", home.ears.last(f"mgfn/{name}/problem"))
        calm = time.monotonic()
        time.sleep(watched)
        before = home.ears.rate("other", calm, time.monotonic())
        _stop(server)
        stalled = time.monotonic()
        findings.most("server stopped: offline over MQTT after", _noticed(home, "server", stalled), 5.0, "s")
        time.sleep(max(0.0, stalled + watched - time.monotonic()))
        during = home.ears.rate("other", stalled, time.monotonic())
        change = 100 * abs(during / before - 1)
        if ground.short:  # a clip is 6 % of ten seconds
            findings.note("change of the other camera's rate", f"{change:.1f} %")
        else:
            findings.most("change of the other camera's rate", change, 5.0, "%")
        findings.same("crashes", home.crashes, 0)


def _stop(camera: TestCamera) -> None:
    assert camera.process is not None
    psutil.Process(camera.process.pid).suspend()
