"""The figures as a table, as JSON, and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.atomic import write_file
from export.bench.cameras import LAG_LIMIT_MS, Try


def summary(
    machine: dict[str, Any],
    engines: Sequence[dict[str, Any]],
    decoding: dict[str, dict[str, Any]],
    alone: Try | None,
    tries: Sequence[Try],
    notes: Sequence[str],
) -> dict[str, Any]:
    """One JSON object; what was not measured is omitted.

    `decoding` is keyed by image size, the sub-stream first; `alone` is one camera of 1280x720, None if it was not
    tried.
    """
    out: dict[str, Any] = {
        "machine": machine,
        "backbone_clip_ms": _column(engines, "backbone_clip_ms"),
        "backbone_clip_cpu_ms": _column(engines, "backbone_clip_cpu_ms"),
        "clips_per_second": _column(engines, "clips_per_second"),
        "head_window_ms": _column(engines, "head_window_ms"),
        "window_step_ms": _column(engines, "window_step_ms"),
        "backbones": next((engine["backbones"] for engine in engines if "backbones" in engine), {}),
    }
    if decoding:
        out["decode_fps_per_core"] = next(iter(decoding.values()))["fps_per_core"]
        out["decode"] = decoding
    if alone is not None and alone.clips:
        out["one_camera_1280x720"] = alone.plain()
    if tries:
        out["cameras"] = _cameras(tries)
    if notes:
        out["notes"] = list(notes)
    return {key: value for key, value in out.items() if value != {}}


def _column(engines: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    return {engine["name"]: engine[key] for engine in engines if key in engine}


def _cameras(tries: Sequence[Try]) -> dict[str, Any]:
    held = max((one for one in tries if one.held), key=lambda one: one.cameras, default=None)
    shown = held or min(tries, key=lambda one: one.cameras)
    return {
        "tried": max(one.cameras for one in tries),
        "held": held.cameras if held else 0,
        "quiet": shown.quiet,
        "eco": shown.eco,
        "dropped_clips": shown.dropped_clips,
        "lag_ms": {key: shown.lag_ms[key] for key in ("p50", "p95") if key in shown.lag_ms},
        "cpu_percent": shown.cpu_percent,
        "memory_mib": shown.memory_mib,
        "tries": [one.plain() for one in sorted(tries, key=lambda one: one.cameras)],
    }


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the result of `summary`."""
    about = found["machine"]
    gpus = f", {', '.join(about['gpus'])}" if "gpus" in about else ""
    console.print(f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB{gpus}", highlight=False)
    console.print(_engines(found))
    if "backbones" in found:
        console.print(_backbones(found["backbones"]))
    for size, row in found.get("decode", {}).items():
        console.print(
            f"decoding {size}: {row['fps_per_core']:.0f} frames/s on a core "
            f"({row['decode_ms']:.2f} ms to decode, {row['scale_ms']:.2f} ms to scale)",
            highlight=False,
        )
    if alone := found.get("one_camera_1280x720"):
        cpu, lag = alone["cpu_percent"], alone["lag_ms"]
        console.print(
            f"one camera of 1280x720 at 25 frames/s: {cpu['other']:.1f} % of a core besides the backbone "
            f"(decoder {cpu['camera']:.1f}), lag p50 {lag['p50']:.0f} ms, p95 {lag['p95']:.0f} ms",
            highlight=False,
        )
    if "cameras" in found:
        console.print(_tries(found["cameras"]["tries"]))
        cameras = found["cameras"]
        quiet = f", {100 * cameras['quiet']:.0f} % quiet" if cameras["quiet"] else ""
        scenes = f"640x360, 25 frames/s{quiet}{', eco' if cameras['eco'] else ''}"
        console.print(f"[bold]{cameras['held']} cameras held[/bold] ({scenes}; {cameras['tried']} tried)", markup=True)
    for note in found.get("notes", ()):
        console.print(note, highlight=False, markup=False)


def _engines(found: dict[str, Any]) -> Table:
    table = Table(title="backbone and head, batch 1, medians")
    for column in ("engine", "clip, ms", "of torch", "cores used", "head, 32 clips, ms", "clips/s by batch size"):
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=column == "engine")
    clip_ms, cpu_ms = found.get("backbone_clip_ms", {}), found.get("backbone_clip_cpu_ms", {})
    for name, wall in sorted(clip_ms.items(), key=lambda item: item[1]):
        ratio = f"{clip_ms['torch'] / wall:.1f} x" if "torch" in clip_ms else ""
        head = found.get("head_window_ms", {}).get(name)
        rates = ", ".join(f"{size}: {rate:.1f}" for size, rate in found["clips_per_second"][name].items())
        table.add_row(
            name, f"{wall:.1f}", ratio, f"{cpu_ms[name] / wall:.1f}", "" if head is None else f"{head:.2f}", rates
        )
    for name, step in found.get("window_step_ms", {}).items():
        table.add_row(f"{name}: all 32 clips again at each step", f"{step:.0f}", "", "", "", "")
    return table


