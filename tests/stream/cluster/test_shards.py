"""Two shards of the real program: one is killed, started again, frozen; nobody ever speaks twice."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.bundle import Bundle
from stream.archive.store import Store
from tests.bundles import bundle_with_another_head
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import until
from tests.servers.service import running
from tests.stream.cluster.shards import CLIP, SCORES, Heard, made, make_video, online, shards, write_site

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # in real time: a busy machine starts decoders late

CAMERAS = [f"cam{number}" for number in range(3)]
TAKEN_OVER_WITHIN = 15.0


def test_a_shard_is_killed_and_comes_back_with_a_new_bundle(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    site, video = tmp_path / "site.yaml", make_video(tmp_path)
    write_site(site, mosquitto.url, tiny_bundle, video, CAMERAS)
    heard = Heard(mosquitto.port)
    with shards(tmp_path, site, 2) as workers:
        online(heard, CAMERAS)
        until(lambda: all(heard.last(f"mgfn/worker/{name}/available") == "online" for name in workers))
        victim = heard.owner(CAMERAS[0])
        lost = [camera for camera in CAMERAS if heard.owner(camera) == victim]
        until(lambda: all(f"mgfn/checkpoint/{camera}" in heard.latest for camera in lost), 30, "checkpoints")
        killed, epoch = time.monotonic(), time.time()
        workers[victim].process.kill()
        until(lambda: heard.scored(lost, killed, end_after=epoch + CLIP), TAKEN_OVER_WITHIN, "scores of the survivor")
        assert heard.last(f"mgfn/worker/{victim}/available") == "offline"
        assert heard.last("mgfn/available") == "online"
        windows = [score["window"] for camera, score in heard.scores(killed) if camera in lost]
        assert min(windows) > 1  # it did not begin anew
        new = bundle_with_another_head(tiny_bundle, tmp_path / "new")
        write_site(site, mosquitto.url, new, video, CAMERAS)
        other = next(name for name in workers if name != victim)
        until(lambda: workers[other].said("this key needs a restart"))
        back = time.monotonic()
        number = victim.split("-")[1]
        arguments = ["--config", site, "--shard", f"{number}/2", "--scores", tmp_path / SCORES]
        with running(made(tmp_path / "again"), *arguments) as again:
            until(lambda: {heard.owner(camera) for camera in lost} == {victim}, 60, "its cameras coming back")
            moved = time.time()
            until(lambda: heard.scored(lost, back, end_after=moved + CLIP), 30)
            drain = [sys.executable, "-m", "stream.cli", "cluster", "drain", other, "--mqtt", mosquitto.url]
            done = subprocess.run(drain, capture_output=True, text=True, check=False, timeout=120)
            assert done.stdout == f"{other} has no cameras left\n", done.stderr
            assert {heard.owner(camera) for camera in CAMERAS} == {victim}
            for camera in lost:  # handed over without a gap
                ends = [score["time"] for name, score in heard.scores(back) if name == camera]
                assert max(b - a for a, b in itertools.pairwise(ends)) < 2 * CLIP + 0.3
                assert (camera, "offline") not in [(t.split("/")[1], text) for t, text in heard.since(killed)]
            assert not again.said('"continued": true')  # the windows are of another bundle
            assert again.stop() == 0
            kept = [json.loads(heard.last(f"mgfn/checkpoint/{camera}") or "{}") for camera in CAMERAS]
            assert {checkpoint["bundle"] for checkpoint in kept} == {Bundle.open(new).sha256}
        heard.assert_one_owner_at_a_time(tmp_path / SCORES)
        fences = [event["fence"] for event in heard.events()]
        assert min(fences) >= 1
    until(lambda: heard.last("mgfn/worker/shard-1-of-2/available") == "offline")
    heard.close()


def test_a_frozen_shard_says_nothing_new_but_sends_what_it_had(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    """Leases in a folder: alarms go on without a broker, and leave later."""
    site, video = tmp_path / "site.yaml", make_video(tmp_path)
    write_site(site, mosquitto.url, tiny_bundle, video, CAMERAS, "defaults: {alarm: {threshold_on: 0.99}}")
    heard = Heard(mosquitto.port)
    with shards(tmp_path, site, 2, "--leases", tmp_path / "leases") as workers:
        online(heard, CAMERAS)
        assert not heard.events()
        mosquitto.stop()
        write_site(site, mosquitto.url, tiny_bundle, video, CAMERAS, "defaults: {alarm: {threshold_on: 0.3}}")
        folders = {name: tmp_path / name.split("-")[1] / "data" for name in workers}

        def held(name: str) -> list[str]:
            with Store.read_only(folders[name]) as store:
                return [each.payload.id for each in store.events.waiting() if each.payload.type == "new"]

        until(lambda: sum(len(held(name)) for name in workers) == len(CAMERAS), 60, "alarms without a broker")
        victim, other = sorted(workers, key=lambda name: -len(held(name)))
        events = held(victim)
        process = workers[victim].process
        process.send_signal(signal.SIGSTOP)
        mosquitto.start()
        until(
            lambda: {e["camera"] for e in heard.events() if e["type"] == "new"} == set(CAMERAS),
            40,
            "the other's alarms",
        )
        thawed = time.monotonic()
        old = {e["id"]: e["fence"] for e in heard.events()}
        assert not old.keys() & set(events)
        process.send_signal(signal.SIGCONT)
        until(lambda: {e["id"] for e in heard.events()} >= set(events), 30, "what it had")
        until(lambda: workers[victim].said("lease of a camera lost"))
        late = [event for event in heard.events() if event["id"] in events]
        assert all(event["delayed"] for event in late)
        assert {event["fence"] for event in late} == {1}
        assert next(e["type"] for e in late if e["id"] == events[0]) == "new"
        until(lambda: [e for e in heard.events() if e["id"] == events[0] and e["type"] == "end"], 10, "its end")
        assert {e["end_reason"] for e in heard.events() if e["id"] in events and e["type"] == "end"} == {"moved"}
        stale = [s for c, s in heard.scores(thawed) if s["fence"] == 1 and c in {e["camera"] for e in late}]
        assert not stale
        heard.assert_one_owner_at_a_time(tmp_path / SCORES)
        assert workers[other].process.poll() is None
    heard.close()


def test_wrong_use(tmp_path: Path) -> None:
    def said(*arguments: object) -> str:
        command = [sys.executable, "-m", "stream.cli", "--rtsp", "rtsp://127.0.0.1/x", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 2
        return done.stderr

    assert "needs a broker that all instances share: --mqtt URL" in said("--shard", "1/2")
    (tmp_path / "file").touch()
    shared = ("--shard", "1/2", "--mqtt", "mqtt://127.0.0.1:1", "--leases", tmp_path / "file")
    assert f"--leases {tmp_path}/file: cannot be written" in said(*shared)


def test_a_shard_of_another_site_gives_way(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    video = make_video(tmp_path, 60)
    for name, cameras in (("ours", ["door"]), ("theirs", ["gate"])):
        write_site(tmp_path / f"{name}.yaml", mosquitto.url, tiny_bundle, video, cameras)
    heard = Heard(mosquitto.port)
    with shards(tmp_path, tmp_path / "ours.yaml", 1):
        online(heard, ["door"])
        arguments = ["--config", tmp_path / "theirs.yaml", "--shard", "2/2"]
        with running(made(tmp_path / "theirs"), *arguments) as other:
            assert other.process.wait(40) == 2
            assert other.said("use the same site file and flags for all, or give each cluster its own --topic-prefix")
        since = time.monotonic()
        until(lambda: heard.scored(["door"], since), 20, "the others going on")
    heard.close()
