"""Measures one engine in a separate process, so that no other engine's threads and memory interfere.

`python -m export.bench.probe BUNDLE NAME DEVICE` prints the result as one JSON object.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray, UInt8Array
from engine.backends import start_backend
from engine.backends.batches import SIZES
from engine.bundle import Bundle
from engine.window import WINDOW

Features = Callable[[UInt8Array], FloatArray]

_LEAST, _MOST, _SECONDS = 3, 30, 5.0
_CPU_BATCHES: Final = (1, 2, 4, 8)
_SLOW_CLIP: Final = 0.5  # seconds: slower engines are not measured in batches


def timed(call: Callable[[], object], seconds: float = _SECONDS) -> tuple[float, float]:
    """Median wall and processor seconds of `call`, after one warm-up call."""
    call()
    rows: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(rows) < _LEAST or (time.perf_counter() < end and len(rows) < _MOST):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        rows.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(rows, axis=0).tolist()
    return wall, cpu


def clips(n: int) -> UInt8Array:
    return np.random.default_rng(n).integers(0, 256, (n, CLIP_LENGTH, 224, 224, 3), dtype=np.uint8)


def backend(bundle: Bundle, name: str, device: str) -> dict[str, Any]:
    """A backend of the project: backbone with batch 1, clips per second by batch size, the head with a full window."""
    running = start_backend(bundle, name, device)
    found = _backbone(running.features, _CPU_BATCHES if device == "cpu" else SIZES)
    found["name"] = running.name
    if bundle.manifest.head is not None:
        tail = (bundle.manifest.crops, bundle.manifest.channels)
        window = np.random.default_rng(0).random((1, WINDOW, *tail), dtype=np.float32)
        found["head_window_ms"] = round(timed(lambda: running.scores(window), 1.0)[0] * 1000, 3)
    running.close()
    return found


def _backbone(features: Features, batches: tuple[int, ...]) -> dict[str, Any]:
    one = clips(1)
    wall, cpu = timed(lambda: features(one))
    rates = {"1": round(1 / wall, 2)}
    for size in batches[1:] if wall < _SLOW_CLIP else ():
        given = clips(size)
        rates[str(size)] = round(size / timed(lambda: features(given), _SECONDS / 2)[0], 2)  # noqa: B023 -- called at once
    return {
        "backbone_clip_ms": round(wall * 1000, 2),
        "backbone_clip_cpu_ms": round(cpu * 1000, 2),
        "clips_per_second": rates,
    }


def torch_compile(bundle: Bundle) -> dict[str, Any]:
    """PyTorch's backbone with `torch.compile`."""
    import torch

    network: Any = torch.compile(pytorch_network(bundle))
    with torch.inference_mode():
        found = _backbone(lambda given: network(torch.from_numpy(given)).numpy(), (1,))
    return {"name": "torch-compile", **found}


def torch_window(bundle: Bundle) -> dict[str, Any]:
    """The released pipeline used live: for each new clip, all 32 clips pass the backbone again, then the head.

    One step, once, because it takes seconds.
    """
    import torch

    from mgfn.checkpoint import load_head

    network, head = pytorch_network(bundle), load_head(bundle.file("head.safetensors"))[0]
    window = torch.from_numpy(clips(4))
    with torch.inference_mode():
        network(window[:1])
        began = time.perf_counter()
        features = torch.cat([network(window[k % 4 : k % 4 + 1]) for k in range(WINDOW)])
        head(features[None, :, None].expand(-1, -1, bundle.manifest.crops, -1))
        seconds = time.perf_counter() - began
    return {"name": "torch-window", "window_step_ms": round(seconds * 1000, 1)}


def torch_backbones(_bundle: Bundle) -> dict[str, Any]:
    """The cost of each backbone of the project, in PyTorch with random weights."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mgfn.backbones import BACKBONES

    rows = {}
    clip = torch.from_numpy(clips(1))
    with torch.inference_mode():
        for name, backbone in BACKBONES.items():
            network = backbone.build().eval()
            with FlopCounterMode(display=False) as counter:
                network(clip)
            rows[name] = {
                "channels": backbone.channels,
                "gflop": round(counter.get_total_flops() / 1e9, 1),
                "torch_clip_ms": round(timed(lambda: network(clip), 2.0)[0] * 1000, 1),  # noqa: B023 -- called at once
            }
    return {"name": "torch-backbones", "backbones": rows}


def pytorch_network(bundle: Bundle) -> Any:
    """The bundle's backbone in PyTorch."""
    import safetensors.torch

    from mgfn.backbones import BACKBONES, show_layers

    network = BACKBONES[bundle.manifest.backbone.name].build()
    if bundle.manifest.layers:
        show_layers(network, tuple(bundle.manifest.layers))
    network.load_state_dict(safetensors.torch.load_file(bundle.file("backbone.safetensors")))
    return network.eval()


def onnxruntime_int8(bundle: Bundle) -> dict[str, Any]:
    """ONNX Runtime's own static quantisation of the convolutions, only for its speed: calibrated on noise."""
    import logging

    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    logging.disable(logging.WARNING)  # it asks for preprocessing that changes nothing here
    given = onnxruntime.InferenceSession(bundle.file("backbone.onnx")).get_inputs()[0].name

    class Noise(CalibrationDataReader):  # type: ignore[misc]  # an untyped package
        def __init__(self) -> None:
            self._left: Iterator[UInt8Array] = iter(clips(2)[:, None])

        def get_next(self) -> dict[str, UInt8Array] | None:
            clip = next(self._left, None)
            return None if clip is None else {given: clip}

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(
            bundle.file("backbone.onnx"),
            target,
            Noise(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        session = onnxruntime.InferenceSession(target)
        found = _backbone(lambda clip: session.run(None, {given: clip})[0], (1,))
    return {"name": "onnxruntime-int8", **found}


# the slowest one comes last: it is omitted if time is short
PEERS: Final = {
    "onnxruntime-int8": onnxruntime_int8,
    "torch-backbones": torch_backbones,
    "torch-window": torch_window,
    "torch-compile": torch_compile,
}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its temporary folder is deleted
    path, name, device = sys.argv[1:]
    bundle = Bundle.open(Path(path))
    found = PEERS[name](bundle) if name in PEERS else backend(bundle, name, device)
    print(json.dumps(found))  # noqa: T201 -- the result


if __name__ == "__main__":
    main()
