"""PyTorch: the reference. The one file of the engine that imports torch and mgfn."""

from __future__ import annotations

import safetensors.torch
import torch

from engine.arrays import FloatArray, UInt8Array
from engine.bundle import Bundle
from engine.errors import BackendError
from mgfn.backbones import BACKBONES
from mgfn.checkpoint import load_head


class TorchBackend:
    """The bundle's own weights in the networks of `mgfn`, in float32."""

    name = "torch"

    def __init__(self, bundle: Bundle, device: str) -> None:
        try:
            self._device = torch.device("cpu" if device == "auto" else device)
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f"device {device}: {str(error).splitlines()[0]}") from None
        backbone = BACKBONES[bundle.manifest.backbone.name].build()
        backbone.load_state_dict(safetensors.torch.load_file(bundle.file("backbone.safetensors")))
        self._backbone = backbone.eval().to(self._device)
        self._head = None
        if bundle.manifest.head:
            self._head = load_head(bundle.file("head.safetensors"))[0].to(self._device)

    @torch.inference_mode()
    def features(self, clips: UInt8Array) -> FloatArray:
        return self._backbone(torch.from_numpy(clips).to(self._device)).float().cpu().numpy()

    @torch.inference_mode()
    def scores(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- Engine asks only bundles with a head
        return self._head(torch.from_numpy(windows).to(self._device)).scores.cpu().numpy()

    def close(self) -> None:
        del self._backbone, self._head
