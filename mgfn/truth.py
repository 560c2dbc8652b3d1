"""Ground truth by frame: intervals for each video (JSON), or the authors' concatenated labels (.npy)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from configs.command import gathered
from configs.sizes import CLIP_LENGTH
from configs.text import EncodingError, read_text

# Published frame counts differ between feature sets by up to the last clip: whole, partial or omitted.
TOLERANCE_FRAMES: Final = CLIP_LENGTH

BoolArray = NDArray[np.bool_]
Count = Annotated[int, Field(ge=0)]


class TruthError(Exception):
    """A ground truth that cannot be read or does not match the features; the message is one line for the user."""


class _Timeline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: Annotated[int, Field(ge=1)]
    anomalous: tuple[tuple[Count, Count], ...]

    @model_validator(mode="after")
    def _intervals_lie_inside(self) -> _Timeline:
        for first, past in self.anomalous:
            if not first < past <= self.frames:
                raise ValueError(
                    f"interval [{first}, {past}) of {self.frames} frames; must satisfy first < past <= frames"
                )
        return self


@dataclass(frozen=True)
class Difference:
    """A video whose features and ground truth differ in length, within the tolerance; both in frames."""

    video: str
    features: int
    truth: int


@dataclass(frozen=True)
class Truth:
    """`labels`: bool (frames,) for each video, in order. `unlisted`: other videos in the file."""

    labels: tuple[BoolArray, ...]
    differences: tuple[Difference, ...]
    unlisted: tuple[str, ...]

    def notes(self) -> list[str]:
        """Notes that a reader needs before comparing figures: lengths that differ, omitted videos."""
        notes = [
            f"{d.video}: features {d.features} frames, ground truth {d.truth}; measured over {d.truth}, "
            + ("last scores not used" if d.features > d.truth else "the last score is repeated")
            for d in self.differences
        ]
        if self.unlisted:
            notes.append(
                f"{len(self.unlisted)} videos of the ground truth are not in the list: " + ", ".join(self.unlisted)
            )
        return notes


def read_truth(path: Path, clips: Mapping[str, int]) -> Truth:
    """Frame labels from interval JSON, or from labels concatenated in the order of `clips` (clips of each video).

    JSON is `{NAME: {"frames": n, "anomalous": [[first, past-last), ...]}}`. A video is found by its name, which may
    continue after an underscore (`Abuse028_x264_i3d`). Its length may differ by `TOLERANCE_FRAMES` from 16 frames per
    clip. A .npy file must have the exact length, because nothing tells where a frame is missing. Raises TruthError for
    a file that is neither, and for lengths that disagree.
    """
    try:
        labels, unlisted = (_intervals if path.suffix.lower() == ".json" else _concatenated)(path, clips)
    except OSError as error:
        raise TruthError(f"--ground-truth {path}: {error.strerror or 'cut short'}") from None
    differences = tuple(
        Difference(video, CLIP_LENGTH * count, len(label))
        for (video, count), label in zip(clips.items(), labels, strict=True)
        if CLIP_LENGTH * count != len(label)
    )
    wrong = [d for d in differences if abs(d.features - d.truth) > TOLERANCE_FRAMES]
    if wrong:
        each = [f"{d.video}: features {d.features} frames, ground truth {d.truth}" for d in wrong]
        listed = "; ".join(gathered(each))
        raise TruthError(
            f"--ground-truth {path}: the lengths of {len(wrong)} videos differ by more than {TOLERANCE_FRAMES} frames"
            f" (one clip): {listed}"
        )
    return Truth(tuple(labels), differences, unlisted)


def clip_of_frame(frames: int, clips: int) -> NDArray[np.int64]:
    """(frames,): the clip whose score a frame has. Each is repeated 16 times; frames after the last clip use its
    score.
    """
    return np.minimum(np.arange(frames) // CLIP_LENGTH, clips - 1)


def _intervals(path: Path, clips: Mapping[str, int]) -> tuple[list[BoolArray], tuple[str, ...]]:
    try:
        timelines = TypeAdapter(dict[str, _Timeline]).validate_json(read_text(path))
    except EncodingError as error:
        raise TruthError(f"--ground-truth {path}: {error}") from None
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])) or 'as a whole'}: {e['msg'].replace('Input should be', 'expected')}"
            for e in error.errors()
        ]
        raise TruthError(f"--ground-truth {path}: {'; '.join(gathered(problems))}") from None
    labels, missing, used = [], [], set()
    for video in clips:
        name = next((name for name in _prefixes(video) if name in timelines), None)
        if name is None:
            missing.append(video)
            continue
        if name in used:
            raise TruthError(f"--ground-truth {path}: {name} matches more than one listed video, such as {video}")
        used.add(name)
        label = np.zeros(timelines[name].frames, bool)
        for first, past in timelines[name].anomalous:
            label[first:past] = True
        labels.append(label)
    if missing:
        raise TruthError(f"--ground-truth {path}: lacks {len(missing)} listed videos: {'; '.join(gathered(missing))}")
    return labels, tuple(name for name in timelines if name not in used)


def _prefixes(name: str) -> list[str]:
    words = name.split("_")
    return ["_".join(words[:count]) for count in range(len(words), 0, -1)]


def _concatenated(path: Path, clips: Mapping[str, int]) -> tuple[list[BoolArray], tuple[str, ...]]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise TruthError(
            f"--ground-truth {path}: neither a .json file of intervals nor a complete .npy file of labels"
        ) from None
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "biuf":
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TruthError(f"--ground-truth {path}: {found}, expected one label per frame: (frames,)")
    if not np.isin(array, (0, 1)).all():
        raise TruthError(f"--ground-truth {path}: contains labels other than 0 and 1")
    ends = CLIP_LENGTH * np.cumsum(list(clips.values()))
    if len(array) != ends[-1]:
        raise TruthError(
            f"--ground-truth {path}: {len(array)} frames, the features of the {len(clips)} listed videos have "
            f"{ends[-1]} (16 per clip); a concatenated file must have the same (interval JSON may differ by a clip)"
        )
    return np.split(array.astype(bool), ends[:-1]), ()
