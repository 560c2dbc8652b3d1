"""The file of `--save-calibration` and `--calibration`: what each camera has learned with one bundle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from configs.atomic import write_file
from stream.base.errors import StreamError, UsageError
from stream.base.foreign_json import foreign_json

SCHEMA: Final = 1
_LARGEST: Final = 256 * 2**20


def read_calibration(path: Path, bundle_sha256: str, cameras: Iterable[str]) -> dict[str, Any]:
    """The stored state of each of `cameras`. Raises UsageError for another bundle, or if a camera is missing."""
    flag = f"--calibration {path}"
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{flag}: larger than {_LARGEST >> 20} MB; so --save-calibration did not write it")
        given = foreign_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{flag}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{flag}: is not JSON; must be a file written by --save-calibration") from None
    if not isinstance(given, dict) or given.get("schema") != SCHEMA or not isinstance(given.get("cameras"), dict):
        raise UsageError(f"{flag}: is not a calibration of schema {SCHEMA}")
    if given.get("bundle") != bundle_sha256:
        shown = str(given.get("bundle"))[:12]
        raise UsageError(f"{flag}: learned with bundle {shown}..., but this bundle is {bundle_sha256[:12]}...")
    learnt: dict[str, Any] = given["cameras"]
    for camera in cameras:
        if camera not in learnt:
            raise UsageError(f"{flag}: contains no camera {camera}; it contains {', '.join(sorted(learnt)) or 'none'}")
    return {camera: learnt[camera] for camera in cameras}


def write_calibration(path: Path, bundle_sha256: str, learnt: Mapping[str, Any]) -> None:
    """Write the whole file or nothing. Raises StreamError if it cannot be written."""
    text = json.dumps({"schema": SCHEMA, "bundle": bundle_sha256, "cameras": dict(learnt)})
    try:
        write_file(path, text)
    except OSError as error:
        raise StreamError(f"--save-calibration {path}: cannot be written: {error.strerror}") from None
