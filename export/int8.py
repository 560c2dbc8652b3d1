"""INT8 for CPUs: NNCF's post-training quantisation of the backbone, for OpenVINO.

The head stays float32, because it is a few per cent of the work and the scores depend on it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.backends.openvino import INT8_GRAPH
from export.bundle import ExportError
from export.verify import Comparison

MOST_FLOAT_LAYERS: Final = 8
_RANKING_CLIPS: Final = 4


def check_installed() -> None:
    """Raise ExportError if NNCF is missing."""
    if find_spec("nncf") is None:
        raise ExportError("--int8: needs NNCF, which is not installed; run: pip install 'mgfn-stream[export]'")


def add_int8(folder: Path, calibration: UInt8Array) -> None:
    """Write the INT8 form of the backbone in `folder`.

    It is calibrated on uint8 clips (K, crops, 16, 224, 224, 3) and their mirror images.
    """
    _save(quantised(folder / "backbone.onnx", calibration), folder)


def quantise_until_it_holds(
    folder: Path, calibration: UInt8Array, compare: Callable[[], Comparison]
) -> list[Comparison]:
    """`add_int8`, verified by `compare`, which runs it beside PyTorch; returns all comparisons.

    If it fails, it is built once more with the most sensitive layers in float32 (at most MOST_FLOAT_LAYERS, found by
    NNCF's accuracy control). If that fails too, its files are deleted.
    """
    add_int8(folder, calibration)
    rows = [compare()]
    if not rows[-1].passed:
        _save(quantised_sparingly(folder / "backbone.onnx", calibration, (1 - rows[-1].cosine) / 2), folder)
        rows.append(compare())
    if not rows[-1].passed:
        graph = folder / INT8_GRAPH
        graph.unlink()
        graph.with_suffix(".bin").unlink()
    return rows


def quantised(graph: Path, calibration: UInt8Array) -> Any:
    """The ONNX backbone as an OpenVINO model in INT8, with every layer that NNCF can quantise."""
    from engine.backends.openvino_core import core

    nncf = _nncf()
    clips = _inputs(calibration)
    with redirect_stdout(io.StringIO()):  # hides its progress bars
        return nncf.quantize(core().read_model(graph), nncf.Dataset(clips), subset_size=len(clips))


def quantised_sparingly(graph: Path, calibration: UInt8Array, drop: float) -> Any:
    """Like `quantised`, but the most sensitive layers stay in float32 until 1 - cosine of features is within `drop`.

    At most MOST_FLOAT_LAYERS. Decided on `calibration`, never on the clips used for verification.
    """
    from engine.backends.openvino_core import core

    nncf = _nncf()
    clips = _inputs(calibration)
    model = core().read_model(graph)
    reference = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ranking = clips[:_RANKING_CLIPS]
    wanted = {clip.tobytes(): _feature(reference, clip) for clip in ranking}

    def lowest_cosine(compiled: Any, given: Iterable[UInt8Array]) -> float:
        return min(cosine(_feature(compiled, clip), wanted[clip.tobytes()]) for clip in given)

    with redirect_stdout(io.StringIO()):
        return nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=nncf.Dataset(clips),
            validation_dataset=nncf.Dataset(ranking),
            validation_fn=lowest_cosine,
            max_drop=drop,
            subset_size=len(clips),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                max_num_iterations=MOST_FLOAT_LAYERS, ranking_subset_size=len(ranking), num_ranking_workers=1
            ),
        )


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Cosine of the angle between two features (C,)."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _nncf() -> ModuleType:
    check_installed()
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf


def _inputs(calibration: UInt8Array) -> list[UInt8Array]:
    """One array (1, 16, 224, 224, 3) for each crop, then their mirror images."""
    crops = calibration.reshape(-1, 1, *calibration.shape[2:])
    return [*crops, *np.ascontiguousarray(crops[..., ::-1, :])]


def _feature(compiled: Any, clip: UInt8Array) -> FloatArray:
    return np.array(compiled(clip)[0][0])


def _save(model: Any, folder: Path) -> None:
    import openvino

    openvino.save_model(model, folder / INT8_GRAPH, compress_to_fp16=False)
