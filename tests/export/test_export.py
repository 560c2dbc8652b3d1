"""Building bundles."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from configs.atomic import replacing_folder
from engine.arrays import UInt8Array
from engine.backends import BACKENDS, gpu_present, installed
from engine.backends.openvino_core import core
from engine.bundle import Bundle
from engine.engine import Engine
from export import bundle as export_bundle
from export import cli
from export.build import Wanted, build
from export.bundle import ExportError, check_target
from export.onnx import export_backbone
from export.trt import check_possible
from export.verify import FEATURE_LIMIT, SCORE_LIMIT, Comparison, verification_clips, verify
from mgfn.backbones import Backbone
from mgfn.baselines.hl_net import HlNet, HlNetConfig
from mgfn.checkpoint import save_head
from mgfn.extended import Extended
from mgfn.paper import Paper, PaperConfig
from tests.bundles import CHANNELS, TinyBackbone, copy_bundle, exported_before, field_sources, tiny_head, tiny_sources

# The torch backend builds the backbone by name, so it needs the real one.
GRAPH_BACKENDS = {name: row for name, row in BACKENDS.items() if name != "torch"}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_a_full_folder_that_is_no_bundle_is_refused(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ExportError, match="must be a new or empty folder, or an existing bundle"):
        check_target(tmp_path)
    with pytest.raises(ExportError):
        check_target(tmp_path / "precious.txt")
    check_target(tmp_path / "new")
    check_target(tiny_bundle)


@pytest.mark.parametrize("manifest", ['{"manifest_version": 3, "name": "my extension"}', "[]", "\xff", ""])
def test_a_foreign_manifest_makes_no_bundle(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest, encoding="latin-1")
    with pytest.raises(ExportError, match="must be a new or empty folder, or an existing bundle"):
        check_target(tmp_path)


def test_the_folder_one_stands_in_and_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path / "here")
    for target in (Path(), tmp_path / "link"):
        with replacing_folder(target) as folder:
            (folder / str(target.name or "dot")).write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["link"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "link"]


def test_metadata_of_a_head_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_head(tmp_path / "head.safetensors", tiny_head(), {"threshold_on": "much"})
    spec = Backbone("i3d", CHANNELS, TinyBackbone, lambda _: TinyBackbone())
    monkeypatch.setattr(export_bundle, "BACKBONES", {"i3d": spec})
    with pytest.raises(ExportError, match=r"metadata cannot be used: .*much"):
        export_bundle.load_sources("i3d", None, tmp_path / "head.safetensors")


def test_without_the_export_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda package: None if package == "onnxscript" else object())
    assert run(monkeypatch, "--out", tmp_path / "b") == 2
    assert capsys.readouterr().err == "mgfn-export: needs onnxscript; run: pip install 'mgfn-stream[export]'\n"


def test_a_failed_export_leaves_the_old_bundle_and_nothing_else(tmp_path: Path, tiny_bundle: Path) -> None:
    target = copy_bundle(tiny_bundle, tmp_path / "bundle")
    before = Bundle.open(target).sha256

    def half_way() -> None:
        with replacing_folder(target) as folder:
            (folder / "half.onnx").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_way()
    assert Bundle.open(target).sha256 == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle"]


def test_a_bundle_is_replaced_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path) -> None:
    exported_before(monkeypatch, tiny_bundle)
    checkpoint, target = tmp_path / "head.safetensors", tmp_path / "bundle"
    save_head(checkpoint, tiny_head(), {})
    build(tiny_sources(on=0.5), checkpoint, Wanted(verified=False), target, lambda _: None)
    (target / "stray.txt").write_text("of the old one")
    build(tiny_sources(on=0.7), checkpoint, Wanted(verified=False), target, lambda _: None)
    thresholds = Bundle.open(target).manifest.thresholds
    assert thresholds is not None
    assert thresholds.on == 0.7
    assert not (target / "stray.txt").exists()


@pytest.mark.slow
def test_verification_sees_a_wrong_head(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    monkeypatch.setattr("export.verify.BACKENDS", {"onnxruntime": BACKENDS["onnxruntime"]})
    right, wrong = tiny_sources(), tiny_head(seed=1)
    (row,) = verify(right, tiny_bundle, clips=2)
    assert row.passed
    assert row.relative_error <= FEATURE_LIMIT
    assert (row.score_change or 0) <= SCORE_LIMIT
    (row,) = verify(dataclasses.replace(right, head=wrong), tiny_bundle, clips=2)
    assert not row.passed


@pytest.mark.slow
def test_verification_sees_wrong_parts_of_a_head_whose_scores_agree(
    monkeypatch: pytest.MonkeyPatch, field_bundle: Path
) -> None:
    monkeypatch.setattr("export.verify.BACKENDS", {"onnxruntime": BACKENDS["onnxruntime"]})
    sources = field_sources()
    assert isinstance(sources.head, Extended)
    (row,) = verify(sources, field_bundle, clips=2)
    assert row.passed
    assert row.kind_change is not None
    probes = sources.head.probes
    with torch.no_grad():  # the same soft maximum, and other parts
        probes.weight.copy_(probes.weight.roll(1, 0))
        probes.get_parameter("bias").copy_(probes.get_parameter("bias").roll(1, 0))
    (row,) = verify(sources, field_bundle, clips=2)
    assert (row.score_change or 0) <= SCORE_LIMIT
    assert not row.passed


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"kinds": '["violence"]'}, "its metadata names 1 kinds, its network has 3 probes"),
        ({"kinds": '"violence"'}, r"metadata cannot be used: .*kinds"),
    ],
)
def test_kinds_that_a_head_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: dict[str, str], says: str
) -> None:
    head = field_sources().head
    assert head is not None
    save_head(tmp_path / "head.safetensors", head, metadata)
    spec = Backbone("i3d", CHANNELS, TinyBackbone, lambda _: TinyBackbone())
    monkeypatch.setattr(export_bundle, "BACKBONES", {"i3d": spec})
    with pytest.raises(ExportError, match=says):
        export_bundle.load_sources("i3d", None, tmp_path / "head.safetensors")


@pytest.mark.slow
def test_verification_clips_are_seeded_and_move() -> None:
    clips = verification_clips(2, 1)
    np.testing.assert_array_equal(clips, verification_clips(2, 1))
    assert float(np.abs(np.diff(clips[0, 0].astype(float), axis=0)).mean()) > 1
    assert not (clips[0] == clips[1]).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--backbone", "c3d"], "--backbone c3d: unknown; allowed: i3d, i3d-r50, videoswin-t"),
        (["--backbone", "i3d-r50"], "provide the published state dict"),
        (["--backbone", "videoswin-t"], "provide the published Kinetics-400 checkpoint"),
        (["--backbone", "videoswin-t", "--backbone-weights", "none.pth"], "videoswin-t: none.pth: no such file"),
        (["--head", "none.safetensors"], "head none.safetensors: no such file"),
        # the head is read before the weights are looked for
        (["--backbone", "i3d-r50", "--head", "none.safetensors"], "head none.safetensors: no such file"),
        (["--backbone-weights", "none.ckpt"], "none.ckpt: no such file"),
        pytest.param(
            ["--trt"],
            "--trt: no NVIDIA GPU found",
            marks=pytest.mark.skipif(gpu_present(), reason="a GPU is here"),
        ),
    ],
)
def test_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    assert run(monkeypatch, "--out", tmp_path / "b", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(installed("tensorrt"), reason="TensorRT is installed")
def test_a_gpu_without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.trt.gpu_present", lambda: True)
    says = r"--trt: needs tensorrt and cuda-bindings; run: pip install 'mgfn-stream\[trt\]'"
    with pytest.raises(ExportError, match=says):
        check_possible()


@pytest.mark.slow
def test_a_failed_verification_ends_with_1_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path
) -> None:
    checkpoint = tmp_path / "head.safetensors"
    save_head(checkpoint, tiny_head(), {})
    exported_before(monkeypatch, tiny_bundle)
    monkeypatch.setattr(export_bundle, "load_sources", lambda *_: tiny_sources())
    monkeypatch.setattr("export.verify.BACKENDS", {"onnxruntime": BACKENDS["onnxruntime"]})
    monkeypatch.setattr("export.verify.FEATURE_LIMIT", -1.0)
    assert run(monkeypatch, "--out", tmp_path / "b", "--head", checkpoint) == 1
    assert "verification failed" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["head.safetensors"]


def test_half_precision_is_typed_in_the_graph_and_its_door_is_not(tiny_bundle: Path) -> None:
    backbone = onnx.load(tiny_bundle / "backbone-fp16.onnx").graph
    assert backbone.node[0].op_type == "Cast"  # TensorRT takes uint8 at the door only
    head = onnx.load(tiny_bundle / "head-fp16.onnx").graph
    kinds = {tensor.data_type for tensor in head.initializer if len(tensor.dims) > 1 and tensor.dims[0] > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}
    for graph, given in ((backbone, onnx.TensorProto.UINT8), (head, onnx.TensorProto.FLOAT)):
        assert graph.input[0].type.tensor_type.elem_type == given
        assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def footage(n: int) -> UInt8Array:
    return verification_clips(n, 1)


@pytest.mark.slow
def test_a_build_with_int8_lists_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path) -> None:
    exported_before(monkeypatch, tiny_bundle)
    monkeypatch.setattr("export.verify.BACKENDS", GRAPH_BACKENDS)
    # the tiny backbone has nothing to quantise: NNCF is left out, OpenVINO and the verdict are real
    monkeypatch.setattr("export.int8.quantised", lambda graph, _: core().read_model(graph))
    checkpoint = tmp_path / "head.safetensors"
    save_head(checkpoint, tiny_head(), {})
    wanted = Wanted(footage=(footage(1), footage(2)))
    rows, notes = build(tiny_sources(), checkpoint, wanted, tmp_path / "b", lambda _: None)
    assert [row.backend for row in rows if row.form == "int8"] == ["openvino-int8"]
    assert all(row.passed for row in rows)
    assert notes[0].startswith("INT8: calibrated on 1 clips, verified on 2 others; required: cosines from 0.99")
    assert {"backbone-int8.xml", "backbone-int8.bin"} <= set(Bundle.open(tmp_path / "b").manifest.files)


@pytest.mark.slow
def test_an_int8_form_that_fails_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path
) -> None:
    exported_before(monkeypatch, tiny_bundle)
    monkeypatch.setattr("export.verify.BACKENDS", GRAPH_BACKENDS)
    other = tmp_path / "other.onnx"
    noise = nn.Sequential(TinyBackbone(), nn.Linear(CHANNELS, CHANNELS))
    export_backbone(noise, other)
    monkeypatch.setattr("export.int8.quantised", lambda *_: core().read_model(other))
    monkeypatch.setattr("export.int8.quantised_sparingly", lambda *_: core().read_model(other))
    checkpoint = tmp_path / "head.safetensors"
    save_head(checkpoint, tiny_head(), {})
    wanted = Wanted(footage=(footage(1), footage(2)))
    rows, notes = build(tiny_sources(), checkpoint, wanted, tmp_path / "b", lambda _: None)
    assert [row.passed for row in rows if row.form == "int8"] == [False, False]
    assert notes[0].endswith("it failed, also with some layers in float32, so float32 is used")
    assert not [name for name in Bundle.open(tmp_path / "b").manifest.files if "int8" in name]


def test_lines_are_not_broken_where_a_terminal_would_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    note = " ".join(["INT8"] * 40)
    monkeypatch.setattr(export_bundle, "load_sources", lambda *_: dataclasses.replace(tiny_sources(), head=None))
    monkeypatch.setattr("export.build.build", lambda *_: ([], [note]))
    target = tmp_path / ("b" * 100)
    assert run(monkeypatch, "--out", target) == 0
    said = capsys.readouterr().err.splitlines()
    alone = f"the default head does not match the {CHANNELS} channels of i3d: the bundle will contain only the backbone"
    assert said == [alone, note, f"bundle written to {target} (backbone only, without a head)"]


def test_a_named_head_that_does_not_fit_is_told_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(export_bundle, "load_sources", lambda *_: dataclasses.replace(tiny_sources(), head=None))

    def stop(*_: object) -> None:
        raise ExportError("far enough")

    monkeypatch.setattr("export.build.build", stop)
    assert run(monkeypatch, "--out", tmp_path / "b", "--head", "mine.safetensors") == 2
    says = f"--head mine.safetensors does not match the {CHANNELS} channels of i3d"
    says += ": the bundle will contain only the backbone"
    assert capsys.readouterr().err.splitlines() == [says, "mgfn-export: far enough"]


def test_a_head_that_needs_audio_cannot_watch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    save_head(tmp_path / "both.safetensors", HlNet(HlNetConfig(1152)), {})
    assert run(monkeypatch, "--out", tmp_path / "b", "--head", tmp_path / "both.safetensors") == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "head" in text]
    assert "both.safetensors: cannot watch a camera: hl-net of 1152 channels needs 128 of audio" in line
    assert not (tmp_path / "b").exists()


def test_steps_are_lines_where_nobody_sees_a_bar_and_int8_is_named_where_it_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    row = Comparison("openvino", "float32", 1.0, 0.0, 0.0, 0, 0)

    def built(*arguments: object) -> object:
        arguments[-1]("verifying openvino against PyTorch")  # type: ignore[operator]
        return [row], []

    monkeypatch.setattr(export_bundle, "load_sources", lambda *_: tiny_sources())
    monkeypatch.setattr("export.build.build", built)
    assert run(monkeypatch, "--out", tmp_path / "b") == 0
    said = capsys.readouterr().err
    assert said.startswith("verifying openvino against PyTorch\n")
    assert "INT8" not in said


@pytest.mark.slow
def test_a_head_of_other_channels_leaves_the_backbone_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path
) -> None:
    spec = Backbone("i3d", CHANNELS, TinyBackbone, lambda _: TinyBackbone().eval())
    monkeypatch.setattr(export_bundle, "BACKBONES", {"i3d": spec})
    exported_before(monkeypatch, tiny_bundle)
    checkpoint = tmp_path / "head.safetensors"
    save_head(checkpoint, Paper(PaperConfig(CHANNELS // 2, widths=(8, 8))), {})
    assert run(monkeypatch, "--out", tmp_path / "b", "--head", checkpoint, "--no-verify") == 0
    assert "(backbone only, without a head)" in capsys.readouterr().err
    assert Bundle.open(tmp_path / "b").manifest.head is None
    with Engine.open(tmp_path / "b", "onnxruntime", "cpu") as engine:
        assert engine.features(verification_clips(1, 1)).shape == (1, 1, CHANNELS)
