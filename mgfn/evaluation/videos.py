"""The videos of a test list, with checked shapes of their feature files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from configs.command import gathered
from mgfn.features import FeatureError, feature_shape
from mgfn.videos import XD_CROPS, ListError, Video, entries_of, files_of, gather_crops, read_list_text


class Protocol(StrEnum):
    """A published benchmark."""

    UCF_CRIME = "ucf-crime"
    XD_VIOLENCE = "xd-violence"


class EvaluationError(Exception):
    """An evaluation that is impossible as requested; the message is one line for the user."""


def read_list(path: Path, folder: Path | None, channels: int, protocol: Protocol | None = None) -> list[Video]:
    """The videos of a list file, in order: one path per line, as in the authors' lists.

    Files are found as by `mgfn.features.listed_file`, in `folder` if given. Names that end in `__0` to `__9` are crops
    of one video: for XD-Violence `__0` to `__4`, otherwise the same for every video as for the first. A name of
    XD-Violence without a number means all five, unless one file contains them. Raises EvaluationError with all
    problems.
    """
    try:
        text = read_list_text(path)
    except ListError as error:
        raise EvaluationError(f"--list {path}: {error}") from None
    xd = protocol is Protocol.XD_VIOLENCE
    listed = []
    for where, entry in entries_of(text):
        files = files_of(entry, folder, path, five_files=xd)
        name = files[0].stem if len(files) == 1 else files[0].stem.removesuffix("__0")
        listed.append(Video(name, files, listed=where))
    if not listed:
        raise EvaluationError(f"--list {path}: is empty, expected one feature file (.npy) per line")
    problems: list[str] = []
    videos = []
    for video in gather_crops(listed, problems, XD_CROPS if xd else None):
        try:
            counts = [feature_shape(file, channels)[0] for file in video.files]
        except FeatureError as error:
            problems.append(str(error))
            continue
        if len(set(counts)) > 1:
            clips = ", ".join(map(str, counts))
            problems.append(f"the files of {video.name} hold {clips} clips, expected the same number")
        videos.append(video)
    if problems:
        hint = "" if folder is not None else " (if the paths are those of another machine, use --features DIR)"
        shown = "; ".join(gathered(problems))
        raise EvaluationError(f"--list {path}: {len(problems)} entries do not fit{hint}: {shown}")
    return videos
