"""What geometry `focus` costs per clip, compared with `squash`: processor time from decoded frames to network input.

Both geometries process the same clips in turn. Run from the project's root:
python -m benchmarks.focus_cost VIDEO [CLIPS]
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from statistics import median

import av
import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.geometry import SIDE
from stream.camera.clip_cropper import ClipCropper
from stream.camera.view import View


def main() -> None:
    path, clips = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40
    croppers = {geometry: ClipCropper(View(), geometry) for geometry in ("squash", "focus")}
    spent: dict[str, list[float]] = {geometry: [] for geometry in croppers}
    out = np.empty((1, CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    with av.open(path) as container:
        frames = container.decode(container.streams.video[0])
        size = ""
        for _ in range(clips):
            clip = list(islice(frames, CLIP_LENGTH))
            if len(clip) < CLIP_LENGTH:
                break
            size = f"{clip[0].width}x{clip[0].height}"
            for geometry, cropper in croppers.items():
                began = time.process_time()
                for position, frame in enumerate(clip):
                    cropper.put(position, frame)
                cropper.write(0, out)
                spent[geometry].append(1000 * (time.process_time() - began))
    for geometry, each in spent.items():
        print(f"{size}, {geometry}: {median(each):.2f} ms per clip (median of {len(each)})")
    print(f"focus adds {median(spent['focus']) - median(spent['squash']):.2f} ms")


if __name__ == "__main__":
    main()
