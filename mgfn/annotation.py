"""What is known of the published test sets: which videos are abnormal by their names, and how many frames are marked.

A ground truth may be well formed and still wrong. The UCF-Crime file that MGFN's authors released marks 52,844 frames
where the data set's annotation has 84,343: it holds only zeros for the videos of several classes, which then count as
normal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.command import gathered
from mgfn.truth import BoolArray

_UCF_CLASSES: Final = (
    "Abuse|Arrest|Arson|Assault|Burglary|Explosion|Fighting|RoadAccidents|Robbery|Shooting|Shoplifting|Stealing"
    "|Vandalism"
)
_UCF = re.compile(rf"(?:(?P<abnormal>{_UCF_CLASSES})|Normal_Videos)_?\d+")
_XD = re.compile(r"_label_(?P<code>[A-Z0-9]+(?:-[A-Z0-9]+)*)(?:_|$)")
_TOLERANCE: Final = 0.01


@dataclass(frozen=True)
class Published:
    """A test set: its videos, and the anomalous frames of its annotation and in whole clips of published features."""

    name: str
    videos: int
    anomalous: tuple[int, ...]


UCF_CRIME: Final = Published("UCF-Crime", 290, (84_343, 84_128))
XD_VIOLENCE: Final = Published("XD-Violence", 800, (537_805,))


def abnormal_by_name(name: str) -> bool | None:
    """Whether a video of UCF-Crime or XD-Violence is abnormal, as its name says; None for any other name."""
    if found := _XD.search(name):
        return found["code"] != "A"
    if found := _UCF.match(name):
        return found["abnormal"] is not None
    return None


def contradictions(
    labels: Mapping[str, BoolArray], abnormal: Callable[[str], bool | None] = abnormal_by_name
) -> list[str]:
    """Videos whose labels (frames,) contradict what `abnormal` says of them, a line for each kind; perhaps none."""
    unmarked = [name for name, frames in labels.items() if abnormal(name) is True and not frames.any()]
    marked = [name for name, frames in labels.items() if abnormal(name) is False and frames.any()]
    found = []
    if unmarked:
        found.append(f"{len(unmarked)} abnormal videos have no anomalous frame: {_some(unmarked)}")
    if marked:
        found.append(f"{len(marked)} normal videos have anomalous frames: {_some(marked)}")
    return found


def unusual_total(labels: Mapping[str, BoolArray], published: Published) -> str | None:
    """What a reader must know where a whole test set has other totals than its annotation; None where it has not.

    Totals are compared only where as many videos are listed as the test set has.
    """
    total = sum(int(frames.sum()) for frames in labels.values())
    near = any(abs(total - known) <= _TOLERANCE * known for known in published.anomalous)
    if len(labels) != published.videos or near:
        return None
    first, *others = (f"{known:,}" for known in published.anomalous)
    in_clips = f" ({', '.join(others)} in whole clips)" if others else ""
    return (
        f"the ground truth marks {total:,} anomalous frames in {len(labels)} videos; "
        f"the annotation of {published.name} has {first}{in_clips}"
    )


def _some(names: Sequence[str]) -> str:
    return "; ".join(gathered(names))
