"""Facts about the published test sets: which videos are abnormal by name, and how many frames are anomalous.

A ground truth may be well formed and still wrong. The UCF-Crime file released by MGFN's authors marks 52,844 frames,
while the data set's annotation marks 84,343: it contains only zeros for the videos of several classes, which then count
as normal.
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
    """A test set: its number of videos, and of anomalous frames in its annotation and in whole clips of published
    features.
    """

    name: str
    videos: int
    anomalous: tuple[int, ...]


UCF_CRIME: Final = Published("UCF-Crime", 290, (84_343, 84_128))
XD_VIOLENCE: Final = Published("XD-Violence", 800, (537_805,))


def abnormal_by_name(name: str) -> bool | None:
    """Whether a video of UCF-Crime or XD-Violence is abnormal according to its name; None for other names."""
    if found := _XD.search(name):
        return found["code"] != "A"
    if found := _UCF.match(name):
        return found["abnormal"] is not None
    return None


def contradictions(
    labels: Mapping[str, BoolArray], abnormal: Callable[[str], bool | None] = abnormal_by_name
) -> list[str]:
    """One line for each kind of video whose labels (frames,) contradict what `abnormal` says."""
    unmarked = [name for name, frames in labels.items() if abnormal(name) is True and not frames.any()]
    marked = [name for name, frames in labels.items() if abnormal(name) is False and frames.any()]
    found = []
    if unmarked:
        found.append(f"{len(unmarked)} abnormal videos have no anomalous frame: {_some(unmarked)}")
    if marked:
        found.append(f"{len(marked)} normal videos have anomalous frames: {_some(marked)}")
    return found


def unusual_total(labels: Mapping[str, BoolArray], published: Published) -> str | None:
    """A note if the totals of a whole test set differ from its annotation, else None.

    Totals are only compared if the number of videos is that of the test set.
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
