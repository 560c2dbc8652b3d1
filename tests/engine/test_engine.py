"""The engine on every installed backend; a new backend joins by its row in the registry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engine import backends
from engine.arrays import FloatArray, UInt8Array
from engine.backends import BACKENDS, installed, start_backend
from engine.bundle import Bundle
from engine.engine import Engine
from engine.errors import BackendError, BundleError, EngineError, NotFiniteError
from tests.bundles import CHANNELS, KINDS, TinyBackbone, copy_bundle, field_sources, tiny_head, write_tiny_bundle

# The torch backend builds the backbone by name, so it needs the real one (slow tier).
GRAPH_BACKENDS = [name for name, row in BACKENDS.items() if name != "torch" and "cpu" in row.kinds and installed(name)]
# Of features (relative) and scores (absolute).
TOLERANCE = {"float32": (1e-4, 1e-5), "fp16": (2e-3, 5e-3), "int8": (1e-4, 1e-5)}


@pytest.fixture(params=GRAPH_BACKENDS, scope="module")
def engine(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[Engine]:
    bundle = Bundle.open(tiny_bundle)
    with Engine(bundle, start_backend(bundle, request.param, "cpu"), "a test") as opened:
        assert opened.backend.name == request.param
        yield opened


def tolerance(engine: Engine) -> tuple[float, float]:
    return TOLERANCE[BACKENDS[engine.backend.name].form]


def clips(n: int, crops: int = 1) -> UInt8Array:
    return np.random.default_rng(n).integers(0, 256, (n, crops, 16, 224, 224, 3), dtype=np.uint8)


def windows(*lengths: int) -> list[FloatArray]:
    rng = np.random.default_rng(0)
    return [rng.random((length, 1, CHANNELS), dtype=np.float32) for length in lengths]


@pytest.mark.parametrize("n", [1, 3])
def test_features_equal_pytorch(engine: Engine, n: int) -> None:
    given = clips(n)
    with torch.inference_mode():
        expected = TinyBackbone()(torch.from_numpy(given[:, 0])).numpy()
    features = engine.features(given)
    assert features.shape == (n, 1, CHANNELS)
    np.testing.assert_allclose(features[:, 0], expected, rtol=tolerance(engine)[0])


def test_scores_of_every_length_equal_pytorch(engine: Engine) -> None:
    given = windows(*range(1, 33))
    with torch.inference_mode():
        expected = [tiny_head()(torch.from_numpy(w)[None]).scores[0].numpy() for w in given]
    for row, wanted in zip(engine.scores(given), expected, strict=True):
        np.testing.assert_allclose(row, wanted, atol=tolerance(engine)[1])


@pytest.mark.slow  # another bundle
@pytest.mark.parametrize("name", GRAPH_BACKENDS)
def test_shares_of_kinds_equal_pytorch(field_bundle: Path, name: str) -> None:
    bundle, head = Bundle.open(field_bundle), field_sources().head
    assert head is not None
    assert bundle.manifest.kinds == KINDS
    with Engine(bundle, start_backend(bundle, name, "cpu"), "a test") as opened, torch.inference_mode():
        for window in windows(1, 7, 32):
            parts = head(torch.from_numpy(window)[None]).parts
            assert parts is not None
            assert parts.shape == (1, len(window), len(KINDS))
            shares = opened.kind_shares(window)
            np.testing.assert_allclose(shares, parts[0].softmax(1).numpy(), atol=tolerance(opened)[1])


def test_a_bundle_without_kinds_says_so(engine: Engine) -> None:
    assert engine.manifest.kinds == ()
    with pytest.raises(BundleError, match="does not distinguish kinds"):
        engine.kind_shares(windows(1)[0])


def test_windows_of_mixed_lengths_keep_their_order(engine: Engine) -> None:
    given = windows(5, 1, 5, 32, 1)
    together = engine.scores(given)
    for row, window in zip(together, given, strict=True):
        np.testing.assert_allclose(row, engine.scores([window])[0], atol=tolerance(engine)[1])


def test_outputs_of_one_call_survive_the_next(engine: Engine) -> None:
    first = engine.features(clips(1))
    kept = first.copy()
    engine.features(clips(2))
    np.testing.assert_array_equal(first, kept)


def test_the_backbone_takes_crops_one_by_one_whatever_the_head_wants(engine: Engine) -> None:
    given = clips(2, crops=5).reshape(10, 16, 224, 224, 3)
    features = engine.backbone_features(given)
    assert features.shape == (10, CHANNELS)
    np.testing.assert_allclose(features, engine.features(given[:, None])[:, 0], rtol=1e-5)
    with pytest.raises(BackendError, match=r"uint8 \(10, 1, 16, 224, 224, 3\), expected uint8 \(N, 16, 224, 224, 3\)"):
        engine.backbone_features(given[:, None])


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 2, 16, 224, 224, 3), np.uint8), np.zeros((1, 1, 16, 224, 224, 3), np.float32),
     np.zeros((1, 1, 8, 224, 224, 3), np.uint8)],
)  # fmt: skip
def test_other_clips_are_refused_with_both_shapes(engine: Engine, wrong: UInt8Array) -> None:
    with pytest.raises(BackendError, match=r"expected uint8 \(N, 1, 16, 224, 224, 3\)"):
        engine.features(wrong)


@pytest.mark.parametrize("shape", [(0, 1, CHANNELS), (33, 1, CHANNELS), (4, 2, CHANNELS), (4, 1, CHANNELS + 1)])
def test_other_windows_are_refused(engine: Engine, shape: tuple[int, int, int]) -> None:
    with pytest.raises(BackendError, match="a window is"):
        engine.scores([np.zeros(shape, np.float32)])


@pytest.mark.slow
def test_two_crops(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "two", crops=2)
    with Engine.open(bundle, "onnxruntime", "cpu") as engine:
        features = engine.features(clips(2, crops=2))
        assert features.shape == (2, 2, CHANNELS)
        assert engine.scores([features])[0].shape == (2,)


@pytest.mark.parametrize("name", ["auto", "openvino"])
def test_float32_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, name: str) -> None:
    monkeypatch.setattr(backends, "int8_instructions", lambda: "AVX-512 VNNI")
    with Engine.open(tiny_bundle, name, "cpu", float32=True) as engine:
        assert engine.backend.name == "openvino"
        assert engine.reason.endswith("; float32")
    with Engine.open(tiny_bundle, "openvino-int8", "cpu", float32=True) as engine:
        assert engine.reason == "requested; int8"
        assert engine.backend.name == "openvino-int8"


def test_auto_says_what_it_took_and_why(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    monkeypatch.setattr(backends, "int8_instructions", lambda: None)
    with Engine.open(tiny_bundle, "auto", "cpu") as engine:
        assert engine.backend.name == "openvino"
        assert engine.reason.startswith("the first that works, in the order openvino on cpu > onnxruntime on cpu")


@pytest.mark.parametrize(
    ("instructions", "name", "why"),
    [
        ("AVX-512 VNNI", "openvino-int8", "requested; INT8, because this CPU has AVX-512 VNNI"),
        (None, "openvino", "requested; float32, because this CPU has neither VNNI nor AMX"),
    ],
)
def test_openvino_takes_int8_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, instructions: str | None, name: str, why: str
) -> None:
    monkeypatch.setattr(backends, "int8_instructions", lambda: instructions)
    with Engine.open(tiny_bundle, "openvino") as engine:
        assert (engine.backend.name, engine.reason) == (name, why)


@pytest.mark.parametrize(
    ("backend", "device", "says"),
    [
        ("cuda", "auto", r"backend 'cuda': unknown; allowed: auto, openvino, .*, tensorrt, torch"),
        ("openvino", "cuda", "runs on cpu or gpu or npu only, not on cuda"),
        ("onnxruntime", "npu", "runs on cpu or cuda only, not on npu"),
        ("onnxruntime", "cuda:1", r"install mgfn-stream\[gpu\]"),
        ("torch", "cuda:1", "device cuda:1: "),
        ("auto", "cuda", "no engine works on this machine: backend tensorrt: .*; device cuda: .*; device cuda: "),
    ],
)
def test_what_cannot_run_says_so(tiny_bundle: Path, backend: str, device: str, says: str) -> None:
    with pytest.raises(BackendError, match=says):
        Engine.open(tiny_bundle, backend, device)


@pytest.mark.parametrize("backend", ["auto", "openvino"])
@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_openvino_takes_the_cpu_where_its_other_devices_fail(tiny_bundle: Path, backend: str, device: str) -> None:
    with Engine.open(tiny_bundle, backend, device) as engine:
        assert engine.backend.name in ("openvino", "openvino-int8")
        assert engine.reason.startswith(f"requested; backend openvino-{device}: cannot load backbone.onnx: ")


@pytest.mark.parametrize(("present", "ending"), [(True, ""), (False, "; no NVIDIA GPU found")])
def test_that_there_is_no_gpu_is_said(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, present: bool, ending: str
) -> None:
    monkeypatch.setattr(backends, "installed", lambda _: False)
    monkeypatch.setattr(backends, "gpu_present", lambda: present)
    with pytest.raises(BackendError, match=rf"run: pip install 'mgfn-stream\[trt\]'{ending}$"):
        Engine.open(tiny_bundle, "tensorrt", "cuda")


@pytest.mark.skipif(installed("tensorrt"), reason="TensorRT or its plug-in is installed")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_tensorrt_is_missing(tiny_bundle: Path, device: str) -> None:
    with pytest.raises(BackendError, match=r"^backend tensorrt: not installed; run: pip install 'mgfn-stream\[trt\]'"):
        Engine.open(tiny_bundle, "tensorrt", device)


def test_tensorrt_on_the_cpu(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    monkeypatch.setattr(backends, "installed", lambda _: True)
    with pytest.raises(BackendError, match="backend tensorrt: runs on a GPU only, not on cpu"):
        Engine.open(tiny_bundle, "tensorrt", "cpu")


def test_a_form_that_the_bundle_does_not_hold(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = copy_bundle(tiny_bundle, tmp_path / "plain", float32_alone=True)
    with pytest.raises(BackendError, match=r"holds no backbone-int8\.xml; export it: mgfn-export --int8"):
        Engine.open(bundle, "openvino-int8")


@pytest.mark.parametrize(
    ("backend", "version", "operator", "says"),
    [
        ("onnxruntime", 999, "Mul", "999"),
        ("onnxruntime", 18, "Nonsense", "Nonsense"),
        # OpenVINO reads newer opsets as the newest that it knows
        ("openvino", 18, "Nonsense", "Nonsense"),
    ],
)
def test_a_graph_that_the_backend_does_not_take(
    tiny_bundle: Path, tmp_path: Path, backend: str, version: int, operator: str, says: str
) -> None:
    model = onnx.load(tiny_bundle / "backbone.onnx")
    model.opset_import[0].version = version
    next(node for node in model.graph.node if node.op_type == "Mul").op_type = operator
    changed = {"backbone.onnx": model.SerializeToString()}
    bundle = Bundle.open(copy_bundle(tiny_bundle, tmp_path / "bundle", **changed))
    with pytest.raises(BackendError, match=rf"cannot load backbone\.onnx.*{says}") as raised:
        start_backend(bundle, backend, "cpu")
    assert "\n" not in str(raised.value)


def test_onnx_runtime_reports_nothing_home(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its reporter leaves an identifier in the user's cache, but not where it takes a machine for a CI's."""
    program = """
import sys
from pathlib import Path
from engine.engine import Engine
with Engine.open(Path(sys.argv[1]), "onnxruntime", "cpu"):
    pass
"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(tiny_bundle)], env=environment, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_openvino_leaves_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        assert engine.features(np.zeros((1, 1, 16, 224, 224, 3), np.uint8)).shape == (1, 1, CHANNELS)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.parent.name == "kernels" and path.stat().st_size < 10_000 for path in left)  # which are fastest


class Scripted:
    """A backend whose outputs are given."""

    name, batch, precision = "scripted", 4, "float32"

    def __init__(self, features: FloatArray | None = None, scores: FloatArray | None = None) -> None:
        self._features, self._scores = features, scores

    def features(self, clips: UInt8Array) -> FloatArray:
        assert self._features is not None
        return self._features[: len(clips)]

    def scores(self, windows: FloatArray) -> FloatArray:
        assert self._scores is not None
        return self._scores[: len(windows), : windows.shape[1]]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_named(tiny_bundle: Path, value: float) -> None:
    features = np.ones((6, CHANNELS), np.float32)
    features[1, 3] = features[4, 0] = value
    with Engine(Bundle.open(tiny_bundle), Scripted(features), "a test") as engine:  # type: ignore[arg-type] # no Form
        with pytest.raises(NotFiniteError) as caught:
            engine.features(clips(6))
        assert str(caught.value) == "backend scripted: features are NaN or infinite for 2 of 6 clips: 1, 4"
        assert (caught.value.output, caught.value.rows) == ("features", (1, 4))
        with pytest.raises(NotFiniteError):
            engine.backbone_features(clips(6)[:, 0])
        assert engine.features(clips(1)).shape == (1, 1, CHANNELS)  # the first clip alone is fine
    assert not issubclass(NotFiniteError, BackendError)
    assert issubclass(NotFiniteError, EngineError)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_named_by_window(tiny_bundle: Path, value: float) -> None:
    scores = np.full((3, 5), 0.5, np.float32)
    scores[0, 4] = value  # the first window of five clips, not of three
    with Engine(Bundle.open(tiny_bundle), Scripted(scores=scores), "a test") as engine:  # type: ignore[arg-type]
        with pytest.raises(NotFiniteError) as caught:
            engine.scores(windows(3, 5, 5))
        assert caught.value.rows == (1,)
        assert str(caught.value) == "backend scripted: scores are NaN or infinite for 1 of 3 windows: 1"
        assert len(engine.scores(windows(3, 3))) == 2


OPENED_AND_CLOSED = """
import signal, sys
from pathlib import Path
from engine.engine import Engine
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append("heard"))
first = Engine.open(Path(sys.argv[1]), "openvino", "cpu")
second = Engine.open(Path(sys.argv[1]), "openvino", "cpu")
first.backend.close()
second.backend.close()
signal.raise_signal(signal.SIGTERM)
print(*heard)
"""


def test_a_signal_after_engines_were_closed_is_handled(tiny_bundle: Path) -> None:
    command = [sys.executable, "-c", OPENED_AND_CLOSED, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "heard\n")
