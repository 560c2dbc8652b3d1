"""Hardware decoding of video."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import av
import av.error
from av.codec.hwaccel import HWAccel

from stream.base.log import log

Hwaccel = Literal["auto", "cuda", "vaapi", "none"]
"""What decodes; auto: what is found."""

# searched in this order for "auto"
_NODES: Final = {"cuda": Path("/dev/nvidia0"), "vaapi": Path("/dev/dri/renderD128")}


def accelerator(wanted: Hwaccel, camera: str, nodes: dict[str, Path] = _NODES) -> HWAccel | None:
    """The device for a camera's decoder, or None for the CPU, which is logged if a device was requested.

    Streams that the device does not support are decoded by the CPU, too.
    """
    if wanted == "none":
        return None
    kinds = [kind for kind, node in nodes.items() if node.exists()] if wanted == "auto" else [wanted]
    reasons = []
    for kind in kinds:
        try:
            HWAccel(kind).create(av.Codec("h264", "r"))
        except (av.error.FFmpegError, OSError, NotImplementedError, ValueError) as error:
            missing = isinstance(error, NotImplementedError)
            reasons.append(f"{kind}: {'not in this FFmpeg' if missing else getattr(error, 'strerror', error)}")
        else:
            return HWAccel(kind, allow_software_fallback=True)
    reason = "; ".join(reasons) or "no device found"
    log.warning("hardware decoding failed; using the CPU", camera=camera, hwaccel=wanted, reason=reason)
    return None
