"""`mgfn-eval doctor`: what is wrong with features, lists and ground truth, before a figure is believed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from configs.command import called, gathered
from configs.text import EncodingError, read_text
from mgfn.annotation import abnormal_by_name, contradictions
from mgfn.evaluation.videos import EvaluationError
from mgfn.features import BACKBONE_CHANNELS, FeatureError, FloatArray, feature_shape, read_features, video_name
from mgfn.truth import BoolArray, TruthError, read_truth
from mgfn.videos import ListError, Video, entries_of, files_of, has_crop_number, read_list_text, without_crop_number

State = Literal["ok", "problem", "not compared"]
# the mirror image of the left corner of a picture is the right corner of the mirrored picture
MIRRORS: Final = (6, 5, 7, 9, 8)
# UCF-Crime's annotation in whole clips: videos and anomalous frames of each class
UCF_CLASSES: Final = {
    "Abuse": (2, 160), "Arrest": (5, 7815), "Arson": (9, 8151), "Assault": (3, 8500), "Burglary": (13, 16089),
    "Explosion": (21, 7607), "Fighting": (5, 4418), "RoadAccidents": (23, 2209), "Robbery": (5, 3810),
    "Shooting": (23, 9799), "Shoplifting": (21, 7500), "Stealing": (5, 6000), "Vandalism": (5, 2070),
}  # fmt: skip
_ROUNDING: Final = 64  # frames of a video that rounding to whole clips may add or remove, with two incidents
_SAMPLED_FILES, _SAMPLED_CLIPS = 40, 32
_ALIKE: Final = 0.25  # relative difference of a statistic


@dataclass(frozen=True)
class Finding:
    """The verdict of one check; `next_step` is what to do about a problem."""

    check: str
    state: State
    said: str
    next_step: str = ""


@dataclass(frozen=True)
class Statistics:
    """Of a set of features: means over clips and crops. `spread`: deviation of crops, as a share of the norm."""

    channels: int
    crops: int
    mean: float
    zeros: float
    norm: float
    spread: float


def examine(
    listed: Path, features: Path, ground_truth: Path, train_list: Path | None, reference: Statistics | None
) -> tuple[list[Finding], Statistics | None]:
    """All findings, and the statistics of the features (None if no file can be read).

    Raises EvaluationError if a list cannot be read at all.
    """
    videos = _listed(listed, features, "--list")
    shapes, findings = _files(videos)
    readable = [video for video in videos if video.name in shapes]
    statistics = statistics_of(readable) if readable else None
    findings += [_axes(shapes), _crops(readable, shapes)]
    unread = [video.name for video in videos if video.name not in shapes]
    findings += _truth(ground_truth, readable, shapes, unread)
    findings += _doubles(videos, None if train_list is None else _listed(train_list, features, "--train-list"))
    findings.append(compared(statistics, reference))
    return findings, statistics


def _listed(path: Path, folder: Path, flag: str) -> list[Video]:
    """One video for each name, five files of one crop each together; unlike the benchmark's, lists with faults pass."""
    try:
        entries = list(entries_of(read_list_text(path)))
    except ListError as error:
        raise EvaluationError(f"{flag} {path}: {error}") from None
    found: dict[str, list[Path]] = {}
    for _, entry in entries:
        files = files_of(entry, folder, path, five_files="_label_" in entry)
        name = video_name(files[0].name)
        found.setdefault(without_crop_number(name) if has_crop_number(name) else name, []).extend(files)
    if not found:
        raise EvaluationError(f"{flag} {path}: is empty, expected one feature file (.npy) per line")
    return [Video(name, tuple(files)) for name, files in found.items()]


def _files(videos: Sequence[Video]) -> tuple[dict[str, tuple[int, int, int]], list[Finding]]:
    """Shapes (clips, crops of all files, channels) of the readable videos; missing and unreadable files."""
    shapes: dict[str, tuple[int, int, int]] = {}
    missing: list[str] = []
    wrong: list[str] = []
    for video in videos:
        try:
            parts = [feature_shape(file) for file in dict.fromkeys(video.files)]
        except FeatureError as error:
            (wrong if all(file.is_file() for file in video.files) else missing).append(str(error))
            continue
        shapes[video.name] = (parts[0][0], sum(part[1] for part in parts), parts[0][2])
    findings = [Finding("files", "ok", f"{len(shapes)} of {len(videos)} listed videos can be read")]
    if missing:
        step = "extract them with mgfn-extract, or correct --features; figures without them are not the published ones"
        findings = [Finding("files", "problem", f"{len(missing)} videos are missing: {_some(missing)}", step)]
    if wrong:
        step = "save float32 (clips, crops, channels): numpy.transpose, then numpy.save"
        findings.append(Finding("axes", "problem", f"{len(wrong)} files: {_some(wrong)}", step))
    return shapes, findings


