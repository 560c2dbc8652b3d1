"""The output of an evaluation: figures as JSON, a plot for each video, and a self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from configs.sizes import CLIP_LENGTH
from mgfn.evaluation.metrics import FALSE_ALARM_THRESHOLD, ClassAuc, Frames, Interval, Measures, ScoredVideo, classes_of
from mgfn.evaluation.videos import EvaluationError, Protocol
from mgfn.truth import Truth

FIGURES: Final = "figures.json"
REPORT: Final = "report.html"
PLOTS: Final = "plots"
NAMES: Final = {
    "auc": "AUC, frames",
    "average_precision": "AP, frames (average precision)",
    "precision_recall_trapezoid": "AP as printed by the released code (trapezoids under precision and recall)",
    "auc_abnormal_videos": "AUC, frames of abnormal videos only",
    "false_alarm_rate": "false-alarm rate at 0.5, frames of normal videos",
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
h1,p,td{overflow-wrap:anywhere}table{border-collapse:collapse;margin:1em 0}
td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%;display:block}
figure{margin:1em 0}figcaption{color:#555}"""


@dataclass(frozen=True)
class Benchmark:
    """The results of a benchmark; `settings` describes its inputs (head, list, ground truth, resamples, seed).

    `doubts`: warnings about the ground truth.
    """

    protocol: Protocol
    settings: Mapping[str, str | int]
    videos: Sequence[ScoredVideo]
    truth: Truth
    measures: Measures
    intervals: Mapping[str, Interval]
    classes: Sequence[ClassAuc]
    doubts: Sequence[str] = ()

    def notes(self) -> list[str]:
        """Notes that a reader needs before comparing figures."""
        return [*self.doubts, *self.truth.notes()]

    def headline(self) -> list[str]:
        """Names of the figures, that of the protocol first."""
        first = "auc" if self.protocol is Protocol.UCF_CRIME else "average_precision"
        return [first, *(name for name in NAMES if name != first)]


