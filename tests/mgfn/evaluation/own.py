"""Data at hand for `mgfn-eval tables --protocol own`: composed features with known incidents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLIPS, CHANNELS = 12, 16


def own_data(folder: Path) -> list[object]:
    """Twenty videos of ten sources; half of the sources have an incident of four clips. The flags."""
    features, rng = folder / "features", np.random.default_rng(0)
    features.mkdir()
    rows = ["file,source,start,end"]
    for index in range(20):
        x = 1 + 0.1 * rng.random((CLIPS, 1, CHANNELS))
        abnormal = index % 2 == 1
        if abnormal:
            x[4:8, :, :4] += 2
        np.save(features / f"v{index:02d}.npy", x.astype(np.float32))
        times = f"{4 * 16 / 25},{8 * 16 / 25}" if abnormal else ","
        rows.append(f"v{index:02d},place{index % 10},{times}")
    labels = folder / "own.csv"
    labels.write_text("\n".join(rows))
    return ["--protocol", "own", "--features", features, "--labels", labels]
