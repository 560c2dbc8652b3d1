"""The command line of `mgfn-eval hard-normal`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.atomic import replacing_folder
from mgfn.evaluation.videos import EvaluationError, read_list

if TYPE_CHECKING:  # torch takes seconds to import
    from mgfn.evaluation.hard_normal import HardNormal


def hard_normal(
    head: Annotated[Path, typer.Option(metavar="CKPT", help="Head: a checkpoint.")],
    listed: Annotated[
        Path, typer.Option("--list", metavar="FILE", help="Hard normal videos: ordinary life in scenes of incidents.")
    ],
    features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the listed files; default: as listed.")
    ] = None,
    ordinary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List of other ordinary videos, to compare with.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="F", help="Alarm threshold, 0 to 1; default: that of the checkpoint, or 0.5."),
    ] = None,
    fps: Annotated[float, typer.Option(metavar="F", help="Frame rate of the videos.")] = 25.0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="New or empty folder for the results.")] = None,
) -> None:
    """Count false alarms on ordinary videos of scenes that the training showed with an incident.

    A head that learned the scene alarms there. No ground truth is needed: no listed video contains an incident.

    Example: mgfn-eval hard-normal --head runs/ucf/best.safetensors --list ucf-hn.list --ordinary ucf-normal.list
    """
    from dataclasses import asdict

    from mgfn.checkpoint import load_head
    from mgfn.evaluation.hard_normal import hard_normal_figures
    from mgfn.evaluation.report import FIGURES, check_out, write_json
    from mgfn.evaluation.scoring import newest_scores, video_scores
    from mgfn.evaluation.tables import print_hard_normal
    from mgfn.evaluation.thresholds import alarm_threshold

    if not 1 <= fps <= 240:
        raise EvaluationError(f"--fps {fps}: must be from 1 to 240")
    if out is not None:
        check_out(out)
    network, texts = load_head(head)
    chosen, origin = alarm_threshold(threshold, head, texts)

    def figures(name: str, path: Path) -> HardNormal:
        arrays = [video.features() for video in read_list(path, features, network.config.channels)]
        whole, live = ([score(network, x) for x in arrays] for score in (video_scores, newest_scores))
        return hard_normal_figures(name, whole, live, chosen, fps)

    columns = [figures("hard normal", listed)]
    if ordinary is not None:
        columns.append(figures("ordinary", ordinary))
    print_hard_normal(columns, f"threshold {chosen:g} ({origin}), {fps:g} frames per second")
    if out is not None:
        with replacing_folder(out) as folder:
            settings = {"head": str(head), "threshold": chosen, "threshold_from": origin, "frames_per_second": fps}
            write_json(folder / FIGURES, settings | {"lists": [asdict(column) for column in columns]})
