"""The training videos: a CSV of labels, or the authors' list files of UCF-Crime and XD-Violence.

A CSV has the columns `file,label` and optionally `split`, `class`, `frames`. `file` is a feature file in the feature
folder, with or without `.npy`; `label` is normal or abnormal (or 0 or 1); `split` is train (the default), val or test;
`class` is free text; `frames` is the length of the video, against which the number of clips is checked.

A list file has one feature file per line and no labels. UCF-Crime: names with `Normal` are normal, and a training list
has all abnormal videos first, as the released one has its 810; both must agree. XD-Violence: names that end in
`_label_A` are normal, and each video has five files of one crop each, `NAME__0.npy` to `NAME__4.npy`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from configs.command import gathered
from mgfn.features import is_there, video_name
from mgfn.training.config import ProblemsError
from mgfn.videos import (
    XD_CROPS,
    ListError,
    Video,
    entries_of,
    files_of,
    gather_crops,
    listed_twice,
    read_list_text,
    without_crop_number,
)

Split = Literal["train", "val", "test"]
Layout = Literal["plain", "ucf-crime", "xd-violence"]
_LABELS = {"normal": False, "0": False, "abnormal": True, "1": True}
_COLUMNS = ("file", "label", "split", "class", "frames")


@dataclass(frozen=True)
class LabelledVideo(Video):
    """A video with its label and the other columns of the list."""

    abnormal: bool
    split: Split
    category: str = ""
    frames: int | None = None


def read_videos(labels: Path, features: Path | None, layout: Layout, split: Split = "train") -> list[LabelledVideo]:
    """The videos of a CSV (by its suffix) or of a list file, in order; `split` is that of a list file.

    `features` is the folder of the feature files; by default that of the list. Raises ProblemsError with all problems
    of the list, including missing files, which are otherwise not checked here.
    """
    try:
        text = read_list_text(labels)
    except ListError as error:
        raise ProblemsError([f"{labels}: {error}; expected a CSV of labels or a list file"]) from None
    problems: list[str] = []
    if labels.suffix.lower() == ".csv":
        videos = list(_csv_rows(labels, text, features, layout, problems))
    else:
        if layout == "plain":
            raise ProblemsError([f"{labels}: a list file contains no labels; use a .csv, or set data.layout"])
        videos = list(_list_lines(labels, text, features, layout, split, problems))
    found: list[str] = []
    if layout == "xd-violence":
        found += _contradictions(videos)
        videos = gather_crops(videos, found, XD_CROPS)
    else:
        found += listed_twice(videos)
    problems += [f"{labels}: {problem}" for problem in found]
    if not videos and not problems:
        problems.append(f"{labels}: lists no videos")
    if problems:
        missing = dict.fromkeys(file for video in videos for file in video.files if not is_there(file))
        problems += [f"features {file}: No such file or directory" for file in missing]
        raise ProblemsError(gathered(problems))
    return videos


def _csv_rows(
    path: Path, text: str, features: Path | None, layout: Layout, problems: list[str]
) -> Iterator[LabelledVideo]:
    rows = csv.DictReader(text.splitlines(), restkey="", skipinitialspace=True)
    header = [name.strip() for name in rows.fieldnames or []]
    rows.fieldnames = header
    if missing := [name for name in _COLUMNS[:2] if name not in header]:
        first = ",".join(header)[:80]
        problems.append(
            f"{path}: column {', '.join(missing)} is missing; columns: file,label[,split][,class][,frames], "
            f"separated by commas; the first line is {first!r}"
        )
        return
    if unknown := [name for name in header if name not in _COLUMNS]:
        problems.append(f"{path}: unknown column {', '.join(unknown)}; allowed: {', '.join(_COLUMNS)}")
    for row in rows:
        where = f"line {rows.line_num}"
        if "" in row:
            problems.append(f"{path}: {where} has more fields than the {len(header)} columns")
            continue
        values = {name: (row[name] or "").strip() for name in header}
        file, label = values["file"], values["label"].lower()
        split, frames = values.get("split") or "train", values.get("frames") or None
        if not file:
            problems.append(f"{path}: {where}: file is empty")
        if label not in _LABELS:
            problems.append(f"{path}: {where}: label {values['label']!r}; allowed: {', '.join(_LABELS)}")
        if split not in get_args(Split):
            problems.append(f"{path}: {where}: split {split!r}; allowed: {', '.join(get_args(Split))}")
        if frames is not None and not (frames.isdecimal() and int(frames) > 0):
            problems.append(f"{path}: {where}: frames {frames!r}; must be a whole number of at least 1")
        elif file and label in _LABELS and split in get_args(Split):
            yield LabelledVideo(
                video_name(file),
                files_of(file, features, path, layout == "xd-violence"),
                _LABELS[label],
                split,  # type: ignore[arg-type] # checked just now
                values.get("class", ""),
                None if frames is None else int(frames),
                listed=where,
            )


def _list_lines(
    path: Path, text: str, features: Path | None, layout: Layout, split: Split, problems: list[str]
) -> Iterator[LabelledVideo]:
    lines = list(entries_of(text))
    coded = sum("_label_" in line for _, line in lines)
    if looks := _other_layout(layout, coded, len(lines)):
        named = coded if looks == "xd-violence" else len(lines) - coded
        problems.append(
            f"{path}: {named} of {len(lines)} lines are not names of {layout}; this looks like {looks}: "
            f"use a preset for it, or data: {{layout: {looks}}} in a configuration"
        )
        return
    abnormal_first = sum("Normal" not in video_name(line) for _, line in lines)
    for place, (where, line) in enumerate(lines):
        name = video_name(line)
        if layout == "ucf-crime":
            abnormal = "Normal" not in name
            category = (re.match(r"[A-Za-z]+", name) or [""])[0] if abnormal else "Normal"
            if split == "train" and abnormal != (place < abnormal_first):
                said = "an abnormal video by its name, but is among normal ones"
                if not abnormal:
                    said = "a normal video by its name, but is among abnormal ones"
                problems.append(
                    f"{path}: {where}: {name} is {said}; a list has all abnormal videos first (a CSV any order)"
                )
        else:
            code = re.search(r"_label_([A-Z0-9]+(?:-[A-Z0-9]+)*)(?:__\d)?$", name)
            if code is None:
                problems.append(f"{path}: {where}: {name} has no label: expected ..._label_A or another code")
                continue
            abnormal, category = code[1] != "A", code[1]
        files = files_of(line, features, path, layout == "xd-violence")
        yield LabelledVideo(name, files, abnormal, split, category, listed=where)


def _other_layout(layout: Layout, coded: int, lines: int) -> Layout | None:
    """The layout that a list probably has instead, by how many of its lines contain a label code."""
    if layout == "xd-violence" and lines and not coded:
        return "ucf-crime"
    return "xd-violence" if layout == "ucf-crime" and coded > lines / 2 else None


def _contradictions(videos: Sequence[LabelledVideo]) -> Iterator[str]:
    """Videos whose crops are listed with different labels or splits."""
    said: dict[str, set[tuple[bool, Split]]] = {}
    for video in videos:
        said.setdefault(without_crop_number(video.name), set()).add((video.abnormal, video.split))
    for name, labels in said.items():
        if len(labels) > 1:
            yield f"{name}: its files have different labels or splits"
