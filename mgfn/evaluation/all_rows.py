"""Trains every row of a table, run by run; finished runs are stored, so an interrupted table continues."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from socket import gethostname
from statistics import mean, stdev

import torch

from configs.atomic import write_file
from mgfn.baselines.base import Baseline
from mgfn.checkpoint import load_head
from mgfn.evaluation.report import STYLE, table_html
from mgfn.evaluation.rows import ROWS, Budget, Row, TableProtocol
from mgfn.evaluation.videos import EvaluationError
from mgfn.training.config import TrainConfig
from mgfn.training.loop import Data, fit

RUNS, RESULT = "runs", "result.json"


@dataclass(frozen=True)
class Run:
    """One row with one seed, in its folder; the name of the folder depends on configuration and data."""

    row: str
    seed: int
    folder: Path
    config: TrainConfig
    data: Data


@dataclass(frozen=True)
class Result:
    """What a run reached, on frames of the test videos; `seconds` of training and measuring."""

    auc: float
    ap: float
    seconds: float
    parameters: int
    causal: bool
    missing: str


Results = dict[tuple[str, int], Result]  # by row and seed


def plan(
    rows: Sequence[Row],
    protocol: TableProtocol,
    seeds: int,
    budget: Budget,
    out: Path,
    data_of: Callable[[TrainConfig], Data],
) -> list[Run]:
    """All runs of the built rows, seed by seed, so that an interrupted table has something of every row."""
    runs = []
    for seed in range(seeds):
        for row in rows:
            if row.preset is not None:
                config = row.config(protocol, seed, budget)
                data = data_of(config)
                files = [
                    [str(f), f.stat().st_size, f.stat().st_mtime_ns]
                    for v in (*data.train, *data.held_out)
                    for f in v.files
                ]
                truth = {name: labels.tobytes().hex() for name, labels in (data.truth or {}).items()}
                key = hashlib.sha256(json.dumps([config.model_dump_json(), files, truth]).encode()).hexdigest()[:12]
                runs.append(Run(row.name, seed, out / RUNS / f"{row.name}-{seed}-{key}", config, data))
    return runs


def kept(run: Run) -> Result | None:
    """The result of an earlier call."""
    path = run.folder / RESULT
    return Result(**json.loads(path.read_text())) if path.is_file() else None


def perform(run: Run) -> Result:
    """Train and measure one run. Raises EvaluationError if this machine of a cluster does not see the folders."""
    torch.set_num_threads(1)
    for folder in (run.folder.parent, *{file.parent for video in run.data.train for file in video.files}):
        if not folder.is_dir():
            raise EvaluationError(f"{folder}: {gethostname()} does not see this folder; all machines must share it")
    begin = time.monotonic()
    run.folder.mkdir(exist_ok=True)
    metrics = fit(run.config, run.data, run.folder, torch.device("cpu"), "float32", True, lambda _: None)
    assert metrics is not None  # noqa: S101 -- there are test videos
    head, _ = load_head(run.folder / "last.safetensors")
    missing = head.missing if isinstance(head, Baseline) else ""
    count = sum(parameter.numel() for parameter in head.parameters())
    result = Result(metrics.auc, metrics.ap, time.monotonic() - begin, count, head.causal, missing)
    write_file(run.folder / RESULT, json.dumps(asdict(result)))
    return result


def open_runs(runs: Sequence[Run], results: Results) -> str:
    """The runs without a result, by row; empty if there are none."""
    seeds: dict[str, list[str]] = {}
    for run in runs:
        if (run.row, run.seed) not in results:
            seeds.setdefault(run.row, []).append(str(run.seed))
    return "; ".join(f"{row} seed {', '.join(of_row)}" for row, of_row in seeds.items())


def columns_of(protocol: TableProtocol) -> tuple[str, ...]:
    """The names of the columns; after the protocol's measure, the other one."""
    other = "ours, AUC" if protocol is TableProtocol.XD_VIOLENCE else "ours, AP"
    published = "published on UCF-Crime" if protocol is TableProtocol.OWN else "published"
    return ("method", published, "ours", other, "seeds", "s per run", "parameters", "causal", "remarks")


def lines(rows: Sequence[Row], results: Results, protocol: TableProtocol) -> list[tuple[str, ...]]:
    """The cells of each row; a row without a run says why."""
    out: list[tuple[str, ...]] = []
    for row in rows:
        found = [result for (name, _), result in results.items() if name == row.name]
        published = row.published(protocol)
        remarks = [row.note] if row.note else []
        if published is not None and row.features != "I3D":
            remarks.append(f"published with features: {row.features}")
        before = "–" if published is None else f"{published:.2f}"
        if not found:
            out.append((row.title, before, "–", "–", "0", "–", "–", "–", "; ".join(remarks)))
            continue
        measures = [[r.auc for r in found], [r.ap for r in found]]
        if protocol is TableProtocol.XD_VIOLENCE:
            measures.reverse()
        ours, other = map(_mean_and_spread, measures)
        if found[0].missing:
            remarks.append(f"not built: {found[0].missing}")
        out.append(
            (
                row.title, before, ours, other, str(len(found)),
                f"{mean(r.seconds for r in found):.0f}", f"{found[0].parameters / 1e6:.2f} M",
                "yes" if found[0].causal else "no", "; ".join(remarks),
            )
        )  # fmt: skip
    return out


def _mean_and_spread(values: Sequence[float]) -> str:
    """In %; the standard deviation only of several values."""
    spread = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{spread}"


def write_tables(
    out: Path,
    protocol: TableProtocol,
    rows: Sequence[Row],
    results: Results,
    notes: Sequence[str],
) -> None:
    """`tables.md` and `tables.html` of the runs that are finished."""
    cells = lines(rows, results, protocol)
    title = f"{'AP' if protocol is TableProtocol.XD_VIOLENCE else 'AUC'} in %, frames, {protocol.value}"
    columns = columns_of(protocol)
    ruled = [columns, ("---", *["---:"] * 6, "---", "---"), *cells]
    text = [f"# {title}", "", *("| " + " | ".join(row) + " |" for row in ruled), "", *(f"- {note}" for note in notes)]
    write_file(out / "tables.md", "\n".join(text) + "\n")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{table_html(columns, cells)}"
        + "".join(f"<p>{escape(note)}</p>" for note in notes)
        + "</body></html>"
    )
    write_file(out / "tables.html", page)


def chosen(names: str | None) -> tuple[Row, ...]:
    """The rows with these names, separated by commas; all if None. Raises ValueError that names what is known."""
    if names is None:
        return ROWS
    wanted = [name.strip() for name in names.split(",")]
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"{', '.join(unknown)}: unknown; allowed: {', '.join(known)}")
    return tuple(known[name] for name in wanted)
