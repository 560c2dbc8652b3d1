"""`mgfn-extract`: extracts features from videos."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from configs.command import Cluster, run_command

_GPU_SHARE: Final = 0.25  # one video at a time does not occupy a GPU

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def extract(
    inputs: Annotated[list[str], typer.Argument(metavar="VIDEO_OR_DIR", help="Video files, or folders of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the features; an existing one is resumed.")],
    crops: Annotated[
        int | None,
        typer.Option(metavar="1|10", help="1: as in live watching; 10: as published; default: that of the bundle."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="i3d (default), i3d-r50, videoswin-t or videoswin-b; built on first use."),
    ] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Weights of that backbone, as for mgfn-export.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model bundle, with or without a head, instead of --backbone.")
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="auto (the fastest one), openvino, onnxruntime or torch.")
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda[:N], gpu or npu.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Number of decoder processes; default: half of the cores.")
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", help="Crops per batch of the backbone; use 32 or more on a GPU.")
    ] = 4,
    cluster: Cluster = None,
) -> None:
    """Extract features for training and evaluation: one NAME.npy per video, float32 (clips, crops, channels).

    Example: mgfn-extract UCF-Crime/videos --out features --crops 10
    """
    # imported here because the engine and FFmpeg load slowly, and --help should be instant
    from rich.console import Console

    from configs.mapping import cluster_mapper
    from engine.default_bundle import DEFAULT_BACKBONE
    from stream.base.errors import UsageError
    from stream.extract.extraction import Extraction, ExtractionSettings
    from stream.extract.folder import FeatureFolder
    from stream.extract.model import Model
    from stream.extract.on_cluster import ClusterExtraction, opened_by
    from stream.extract.progress import ExtractionProgress
    from stream.extract.videos import find_videos
    from stream.settings.bundle import cached_bundle, check_device

    if crops not in (None, 1, 10):
        raise UsageError(f"--crops {crops}: must be 1 or 10")
    for flag, number in (("--workers", workers), ("--batch", batch)):
        if number is not None and number < 1:
            raise UsageError(f"{flag} {number}: must be 1 or more")
    if bundle is not None and (backbone is not None or backbone_weights is not None):
        raise UsageError("--bundle: contains a backbone and its weights; do not use --backbone or --backbone-weights")
    check_device(device)
    if cluster is not None:
        device = _device_of_tasks(device, workers)
    videos = find_videos(inputs)
    with ExitStack() as stack:
        mapper = None
        if cluster is not None:
            mapper = stack.enter_context(cluster_mapper(cluster, _GPU_SHARE if device == "cuda" else 0.0))
        path = bundle if bundle is not None else cached_bundle(backbone or DEFAULT_BACKBONE, backbone_weights)
        model = Model(path, backend, device, crops)
        console = Console(stderr=True, markup=False, emoji=False)
        say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        if mapper is None:
            engine = stack.enter_context(model.open())
            record, reason = model.record(engine), engine.reason
        else:
            opened = opened_by(mapper, model)
            record, reason = opened.record, opened.reason
        folder = stack.enter_context(FeatureFolder.claimed(out, record))
        missing = [video for video in videos if not folder.holds(video.name)]
        say(
            f"{record.backbone} on {record.engine} ({reason}), geometry {record.geometry}: "
            f"{len(missing)} videos to extract, {len(videos) - len(missing)} already extracted"
        )
        for video in missing:
            if folder.file(video.name).exists():
                say(f"{video.name}.npy is incomplete or has a different shape: extracting it again")
        progress = stack.enter_context(ExtractionProgress(len(missing), sum(video.bytes for video in missing), console))
        extraction: Extraction | ClusterExtraction
        if mapper is None:
            settings = ExtractionSettings(record.geometry, workers or _default_workers(), batch)
            extraction = Extraction(engine, settings, folder, progress)
        else:
            extraction = ClusterExtraction(mapper, model, record, batch, folder, progress)
        failed = extraction.run(missing)
    say(f"{progress.clips} clips of {len(missing) - len(failed)} videos written to {out}")
    if extraction.damaged:
        shown = f"{len(extraction.damaged)} of {len(videos)} videos are damaged or truncated"
        say(f"{shown}; their features cover what could be read:")
        for video, why in extraction.damaged:
            say(f"  {video.path}: {why}")
    if failed:
        say(f"{len(failed)} of {len(videos)} videos failed:")
        for video, problem in failed:
            say(f"  {video.path}: {problem}")
        raise typer.Exit(1)


def _device_of_tasks(device: str, workers: int | None) -> str:
    """Where the tasks of a cluster run the backbone. Raises UsageError for flags that mean something on one machine."""
    from stream.base.errors import UsageError

    if workers is not None:
        raise UsageError("--workers: not with --cluster, where each core extracts a video")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device}: with --cluster it must be auto, cpu or cuda")
    return "cpu" if device == "auto" else device


def _default_workers() -> int:
    # the engine needs the other half
    return min(8, max(1, (os.cpu_count() or 1) // 2))


def _exit_code(error: Exception) -> int | None:
    from configs.mapping import MapperError
    from engine.errors import EngineError
    from stream.base.errors import StreamError, UsageError

    if isinstance(error, (UsageError, EngineError, MapperError)):
        return 2
    return 1 if isinstance(error, (StreamError, OSError)) else None


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code)


if __name__ == "__main__":
    main()