def _axes(shapes: Mapping[str, tuple[int, int, int]]) -> Finding:
    """Files whose crops or channels differ from those of most, and channels that are an axis of something else."""
    if not shapes:
        return Finding("shape", "not compared", "no file can be read")
    (usual, _), *others = Counter(shape[1:] for shape in shapes.values()).most_common()
    said = f"{usual[0]} crops of {usual[1]} channels"
    odd = [f"{name} has shape {shape}" for name, shape in shapes.items() if shape[1:] != usual]
    step = "save every file as float32 (clips, crops, channels) of one backbone"
    if others:
        return Finding("shape", "problem", f"most files have {said}; {len(odd)} have others: {_some(odd)}", step)
    if usual[1] not in BACKBONE_CHANNELS and any(shape[0] in BACKBONE_CHANNELS for shape in shapes.values()):
        return Finding("shape", "problem", f"{said}, but the first axis has the channels: wrong order of axes", step)
    return Finding("shape", "ok", said)


def _crops(videos: Sequence[Video], shapes: Mapping[str, tuple[int, int, int]]) -> Finding:
    """Whether crop 5 + i looks like the mirror image that the published order puts there."""
    ten = [video for video in _sampled(videos) if shapes[video.name][1] == 10 and len(video.files) == 1]
    if not ten:
        return Finding("crops", "not compared", "only the order of ten crops in one file can be checked")
    odd = []
    for video in ten:
        order = mirrored_order(_clips(read_features(video.files[0])))
        if order is not None and order != MIRRORS:
            odd.append(f"{video.name}: crops 0 to 4 look like the mirror images {', '.join(map(str, order))}")
    if odd:
        return Finding(
            "crops",
            "problem",
            f"{len(odd)} of {len(ten)} files have crops in another order: {_some(odd)}; "
            f"expected {', '.join(map(str, MIRRORS))}",
            f"extract with {called('mgfn-extract')} --crops 10, or reorder: top-left, top-right, centre, bottom-left, "
            "bottom-right, then the same of the mirrored picture",
        )
    return Finding("crops", "ok", f"the mirror images of {len(ten)} files are where the published order has them")


def mirrored_order(features: FloatArray) -> tuple[int, ...] | None:
    """For each of crops 0 to 4 the crop most like it among 5 to 9; None if crops do not differ: (T, 10, C).

    Correlations are of what distinguishes a crop from the mean of all, so that the common scene does not count.
    """
    own = features.astype(np.float64) - features.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(own, axis=2, keepdims=True)
    if not length.any():
        return None
    own = own / np.maximum(length, 1e-12)
    alike = np.einsum("tic,tjc->ij", own[:, :5], own[:, 5:])
    return tuple(int(place) + 5 for place in alike.argmax(axis=1))


def _truth(
    path: Path, videos: Sequence[Video], shapes: Mapping[str, tuple[int, int, int]], unread: Sequence[str]
) -> list[Finding]:
    if path.suffix.lower() == ".npy" and unread:
        said = "labels in list order need every listed video"
        return [Finding("ground truth", "not compared", said)]
    try:
        truth = read_truth(path, {video.name: shapes[video.name][0] for video in videos})
    except TruthError as error:
        step = "create it from the annotation for these features, by name (docs/reproduce.md)"
        return [Finding("lengths", "problem", str(error), step)]
    differ = f"; {len(truth.differences)} differ by at most one clip" if truth.differences else ""
    findings = [Finding("lengths", "ok", f"features and ground truth of {len(videos)} videos{differ}")]
    unlisted = [name for name in truth.unlisted if not any(video.startswith(name) for video in unread)]
    if unlisted:
        said = f"{len(unlisted)} videos of the ground truth are not listed: {_some(unlisted)}"
        findings.append(Finding("list", "problem", said, "add them to --list; figures without them are other figures"))
    return [*findings, *_classes(dict(zip([video.name for video in videos], truth.labels, strict=True)))]


def _classes(labels: Mapping[str, BoolArray]) -> list[Finding]:
    """Names against labels, then the totals of each class of UCF-Crime against its annotation."""
    step = "use a ground truth made from the annotation (docs/reproduce.md)"
    if not any(abnormal_by_name(name) is not None for name in labels):
        return [Finding("classes", "not compared", "the names are not those of UCF-Crime or XD-Violence")]
    findings = []
    if wrong := contradictions(labels):
        findings.append(Finding("classes", "problem", "; ".join(wrong), step))
    totals: dict[str, list[int]] = {}
    for name, frames in labels.items():
        word = re.match(r"[A-Za-z]+(?=_?\d)", name)
        if word and word[0] in UCF_CLASSES:
            totals.setdefault(word[0], []).append(int(frames.sum()))
    if not totals:
        return findings or [Finding("classes", "ok", "every abnormal video has anomalous frames, no normal one has")]
    absent = [name for name in UCF_CLASSES if name not in totals]
    other = [
        f"{name} has {sum(found):,} anomalous frames, the annotation {UCF_CLASSES[name][1]:,}"
        for name, found in totals.items()
        if len(found) == UCF_CLASSES[name][0]
        and abs(sum(found) - UCF_CLASSES[name][1]) > _ROUNDING * UCF_CLASSES[name][0]
    ]
    if absent:
        said = f"no listed video of {', '.join(absent)}"
        findings.append(Finding("classes", "problem", said, "complete the list and the features, then run this again"))
    if other:
        findings.append(Finding("class totals", "problem", _some(other), step))
    whole = sum(len(found) == UCF_CLASSES[name][0] for name, found in totals.items())
    return findings or [Finding("classes", "ok", f"all classes; totals of {whole} complete ones fit the annotation")]


