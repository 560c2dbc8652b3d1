"""Figures of `mgfn-eval` as tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean, median

from rich.table import Table

from configs.console import plain_console
from mgfn.evaluation.hard_normal import HardNormal
from mgfn.evaluation.live import LiveFigures
from mgfn.evaluation.report import NAMES, Benchmark, shown


def print_benchmark(benchmark: Benchmark) -> None:
    """Figures with their intervals, then AUC by class."""
    measures = asdict(benchmark.measures)
    rows = []
    for name in benchmark.headline():
        interval = benchmark.intervals[name]
        rows.append((NAMES[name], shown(measures[name]), f"{shown(interval.low)} to {shown(interval.high)}"))
    _print(f"{benchmark.protocol.value}, {len(benchmark.videos)} videos", ("", "value", "95 % (over videos)"), rows)
    classes = [(c.name, str(c.videos), shown(c.alone), shown(c.with_normal)) for c in benchmark.classes]
    if classes:
        _print("AUC by class", ("class", "videos", "alone", "with all normal videos"), classes)


def print_live(figures: Sequence[LiveFigures], title: str) -> None:
    """One column for each look-ahead."""
    lines = {
        "AUC": [shown(f.auc) for f in figures],
        "average precision": [shown(f.average_precision) for f in figures],
        "latency-aware AP": [shown(f.latency_aware_ap) for f in figures],
        "incidents found": [f"{f.found} of {f.incidents}" for f in figures],
        "delay, median, s": [shown(median(f.delays), 2) if f.delays else "–" for f in figures],
        "delay, mean, s": [shown(mean(f.delays), 2) if f.delays else "–" for f in figures],
        "false alarms": [f"{f.false_alarms} in {f.ordinary_hours:.3g} h" for f in figures],
        "false alarms per hour": [shown(f.false_alarms_an_hour, 2) for f in figures],
        "  95 % upper bound": [shown(f.false_alarms_an_hour_bound, 2) for f in figures],
        "false alarms per camera-day": [shown(f.false_alarms_a_day, 1) for f in figures],
        "  95 % upper bound ": [shown(f.false_alarms_a_day_bound, 1) for f in figures],
        "F1, alarm within 10 s": [shown(f.f1_within_ten_seconds) for f in figures],
        "ordinary time in alarm": [shown(f.time_in_alarm) for f in figures],
    }
    head = ("look-ahead, clips", *(str(f.look_ahead) for f in figures))
    _print(title, head, [(name, *cells) for name, cells in lines.items()])


def print_hard_normal(columns: Sequence[HardNormal], title: str) -> None:
    """One column for each list of videos."""
    lines = {
        "videos": [str(c.videos) for c in columns],
        "frames at or above 0.5": [shown(c.false_alarm_rate) for c in columns],
        "videos with a false alarm": [f"{c.videos_in_alarm} of {c.videos}" for c in columns],
        "false alarms": [f"{c.false_alarms} in {c.hours:.3g} h" for c in columns],
        "false alarms per camera-day": [shown(c.false_alarms_a_day, 1) for c in columns],
        "  95 % upper bound": [shown(c.false_alarms_a_day_bound, 1) for c in columns],
    }
    _print(title, ("", *(c.name for c in columns)), [(name, *cells) for name, cells in lines.items()])


def _print(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    plain_console().print(table)
