"""`mgfn-stream` with an engine that breaks on request: python -m recipes.drills.faulty ARGUMENTS.

The file named by MGFN_DRILL_FAULT says how: `slow SECONDS` for each clip, `exception`, `memory`, `wrong` (33 % off) or
`hang`; empty or absent: it works. Only the first backend breaks. MGFN_DRILL_CHECK: seconds between its checks.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.backends.openvino import OpenVinoBackend
from stream.cli.mgfn_stream import main
from stream.watch import engine_care

FAULT, CHECK = "MGFN_DRILL_FAULT", "MGFN_DRILL_CHECK"
_exact = OpenVinoBackend.features


def _features(self: OpenVinoBackend, clips: Any) -> Any:
    file = Path(os.environ[FAULT])
    fault, _, seconds = (file.read_text() if file.exists() else "").partition(" ")
    if self.name != "openvino-int8" and fault != "slow":
        return _exact(self, clips)
    if fault == "slow":
        time.sleep(float(seconds) * len(clips))
    while fault == "hang" and file.read_text() == "hang":
        time.sleep(0.05)
    if fault == "exception":
        raise RuntimeError("Exception from the drill: inference failed")
    if fault == "memory":
        raise MemoryError
    return _exact(self, clips) * np.float32(1.33 if fault == "wrong" else 1.0)


if __name__ == "__main__":
    OpenVinoBackend.features = _features  # type: ignore[method-assign]
    engine_care.CHECK_EVERY = float(os.environ.get(CHECK, engine_care.CHECK_EVERY))  # type: ignore[misc]
    main()
