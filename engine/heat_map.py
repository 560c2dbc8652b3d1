"""Where in a clip the head's probes found what they look for: computed for alarms alone, by an artefact of its own.

It runs on one core with ONNX Runtime or OpenVINO, whatever the backend, and not at all in a bundle without it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.backends import installed
from engine.bundle import Bundle
from engine.errors import BackendError

HEAT_MAP: Final = "heat.onnx"


def has_heat_map(bundle: Bundle) -> bool:
    """Whether `heat_map` works with this bundle."""
    return HEAT_MAP in bundle.manifest.files and (installed("onnxruntime") or installed("openvino"))


def heat_map(bundle: Bundle, clip: UInt8Array, window: FloatArray) -> FloatArray:
    """uint8 (16, 224, 224, 3) RGB, and the window that ends with it, float32 (T, 1, C) -> float32 (14, 14) >= 0.

    Loads the network, which takes most of a second, and forgets it. Raises BackendError.
    """
    graph = bundle.file(HEAT_MAP)
    run = _onnxruntime if installed("onnxruntime") else _openvino
    try:
        heat = run(str(graph), clip[None], window[None].astype(np.float32, copy=False))
    except Exception as error:  # noqa: BLE001 -- their errors have no narrower base class
        raise BackendError(f"{HEAT_MAP}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from None
    if not np.isfinite(heat).all():
        raise BackendError(f"{HEAT_MAP}: the heat map is not finite")
    return heat


def _onnxruntime(graph: str, clips: UInt8Array, windows: FloatArray) -> FloatArray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"clips": clips, "windows": windows})[0][0], np.float32)


def _openvino(graph: str, clips: UInt8Array, windows: FloatArray) -> FloatArray:
    from engine.backends.openvino_core import core

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core().compile_model(graph, "CPU", settings)
    return np.asarray(compiled([clips, windows])[0][0], np.float32)
