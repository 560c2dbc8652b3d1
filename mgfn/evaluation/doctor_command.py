"""The command line of `mgfn-eval doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from configs.console import plain_console
from mgfn.evaluation.videos import EvaluationError


def doctor(
    features: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the listed feature files.")],
    listed: Annotated[Path, typer.Option("--list", metavar="FILE", help="List of the test videos.")],
    ground_truth: Annotated[
        Path, typer.Option(metavar="FILE", help="Labels of all frames (.npy) or intervals (.json).")
    ],
    train_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List of the training videos, to find test videos in it.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Statistics of features that are known to be right.")
    ] = None,
    save_reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the statistics of these features.")
    ] = None,
) -> None:
    """Check features, lists and ground truth before a figure is believed. Exit code 1 if there is a problem.

    Example: mgfn-eval doctor --features UCF_Test_ten_crop_i3d --list ucf-i3d-test.list --ground-truth gt-ucf.json
    """
    from configs.atomic import write_file
    from mgfn.evaluation.doctor import examine, read_reference, reference_text

    if not features.is_dir():
        raise EvaluationError(f"--features {features}: no such folder")
    known = None if reference is None else read_reference(reference)
    findings, statistics = examine(listed, features, ground_truth, train_list, known)
    console = plain_console()
    for finding in findings:
        console.print(f"{finding.state:<12}  {finding.check}: {finding.said}", soft_wrap=True)
        if finding.next_step:
            console.print(f"{'':<12}  next: {finding.next_step}", soft_wrap=True)
    if save_reference is not None:
        if statistics is None:
            raise EvaluationError(f"--save-reference {save_reference}: no listed file can be read")
        write_file(save_reference, reference_text(statistics))
        console.print(f"{'':<12}  statistics written to {save_reference}", soft_wrap=True)
    problems = sum(finding.state == "problem" for finding in findings)
    console.print("no problems found" if not problems else f"{problems} problems", soft_wrap=True)
    if problems:
        raise typer.Exit(1)
