"""A bundle on disk, opened only if all hashes match."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.errors import BundleError
from engine.manifest import MANIFEST, SCHEMA_VERSION, Manifest


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `sha256` is the hash of the manifest, and identifies the bundle."""

    path: Path
    manifest: Manifest
    sha256: str

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the manifest and verify every file.

        Raises BundleError for a missing, damaged or newer bundle.
        """
        try:
            text = (path / MANIFEST).read_bytes()
        except OSError as error:
            raise BundleError(f"bundle {path}: no {MANIFEST} ({error.strerror})") from None
        manifest = _parse(path, text)
        for name, expected in manifest.files.items():
            try:
                with (path / name).open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise BundleError(f"bundle {path}: {name}: {error.strerror}") from None
            if found != expected:
                raise BundleError(f"bundle {path}: {name} was changed: SHA-256 {found}, expected {expected}")
        return cls(path, manifest, hashlib.sha256(text).hexdigest())

    @property
    def name(self) -> str:
        return self.path.name

    def file(self, name: str) -> Path:
        """The path of an artefact. Raises BundleError if the manifest does not list it."""
        if name not in self.manifest.files:
            listed = ", ".join(sorted(self.manifest.files))
            raise BundleError(f"bundle {self.path}: holds no {name}; it holds {listed}")
        return self.path / name


def _parse(path: Path, text: bytes) -> Manifest:
    try:
        raw = json.loads(text)
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise BundleError(
                f"bundle {path}: schema version {version} is newer than this program's {SCHEMA_VERSION}: "
                "upgrade mgfn-stream or export the bundle again"
            )
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BundleError(f"bundle {path}: {MANIFEST}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"bundle {path}: {MANIFEST} is not JSON: {error}") from None
