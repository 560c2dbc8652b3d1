"""The results of the benchmark as JSON, a curve and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from configs.atomic import replacing, write_file
from recipes.field.bench import Outcome

BEGIN: Final = "<!-- written by make field -->"
END: Final = "<!-- end of what make field writes -->"
_MODES: Final = {"settled": "settled, if it has a calm part", "new": "new camera"}


def write(results: Mapping[str, Any], folder: Path) -> None:
    """Write field.json, field.png, and the tables between the two marks in field.md. Both marks must exist."""
    write_file(folder / "field.json", (json.dumps(results, indent=1) + "\n").encode())
    _plot(results, folder / "field.png")
    page = folder / "field.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    write_file(page, f"{before}{BEGIN}\n\n{tables(results)}\n{END}{after}".encode())


def tables(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    measured, shipped = results["points"], results["with_shipped_prior"]
    return "\n".join(
        (
            "### Prior and threshold measured on the other sources\n",
            _points(measured),
            _kinds(measured),
            "### Shipped prior and threshold\n",
            _points(shipped),
            _kinds(shipped),
            _false(results["false_alarms_with_shipped_prior"]),
            "### Parts of the head, other budgets, and false alarms, with the measured prior\n",
            _parts(results),
            _curve(results),
            _false(results["false_alarms"]),
            "### Verdicts\n",
            _verdicts(results["verdicts"]),
        )
    )


def _points(points: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| budget per day | camera | violent found | all found | median delay of violent incidents found | "
        "false alarms | ordinary minutes | false alarms per hour, 95 % upper bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for point in points:
        found, false = point["found"], point["false"]
        lines.append(
            f"| {point['budget']:g} | {_MODES[point['camera']]} | {_share(found['violent'])} | "
            f"{_share(found['all'])} | "
            f"{_seconds(point['delay_s']['violent_found'])} ({point['delay_s']['violent_missed']} missed) | "
            f"{false['count']} | {false['minutes']} | {false['an_hour_at_most']} |"
        )
    return "\n".join([*lines, ""])


def _kinds(points: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in points[0]["found"] if points[0]["found"][name]["of"]]
    heads = [f"{point['budget']:g} per day, {point['camera']}" for point in points]
    lines = ["| found | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in names:
        cells = [f"{p['found'][name]['found']} of {p['found'][name]['of']}" for p in points if name in p["found"]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _parts(results: Mapping[str, Any]) -> str:
    lines = [
        "| head, at 24 per day | AUC violent, all | settled: violent, all, false | new: violent, all, false |",
        "|---|---|---|---|",
    ]
    lines += [part_row(part) for part in results["parts"]]
    return "\n".join([*lines, ""])


def part_row(part: Mapping[str, Any]) -> str:
    """A row of the table of parts."""
    cells = [
        f"{part[mode]['found']['violent']['found']}, {part[mode]['found']['all']['found']}, "
        f"{part[mode]['false']['count']}"
        for mode in ("settled", "new")
    ]
    auc = part["auc"]
    return f"| {part['name']} | {auc['violent']:.3f}, {auc['all']:.3f} | {cells[0]} | {cells[1]} |"


def _curve(results: Mapping[str, Any]) -> str:
    lines = ["| budget per day | settled: violent, all, false | new: violent, all, false |", "|---|---|---|"]
    curves = results["curve"]
    for settled, new in zip(curves["settled"], curves["new"], strict=True):
        cells = [
            f"{p['found']['violent']['found']}, {p['found']['all']['found']}, {p['false']['count']}"
            for p in (settled, new)
        ]
        lines.append(f"| {settled['budget']:g} | {cells[0]} | {cells[1]} |")
    return "\n".join([*lines, ""])


def _false(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| false alarm in | time, s | z, threshold | camera | budgets per day |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['recording']} | {row['at']:.1f} | {row['z']:.1f}, {row['threshold']:.1f} | {row['camera']} | "
        f"{', '.join(f'{budget:g}' for budget in row['budgets'])} |"
        for row in rows
    ]
    return "\n".join([*lines, ""])


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| budget per day | verdicts | counted | without them | with them |", "|---|---|---|---|---|"]
    for row in rows:
        for question, counted in (
            ("ordinary", "false alarms in the second half"),
            ("incidents", "incidents found, alarms before them marked as false"),
            ("incidents_loudest", "incidents found, the loudest clip before them marked as well"),
            ("true", "second halves of incidents that ring, alarms in the first marked as true"),
        ):
            of = f", of {row[question]['of']}" if "of" in row[question] else ""
            lines.append(
                f"| {row['budget']:g} | {row[question]['judged']} | {counted}{of} | {row[question]['without']} | "
                f"{row[question]['with']} |"
            )
    return "\n".join([*lines, ""])


def false_alarms(found: Mapping[tuple[str, float], Sequence[Outcome]]) -> list[dict[str, Any]]:
    """Each false alarm once per kind of camera, with the budgets at which it is raised."""
    rows: dict[tuple[str, str, float], dict[str, Any]] = {}
    for (camera, budget), outcomes in sorted(found.items(), key=lambda item: (item[0][0], -item[0][1])):
        for outcome in outcomes:
            for at in outcome.verdict.false_at:
                near = abs(outcome.watched.times - at) < 10
                row = rows.setdefault(
                    (camera, outcome.recording.name, round(at)),
                    {
                        "camera": camera, "recording": outcome.recording.name, "at": round(at, 1),
                        "z": round(float(outcome.watched.z[near].max()), 2),
                        "threshold": round(outcome.watched.threshold, 2), "budgets": [],
                    },
                )  # fmt: skip
                row["budgets"].append(budget)
    return sorted(rows.values(), key=lambda row: (row["camera"], row["recording"], row["at"]))


def _share(share: Mapping[str, Any]) -> str:
    return f"{share['found']} of {share['of']} ({share['low']:.2f} to {share['high']:.2f})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _plot(results: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    for axis, (mode, title) in zip(axes, _MODES.items(), strict=True):
        points = results["curve"][mode]
        x = [point["false"]["an_hour"] for point in points]
        for name, colour in (("violent", "tab:red"), ("all", "tab:blue")):
            shares = [point["found"][name] for point in points]
            y = [share["found"] / share["of"] for share in shares]
            axis.plot(x, y, marker="o", markersize=3, color=colour, label=f"{name} ({shares[0]['of']})")
            low, high = [share["low"] for share in shares], [share["high"] for share in shares]
            axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        minutes = points[0]["false"]["minutes"]
        axis.set(title=title, xlabel=f"false alarms per hour, counted in {minutes} min", ylim=(0, 1), xlim=(0, 30))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of incidents found")
    axes[0].legend(loc="lower right")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
    pyplot.close(figure)
