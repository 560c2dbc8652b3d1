"""Divides the videos into those for training and those for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from configs.command import gathered
from mgfn.training.config import DataSettings, ProblemsError, TrainConfig
from mgfn.training.dataset import LabelledVideo, read_videos


def listed_videos(data: DataSettings) -> list[LabelledVideo]:
    """All videos of both lists. Raises ProblemsError with all problems of either."""
    problems: list[str] = []
    if data.labels is None:
        problems.append("--labels: is missing; must be a CSV file with labels, or a list file")
    if data.features is not None and not data.features.is_dir():
        problems.append(f"--features {data.features}: no such folder")
    videos: list[LabelledVideo] = []
    try:
        if data.labels is not None:
            videos += read_videos(data.labels, data.features, data.layout, "train")
    except ProblemsError as found:
        problems += found.problems
    try:
        if data.test_labels is not None:
            videos += read_videos(data.test_labels, data.features, data.layout, "test")
    except ProblemsError as found:
        problems += found.problems
    if problems:
        raise ProblemsError(problems)
    return videos


def split_videos(
    config: TrainConfig, videos: Sequence[LabelledVideo]
) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """The training videos and the evaluation videos.

    Evaluation videos are, for `select: val`, those of the split val or, without any, a share of each class held out
    from training; for test-best, the test videos; for last, those of test and val, if any. Raises ProblemsError for a
    class without videos, and for videos on both sides.
    """
    train, val, test = ([v for v in videos if v.split == split] for split in ("train", "val", "test"))
    held_out = {"last": test or val, "val": val, "test-best": test}[config.select]
    if config.select == "val" and not val:
        held_out = _held_out_share(config, train)
        taken = {v.name for v in held_out}
        train = [v for v in train if v.name not in taken]
    problems = []
    sides = [("for training", train)]
    if held_out or config.select != "last":
        sides.append((f"for evaluation, which --select {config.select} needs", held_out))
    for purpose, group in sides:
        for abnormal, name in ((False, "normal"), (True, "abnormal")):
            if not any(v.abnormal is abnormal for v in group):
                problems.append(f"{config.data.labels}: no {name} videos {purpose}")
    on_both = {v.name for v in train} & {v.name for v in held_out}
    problems += [f"{name} is listed for training and for evaluation" for name in sorted(on_both)]
    if problems:
        raise ProblemsError(gathered(problems))
    return train, held_out


def _held_out_share(config: TrainConfig, train: Sequence[LabelledVideo]) -> list[LabelledVideo]:
    rng = np.random.default_rng([config.seed, 2])
    held_out: list[LabelledVideo] = []
    for abnormal in (False, True):
        group = [v for v in train if v.abnormal is abnormal]
        count = max(1, round(config.validation_share * len(group)))
        held_out += [group[index] for index in sorted(rng.permutation(len(group))[:count])]
    return held_out
