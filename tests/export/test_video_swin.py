"""Video Swin-T in a bundle: every backend beside PyTorch, and a camera that it watches with an untrained head."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from configs.atomic import replacing_folder
from export.bundle import Sources, load_sources, write_artefacts, write_manifest
from export.verify import verify
from mgfn.backbones.video_swin import VideoSwin
from mgfn.checkpoint import save_head
from mgfn.paper import Paper, PaperConfig
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, until
from tests.servers.rtsp import TestCamera, encode, moving_pictures
from tests.swin import published, seed_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sources, Path]:
    """A bundle of a seeded checkpoint in the published layout and an untrained head of 768 channels."""
    folder = tmp_path_factory.mktemp("swin")
    torch.save(published(seed_weights(VideoSwin()).state_dict()), folder / "swin.pth")
    torch.manual_seed(0)
    save_head(folder / "head.safetensors", Paper(PaperConfig(768, widths=(8, 8))), {})
    sources = load_sources("videoswin-t", folder / "swin.pth", folder / "head.safetensors")
    with replacing_folder(folder / "bundle") as scratch:
        write_artefacts(sources, scratch)
        write_manifest(sources, scratch, folder / "head.safetensors")
    return sources, folder / "bundle"


def test_every_backend_equals_pytorch(exported: tuple[Sources, Path]) -> None:
    sources, bundle = exported
    rows = verify(sources, bundle, clips=1)
    assert {row.backend for row in rows} == {"openvino", "onnxruntime", "torch"}
    assert [row.backend for row in rows if not row.passed] == []


def test_a_camera_is_scored(exported: tuple[Sources, Path], tmp_path: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, encode(moving_pictures(16 * 12)))
    command = [sys.executable, "-m", "stream.cli", "--rtsp", f"door={camera.url}", "--mqtt", mosquitto.url]
    command += ["--bundle", str(exported[1]), "--http", "off", "--scores", str(tmp_path / "scores.jsonl")]
    command += ["--data", str(tmp_path / "data")]

    def scores() -> list[str]:
        return [payload for topic, payload, _ in subscriber.messages if topic == "mgfn/door/score"]

    with camera.running(), ended(subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True)) as service:
        until(lambda: len(scores()) >= 2, 240, "two scores")
        service.terminate()
        assert service.wait(60) == 0  # a clip under way is seen through, however slow the machine
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    published_scores = [json.loads(payload)["score"] for payload in scores()]
    assert [line["score"] for line in lines][: len(published_scores)] == pytest.approx(published_scores, abs=1e-4)
    assert all(0 < score < 1 for score in published_scores)
    subscriber.close()
