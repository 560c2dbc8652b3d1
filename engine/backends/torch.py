"""PyTorch, the reference. The only file of the engine that imports torch and mgfn."""

from __future__ import annotations

from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.backends.batches import SIZES, in_batches
from engine.bundle import Bundle
from engine.errors import BackendError, OutOfMemoryError
from mgfn.backbones import BACKBONES, show_layers
from mgfn.checkpoint import load_head


class TorchBackend:
    """The bundle's own weights in the networks of `mgfn`: float32 on the CPU.

    On CUDA (`torch-cuda`) the backbone runs in half precision, channels last, as a CUDA graph for each batch size; the
    head stays float32.
    """

    def __init__(self, bundle: Bundle, device: str, form: Form, one_core: bool = False) -> None:
        del form, one_core  # decided by the device
        try:
            self._device = torch.device(device)
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f"device {device}: {str(error).splitlines()[0]}") from None
        self._cuda = self._device.type == "cuda"
        self.batch = max(SIZES) if self._cuda else 1
        self.precision: Form = "fp16" if self._cuda else "float32"
        self.name = "torch-cuda" if self._cuda else "torch"
        backbone = BACKBONES[bundle.manifest.backbone.name].build()
        if bundle.manifest.layers:
            show_layers(backbone, tuple(bundle.manifest.layers))
        backbone.load_state_dict(safetensors.torch.load_file(bundle.file("backbone.safetensors")))
        self._backbone = backbone.eval().to(self._device)
        if self._cuda:
            self._backbone = self._backbone.half()
            for weight in self._backbone.parameters():
                if weight.ndim == 5:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
        self._graphs: dict[int, CudaGraph] = {}
        self._head = None
        if bundle.manifest.head:
            self._head = load_head(bundle.file("head.safetensors"))[0].to(self._device)

    @torch.inference_mode()
    def features(self, clips: UInt8Array) -> FloatArray:
        if self._cuda:
            return in_batches(self._replay, clips)
        return self._backbone(torch.from_numpy(clips)).numpy()

    def _replay(self, clips: UInt8Array) -> FloatArray:
        try:
            if len(clips) not in self._graphs:
                self._graphs[len(clips)] = CudaGraph(self._backbone, torch.from_numpy(clips).to(self._device))
            return self._graphs[len(clips)](torch.from_numpy(clips)).float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemoryError(f"PyTorch: {str(error).splitlines()[0]}") from None

    @torch.inference_mode()
    def scores(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- Engine only asks for scores if the bundle has a head
        return self._head(torch.from_numpy(windows).to(self._device)).scores.cpu().numpy()

    @torch.inference_mode()
    def parts(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- as for scores
        parts = self._head(torch.from_numpy(windows).to(self._device)).parts
        assert parts is not None  # noqa: S101 -- the manifest names its kinds
        return parts.cpu().numpy()

    def close(self) -> None:
        del self._backbone, self._head, self._graphs


class CudaGraph:
    """A network's kernels for one input shape, launched together, so that nothing waits for Python in between."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self._given = example
        stream: Any = torch.cuda.Stream(example.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(stream):
            for _ in range(3):  # cuDNN chooses its kernels before they are recorded
                network(example)
        torch.cuda.current_stream(example.device).wait_stream(stream)
        self._graph: Any = torch.cuda.CUDAGraph()
        with torch.cuda.device(example.device), torch.cuda.graph(self._graph):
            self._wanted = network(example)

    def __call__(self, given: Tensor) -> Tensor:
        """The output for `given`, in memory that the next call overwrites."""
        self._given.copy_(given)
        self._graph.replay()
        out: Tensor = self._wanted
        return out
