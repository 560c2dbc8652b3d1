"""Ten crops through I3D-ResNet50, from the published checkpoint's layout to a feature file, command by command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from engine.bundle import Bundle
from engine.geometry import write_crops
from tests.mgfn.test_i3d_resnet50 import direct_reading, seeded
from tests.servers.rtsp import moving_pictures, write_video


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_crops_of_a_checkpoint_in_the_published_layout_equal_pytorch(tmp_path: Path) -> None:
    state = seeded().state_dict()
    torch.save(state, tmp_path / "i3d_r50_kinetics.pth")
    video = write_video(tmp_path / "v.mp4", moving_pictures(18))
    command = [sys.executable, "-m", "stream.extract.cli", str(video), "--crops", "10", "--backbone", "i3d-r50"]
    command += ["--backbone-weights", str(tmp_path / "i3d_r50_kinetics.pth"), "--out"]
    cache = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = subprocess.run([*command, str(tmp_path / "o")], env=cache, check=True, stderr=subprocess.PIPE, text=True)
    assert "building the bundle of i3d-r50 (once)" in first.stderr
    (bundle,) = (tmp_path / "cache" / "mgfn-stream" / "bundles").iterdir()
    manifest = Bundle.open(bundle).manifest
    assert (manifest.backbone.name, manifest.head, manifest.channels) == ("i3d-r50", None, 2048)

    frames = np.zeros((16, 10, 224, 224, 3), np.uint8)
    with av.open(str(video)) as container:
        for frame, out in zip(container.decode(video=0), frames, strict=False):
            write_crops(frame, "ten", out)
    features = np.load(tmp_path / "o" / "v.npy")
    assert features.shape == (1, 10, 2048)
    with torch.inference_mode():
        for crop, found in enumerate(features[0]):
            wanted = direct_reading(state, torch.from_numpy(frames[None, :, crop]))[0].numpy()
            assert np.linalg.norm(found - wanted) <= 1e-4 * np.linalg.norm(wanted)

    again = subprocess.run([*command, str(tmp_path / "o")], env=cache, check=True, stderr=subprocess.PIPE, text=True)
    assert "0 videos to extract, 1 already extracted" in again.stderr
    assert "building" not in again.stderr
