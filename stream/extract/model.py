"""The model of an extraction: the bundle and the engine that runs it, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.engine import Engine
from engine.geometry import crops_of
from stream.base.errors import UsageError
from stream.extract.folder import Record


@dataclass(frozen=True)
class Model:
    """What `--bundle`, `--backend`, `--device` and `--crops` say; `crops` None: those of the bundle."""

    bundle: Path
    backend: str
    device: str
    crops: int | None

    def open(self) -> Engine:
        """Raises BundleError or BackendError; see `Engine.open`."""
        return Engine.open(self.bundle, self.backend, self.device, float32=True)

    def record(self, engine: Engine) -> Record:
        """How the opened engine makes features. Raises UsageError if the bundle has no such crops."""
        manifest = engine.manifest
        if self.crops == 1 and manifest.crops != 1:
            raise UsageError(
                f"--crops 1: the geometry {manifest.geometry} of the bundle has {manifest.crops} crops; omit --crops"
            )
        geometry = "ten" if self.crops == 10 else manifest.geometry
        return Record(
            bundle=engine.bundle.sha256,
            backbone=manifest.backbone.name,
            engine=engine.backend.name,
            precision=engine.backend.precision,
            channels=engine.published_channels,
            crops=crops_of(geometry),
            geometry=geometry,
        )
