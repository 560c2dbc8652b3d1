"""Writes docs/benchmarks/bench.md from the JSON of a run: python -m benchmarks.bench_page docs/benchmarks/bench.json

The page contains only what the JSON contains. The plot must be in the same folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def page(found: dict[str, Any], name: str) -> Iterator[str]:
    about = found["machine"]
    yield "# How many cameras a machine can watch"
    yield f"```\n.venv/bin/mgfn-bench --json {name}.json\n```"
    packages = ", ".join(f"{package} {version}" for package, version in about["packages"].items())
    gpus = "".join(f", {gpu}" for gpu in about.get("gpus", ()))
    yield (
        f"{about['cpu']}, {about['cores']} cores ({about.get('int8', 'no INT8 instructions')}), "
        f"{about['memory_gib']} GiB{gpus}; {about['system']}, Python {about['python']}; {packages}. "
        f"{found['seconds']} s in total. All figures: [{name}.json]({name}.json)."
    )
    if about["load_before"] > 0.5:
        yield (
            f"**Other programs used this machine: its load was {about['load_before']} before the run.** Wall times "
            "and the number of cameras are therefore pessimistic; processor times are reliable."
        )
    yield "Backbone with batch 1, and head with a full window; medians:"
    clip, cpu, torch = found["backbone_clip_ms"], found["backbone_clip_cpu_ms"], found["backbone_clip_ms"].get("torch")
    rows = ["| engine | clip, ms | times as fast as PyTorch | processor time, ms | head, ms |", "|---|---|---|---|---|"]
    for engine, wall in sorted(clip.items(), key=lambda item: item[1]):
        ratio = f"{torch / wall:.1f}" if torch else ""
        head = found.get("head_window_ms", {}).get(engine)
        rows.append(
            f"| {engine} | {wall:.1f} | {ratio} | {cpu[engine]:.1f} | {'' if head is None else f'{head:.2f}'} |"
        )
    for engine, step in found.get("window_step_ms", {}).items():
        rows.append(f"| {engine}: encodes all 32 clips again at each step | {step:.0f} | | | |")
    yield "\n".join(rows)
    batches = [f"{engine} {', '.join(f'{n}: {r:g}' for n, r in rates.items())}"
               for engine, rates in found["clips_per_second"].items() if len(rates) > 1]  # fmt: skip
    yield f"Clips per second by batch size: {'; '.join(batches)}."
    if "backbones" in found:
        yield from backbones(found["backbones"])
    yield " ".join(
        f"Decoding {size}: {row['fps_per_core']:.0f} frames/s per core ({row['decode_ms']:.2f} ms to decode, "
        f"{row['scale_ms']:.2f} ms to scale)."
        for size, row in found.get("decode", {}).items()
    )
    if alone := found.get("one_camera_1280x720"):
        yield (
            f"One camera of 1280x720 at 25 frames/s: {alone['cpu_percent']['other']:.1f} % of a core without the "
            f"backbone, lag p50 {alone['lag_ms']['p50']:.0f} ms, p95 {alone['lag_ms']['p95']:.0f} ms."
        )
    if "cameras" in found:
        yield from cameras(found["cameras"], name)
    for note in found.get("notes", ()):
        yield f"- {note}"


def backbones(found: dict[str, Any]) -> Iterator[str]:
    yield (
        "Backbones compared, in PyTorch with random weights ([Video Swin-T](../design/video-swin.md) has the figures "
        "for OpenVINO, and says when to use it):"
    )
    rows = ["| backbone | channels | GFLOP per clip | ms | relative to i3d |", "|---|---|---|---|---|"]
    for name, row in found.items():
        ratio = row["torch_clip_ms"] / found["i3d"]["torch_clip_ms"]
        rows.append(f"| {name} | {row['channels']} | {row['gflop']:.1f} | {row['torch_clip_ms']:.0f} | {ratio:.1f} |")
    yield "\n".join(rows)


def cameras(found: dict[str, Any], name: str) -> Iterator[str]:
    yield f"**{found['held']} cameras held** (640x360, 25 frames/s, RTSP over TCP on loopback; {found['tried']} tried):"
    rows = [
        "| cameras | held | dropped | lag p50, ms | p95, ms | decoder, % of a core | without the backbone, % | "
        "RTSP servers, % | decoder, MiB | service, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["tries"]:
        lag, cpu, memory = row.get("lag_ms", {}), row.get("cpu_percent", {}), row.get("memory_mib", {})
        cells = [lag.get("p50"), lag.get("p95"), cpu.get("camera"), cpu.get("other"), cpu.get("servers")]
        cells += [memory.get("camera"), memory.get("service")]
        shown = " | ".join("" if cell is None else f"{cell:.1f}" for cell in cells)
        held = "yes" if row["held"] else row.get("note") or "no"
        rows.append(f"| {row['cameras']} | {held} | {row['dropped_clips']} | {shown} |")
    yield "\n".join(rows)
    yield f"![lag against the number of cameras]({name}.png)"


def main() -> None:
    source = Path(sys.argv[1])
    found = json.loads(source.read_text(encoding="utf-8"))
    source.with_suffix(".md").write_text("\n\n".join(page(found, source.stem)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