def _backbones(rows: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="backbones compared, PyTorch, random weights (see docs/design/video-swin.md)")
    for column in ("backbone", "channels", "GFLOP per clip", "ms", "of i3d"):
        table.add_column(column, justify="left" if column == "backbone" else "right", no_wrap=column == "backbone")
    for name, row in rows.items():
        ratio = row["torch_clip_ms"] / rows["i3d"]["torch_clip_ms"]
        cells = (str(row["channels"]), f"{row['gflop']:.1f}", f"{row['torch_clip_ms']:.0f}", f"{ratio:.1f} x")
        table.add_row(name, *cells)
    return table


def _tries(tries: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="cameras over RTSP, from a clip's last frame to its score at an MQTT subscriber")
    columns = (
        "cameras", "held", "dropped", "computed, %", "lag p50, ms", "p95, ms", "decoder, % of a core",
        "without backbone, %", "RTSP servers, %", "decoder, MiB", "service, MiB",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right")
    for row in tries:
        lag, cpu, memory = row.get("lag_ms", {}), row.get("cpu_percent", {}), row.get("memory_mib", {})
        cells = [
            100 * row.get("computed", 1.0),
            lag.get("p50"),
            lag.get("p95"),
            cpu.get("camera"),
            cpu.get("other"),
            cpu.get("servers"),
        ]
        cells += [memory.get("camera"), memory.get("service")]
        held = "yes" if row["held"] else row.get("note") or "no"
        shown = ["" if cell is None else f"{cell:.1f}" for cell in cells]
        table.add_row(str(row["cameras"]), held, str(row["dropped_clips"]), *shown)
    return table


def write(found: dict[str, Any], target: Path, plotted: bool = True) -> list[Path]:
    """Write the JSON, and if `plotted` its plot beside it, if matplotlib is installed and there is data."""
    write_file(target, json.dumps(found, indent=1) + "\n")
    written = [target]
    tries = [row for row in found.get("cameras", {}).get("tries", ()) if "lag_ms" in row]
    if plotted and tries and find_spec("matplotlib"):
        written.append(_plot(tries, target.with_suffix(".png")))
    return written


def _plot(tries: Sequence[dict[str, Any]], target: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    counts = [row["cameras"] for row in tries]
    for percentile, style in (("p50", "o-"), ("p95", "s-")):
        axes.plot(counts, [row["lag_ms"][percentile] for row in tries], style, label=percentile)
    for row in tries:
        if row["dropped_clips"]:
            axes.annotate(f"{row['dropped_clips']} dropped", (row["cameras"], row["lag_ms"]["p95"]), fontsize=8)
    axes.axhline(LAG_LIMIT_MS, color="grey", linestyle=":", label="limit for p95")
    axes.set(xlabel="cameras", ylabel="ms from a clip's last frame to its score", ylim=(0, None))
    axes.legend()
    figure.savefig(target, dpi=120)
    return target