def check_out(out: Path) -> None:
    """Raise EvaluationError unless `out` is a new or empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EvaluationError(f"--out {out}: is not empty; must be a new or empty folder")


def write_benchmark(benchmark: Benchmark, folder: Path, advance: Callable[[], None] = lambda: None) -> None:
    """Write `figures.json`, `plots/NAME.png` and `report.html` into `folder`; `advance` is called for each plot."""
    (folder / PLOTS).mkdir()
    plots = []
    for video in benchmark.videos:
        plots.append(plot(video))
        (folder / PLOTS / f"{video.name}.png").write_bytes(plots[-1])
        advance()
    write_json(folder / FIGURES, as_json(benchmark))
    (folder / REPORT).write_text(page(benchmark, plots), encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON; NaN, for an undefined figure, becomes null."""
    path.write_text(json.dumps(_null(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _null(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_null(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def as_json(benchmark: Benchmark) -> dict[str, Any]:
    """All figures: `figures` with 95 % intervals, `classes`, `videos`, `notes` and the inputs."""
    measures = asdict(benchmark.measures)
    return {
        "protocol": benchmark.protocol.value,
        **benchmark.settings,
        "frames": sum(len(video.labels) for video in benchmark.videos),
        "anomalous_frames": sum(int(video.labels.sum()) for video in benchmark.videos),
        "figures": {
            name: {"what": NAMES[name], "value": measures[name], **asdict(benchmark.intervals[name])}
            for name in benchmark.headline()
        },
        "classes": [asdict(entry) for entry in benchmark.classes],
        "notes": benchmark.notes(),
        "videos": [
            {
                "name": video.name,
                "classes": classes_of(benchmark.protocol, video.name),
                "frames": len(video.labels),
                "anomalous_frames": int(video.labels.sum()),
                "top_score": float(video.scores.max()),
                "auc": Frames([video]).measure().auc,
            }
            for video in benchmark.videos
        ],
    }


def plot(video: ScoredVideo) -> bytes:
    """A PNG: score over frames, anomalous frames shaded, the threshold of the false-alarm rate dotted."""
    figure = Figure(figsize=(11, 1.8), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    frames = len(video.labels)
    edges = np.flatnonzero(np.diff(np.r_[False, video.labels, False].astype(int)))
    for first, past in zip(edges[::2], edges[1::2], strict=True):
        axes.axvspan(first, past, color="#e06666", alpha=0.4, linewidth=0)
    axes.axhline(FALSE_ALARM_THRESHOLD, color="#888888", linestyle=":", linewidth=1)
    starts = CLIP_LENGTH * np.arange(len(video.scores) + 1)
    axes.step(starts, np.r_[video.scores, video.scores[-1]], where="post", color="#1f4e8c", linewidth=1)
    axes.set(xlim=(0, frames), ylim=(-0.02, 1.02), xlabel="frame", ylabel="score")
    return _png(figure)


def curves(frames: Frames) -> bytes:
    """A PNG: the ROC curve and precision over recall, over all frames."""
    figure = Figure(figsize=(11, 4.2), dpi=80, layout="constrained")
    roc, pr = figure.subplots(1, 2)
    false_rate, true_rate, _ = roc_curve(frames.labels, frames.scores, sample_weight=frames.counts)
    precision, recall, _ = precision_recall_curve(frames.labels, frames.scores, sample_weight=frames.counts)
    roc.plot(false_rate, true_rate, color="#1f4e8c")
    roc.set(xlabel="false-positive rate", ylabel="true-positive rate", xlim=(0, 1), ylim=(0, 1.02), title="ROC")
    pr.plot(recall, precision, color="#1f4e8c", drawstyle="steps-post")
    pr.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="precision and recall")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _picture(png: bytes, what: str) -> str:
    return f'<img alt="{what}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def shown(value: float, digits: int = 4) -> str:
    """A figure for display; a dash if there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def page(benchmark: Benchmark, plots: Sequence[bytes]) -> str:
    """The HTML report, with embedded images."""
    measures, content = asdict(benchmark.measures), as_json(benchmark)
    title = f"{'/'.join(Path(str(benchmark.settings['head'])).parts[-2:])} on {benchmark.protocol.value}"
    figures = [
        (
            NAMES[name],
            shown(measures[name]),
            shown(benchmark.intervals[name].low),
            shown(benchmark.intervals[name].high),
        )
        for name in benchmark.headline()
    ]
    classes = [(c.name, str(c.videos), shown(c.alone), shown(c.with_normal)) for c in benchmark.classes]
    settings = [(name.replace("_", " "), str(value)) for name, value in benchmark.settings.items()]
    pictures = []
    for entry, png in zip(content["videos"], plots, strict=True):
        name = escape(entry["name"])
        caption = (
            f"<b>{name}</b> {escape(', '.join(entry['classes']))} · {entry['frames']} frames, "
            f"{entry['anomalous_frames']} anomalous · AUC {shown(entry['auc'])} · "
            f"highest score {entry['top_score']:.3f}"
        )
        picture = _picture(png, f"{name}: score over frames")
        pictures.append(f"<figure><figcaption>{caption}</figcaption>{picture}</figure>")
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>",
            f"<p>{len(benchmark.videos)} videos, {content['frames']} frames.",
            "Low and high: 95 %, bootstrap over videos.</p>",
            table_html(("figure", "value", "low", "high"), figures),
            *(f"<p>{escape(note)}</p>" for note in benchmark.notes()),
            f"<figure>{_picture(curves(Frames(benchmark.videos)), 'ROC curve, precision over recall')}</figure>",
            "<h2>By class</h2>",
            table_html(("class", "videos", "AUC alone", "AUC with all normal videos"), classes),
            "<h2>Videos</h2><p>Blue: score. Red: anomalous frames. Dotted: the threshold of the false-alarm rate.</p>",
            *pictures,
            "<h2>Made from</h2>",
            table_html(("", ""), settings),
            "</body></html>",
        ]
    )


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        first, *rest = (escape(cell) for cell in cells)
        return f"<tr><{tag}>{first}</{tag}>" + "".join(f'<{tag} class="n">{cell}</{tag}>' for cell in rest) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(cells, "td") for cells in rows) + "</table>"
