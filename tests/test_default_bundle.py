"""The shipped product: the published backbone, the default head, the sample footage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pytest
import torch

from configs.pinned import FetchError, PinnedFile, cache_folder, fetch
from engine.bundle import Bundle
from engine.cpu import int8_instructions
from engine.default_bundle import default_head
from engine.focus import focus_clip
from export.bench.probe import pytorch_network
from export.bundle import load_sources, write_manifest
from export.onnx import export_backbone, export_head
from export.verify import verification_clips, verify
from mgfn.backbones import show_layers
from mgfn.backbones.i3d import I3D
from mgfn.checkpoint import load_head
from mgfn.extended import ExtendedConfig
from mgfn.network import Head
from mgfn.paper import PaperConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample() -> Path:
    try:
        return fetch(PinnedFile.named("samples.json", "bikes"), cache_folder("samples"))
    except FetchError as error:
        pytest.skip(f"needs the sample footage: {error}")


def test_the_default_head_is_small_and_says_where_it_comes_from() -> None:
    head, texts = load_head(default_head())
    assert default_head().stat().st_size <= 4 << 20
    assert head.config.channels == 2688
    assert isinstance(head.config, ExtendedConfig)
    assert isinstance(head.config.network, PaperConfig)
    assert head.config.network.stages == PaperConfig(2688).stages
    assert 0 < float(texts["threshold_off"]) < float(texts["threshold_on"]) < 1
    assert "recipes.field_head" in texts["provenance"]


@pytest.mark.timeout(600)
def test_every_form_equals_pytorch(tmp_path: Path, default_bundle: Path) -> None:
    """The float32 forms that ship, one clip and two at a time, and half precision. `mgfn-export` verifies INT8."""
    sources, folder = load_sources("i3d", None, default_head()), shutil.copytree(default_bundle, tmp_path / "bundle")
    assert sources.head is not None
    export_backbone(sources.backbone, folder / "backbone-fp16.onnx", half=True)
    export_head(sources.head, sources.channels, 1, folder / "head-fp16.onnx", kinds=True, half=True)
    files = write_manifest(sources, folder, default_head()).files
    assert ("backbone-int8.xml" in files) == (int8_instructions() is not None)
    rows = verify(sources, folder, clips=2)
    assert {row.backend for row in rows} == {"openvino", "onnxruntime", "onnxruntime-fp16", "torch"}
    assert all(row.passed for row in rows), rows
    found = onnxruntime.InferenceSession(folder / "backbone.onnx")
    (clips,) = found.get_inputs()
    assert (clips.type, clips.shape[1:]) == ("tensor(uint8)", [16, 224, 224, 3])
    pair = verification_clips(2, 1)[:, 0]
    with torch.inference_mode():
        expected = sources.backbone(torch.from_numpy(pair)).numpy()
    both = found.run(None, {"clips": pair})[0]
    assert np.linalg.norm(both - expected) / np.linalg.norm(expected) <= 1e-4
    show_layers(sources.backbone, ("Mixed_5c",))  # others use the fixture


@pytest.mark.timeout(600)
def test_a_replay_equals_pytorch_window_by_window(
    tmp_path: Path, sample: Path, default_bundle: Path, kinetics_i3d: I3D
) -> None:
    scores = tmp_path / "scores.jsonl"
    command = [sys.executable, "-m", "stream.cli", "--replay", "--rtsp", str(sample), "--scores", str(scores)]
    # float32, also where the default bundle is INT8: OpenVINO takes that where it pays
    command += ["--backend", "onnxruntime" if int8_instructions() else "openvino"]
    subprocess.run(command, check=True)
    assert Bundle.open(default_bundle).manifest.geometry == "focus"
    with av.open(str(sample)) as container:
        pictures = list(container.decode(video=0))
    clips = torch.empty(len(pictures) // 16, 16, 224, 224, 3, dtype=torch.uint8)
    for index, clip in enumerate(clips):
        focus_clip(pictures[16 * index : 16 * index + 16], clip[None].numpy())
    show_layers(kinetics_i3d, ("Mixed_4f", "Mixed_5b", "Mixed_5c"))
    head, _ = load_head(default_head())
    try:
        _compare(scores, clips, head, kinetics_i3d)
    finally:
        show_layers(kinetics_i3d, ("Mixed_5c",))  # others use the fixture


def _compare(scores: Path, clips: torch.Tensor, head: Head, backbone: I3D) -> None:
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    assert len(lines) == len(clips)
    with torch.inference_mode():
        features = torch.cat([backbone(clip[None]) for clip in clips])[None, :, None]
        for index, line in enumerate(lines):
            expected = float(head(features[:, max(0, index - 31) : index + 1]).scores[0, -1])
            assert line["raw"] == pytest.approx(expected, abs=1e-3)


def test_mgfn_bench_compares_with_the_bundles_own_network(default_bundle: Path) -> None:
    bundle = Bundle.open(default_bundle)
    with torch.inference_mode():
        features = pytorch_network(bundle)(torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8))
    assert features.shape == (1, bundle.manifest.channels)


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_the_demo_finds_its_staged_incident_and_nothing_else(sample: Path, default_bundle: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "stream.cli.demo", "--duration", "50"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr.strip().endswith("1 alarm: 1 in the staged incident, 0 outside")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert events[0]["type"] == "new"