def _doubles(videos: Sequence[Video], train: Sequence[Video] | None) -> list[Finding]:
    """Videos listed twice, by name or by content, within the test list and in the training list."""
    files = [(video.name, file) for video in videos for file in video.files]
    twice = [str(name) for (name, _), count in Counter(files).items() if count > 1]
    findings = []
    if twice:
        said = f"{len(set(twice))} videos are listed twice: {_some(sorted(set(twice)))}"
        findings.append(Finding("test list", "problem", said, "list each once"))
    if train is None:
        return [*findings, Finding("train and test", "not compared", "no --train-list is given")]
    known = {video.name for video in train}
    both = [video.name for video in videos if video.name in known]
    hashes = {content: video.name for video in train for content in _contents(video)}
    copies = [
        f"{video.name} is {hashes[content]}"
        for video in videos
        if video.name not in known
        for content in list(_contents(video))[:1]
        if content in hashes
    ]
    if both or copies:
        said = f"{len(both) + len(copies)} test videos are in the training list: {_some([*both, *copies])}"
        findings.append(Finding("train and test", "problem", said, "remove them from the training list, train again"))
    else:
        findings.append(Finding("train and test", "ok", f"no test video among {len(train)} training videos"))
    return findings


def _contents(video: Video) -> list[str]:
    """A hash for each readable file."""
    found = []
    for file in video.files:
        try:
            shape, data = feature_shape(file), read_features(file)
        except FeatureError:
            continue
        digest = hashlib.sha256(repr(shape).encode())
        for first in range(0, len(data), 256):
            digest.update(data[first : first + 256].tobytes())
        found.append(digest.hexdigest())
    return found


def statistics_of(videos: Sequence[Video]) -> Statistics:
    """Statistics of at most 40 videos, at most 32 clips of each, at equal distances."""
    means, zeros, norms, spreads, shape = [], [], [], [], (0, 0)
    for video in _sampled(videos):
        clips = _clips(read_features(video.files[0]))
        length = float(np.linalg.norm(clips, axis=2).mean())
        means.append(float(clips.mean()))
        zeros.append(float((clips == 0).mean()))
        norms.append(length)
        apart = np.linalg.norm(clips - clips.mean(axis=1, keepdims=True), axis=2).mean()
        spreads.append(float(apart) / max(length, 1e-12))
        shape = (clips.shape[2], clips.shape[1])
    return Statistics(*shape, *(float(np.mean(values)) for values in (means, zeros, norms, spreads)))


def compared(found: Statistics | None, reference: Statistics | None) -> Finding:
    """Statistics beside those of a reference; without one nothing can be said."""
    if found is None:
        return Finding("statistics", "not compared", "no file can be read")
    said = f"mean {found.mean:.4g}, zeros {found.zeros:.1%}, norm {found.norm:.4g}, crops differ by {found.spread:.1%}"
    if reference is None:
        return Finding("statistics", "not compared", f"{said}; no --reference is given")
    far = []
    for name in asdict(found):
        ours, theirs = getattr(found, name), getattr(reference, name)
        if abs(ours - theirs) > _ALIKE * max(abs(theirs), 1e-3):
            far.append(f"{name} {ours:.4g}, reference {theirs:.4g}")
    if far:
        step = "compare backbone, weights, frame rate, resizing and normalisation; extract again before training"
        return Finding("statistics", "problem", f"these do not look like the reference: {'; '.join(far)}", step)
    return Finding("statistics", "ok", f"{said}: like the reference")


def read_reference(path: Path) -> Statistics:
    """Statistics of `--save-reference`. Raises EvaluationError."""
    try:
        return TypeAdapter(Statistics).validate_json(read_text(path))
    except OSError as error:
        raise EvaluationError(f"--reference {path}: {error.strerror}") from None
    except (ValidationError, EncodingError):
        raise EvaluationError(f"--reference {path}: is not a file written by --save-reference") from None


def reference_text(statistics: Statistics) -> str:
    """The content of a reference file."""
    return json.dumps(asdict(statistics), indent=1) + "\n"


def _sampled(videos: Sequence[Video]) -> list[Video]:
    places = np.linspace(0, len(videos) - 1, min(len(videos), _SAMPLED_FILES)).astype(int)
    return [videos[place] for place in places]


def _clips(features: FloatArray) -> FloatArray:
    places = np.linspace(0, len(features) - 1, min(len(features), _SAMPLED_CLIPS)).astype(int)
    return np.array(features[places])


def _some(lines: Sequence[str]) -> str:
    return "; ".join(gathered(list(lines)))
