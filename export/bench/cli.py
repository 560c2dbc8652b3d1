"""`mgfn-bench`: measures how many cameras this machine can watch."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from configs.command import Terminated, run_command
from configs.console import plain_console
from configs.sizes import CLIP_LENGTH

if TYPE_CHECKING:
    from export.bench.cameras import Scenes, Try

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

# In seconds, from the start: engines are measured until the first, cameras tried until the second.
_ENGINES_UNTIL: Final = 240.0
_CAMERAS_UNTIL: Final = 430.0
_START_AND_STOP: Final = 22.0
_ALONE: Final = 10.0
_MOST_CAMERAS: Final = 512
_SECONDS: Final = (5.0, 60.0)
_EXTRAS: Final = {"psutil": "export", "aio_rtsp_toolkit": "demo"}


class BenchError(Exception):
    """The benchmark cannot start or continue; the message is one line."""


@app.command()
def bench(
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures to FILE, and a plot beside it (.png).")
    ] = None,
    cameras: Annotated[
        int | None,
        typer.Option(metavar="N", help="Try at most N cameras; default: until the machine cannot keep up."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Seconds to measure each number of cameras, 5 to 60.")
    ] = 15,
    quiet: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of cameras in front of a still, noisy scene, 0 to 1.")
    ] = 0.0,
    eco: Annotated[bool, typer.Option("--eco", help="Decode only keyframes of a camera while nothing moves.")] = False,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Bundle to measure; default: the default bundle.")
    ] = None,
    only: Annotated[
        Literal["cameras", "engines"] | None, typer.Option(help="Measure only this; default: both.")
    ] = None,
    gpu_check: Annotated[
        bool, typer.Option("--gpu-check", help="Measure the NVIDIA GPU of this machine instead; downloads nothing.")
    ] = False,
    gpu_wheels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --gpu-check: a folder with a wheel of onnxruntime-gpu.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --gpu-check: run its steps on the CPU; no figure is one of a GPU.")
    ] = False,
) -> None:
    """Measure engines, decoding, and how many RTSP cameras this machine can watch.

    Cameras count as watched if no clip is dropped, and 95 % of the scores arrive within half a second of the last frame
    of their clip. Takes up to eight minutes. Run it on an otherwise idle machine.

    Example: mgfn-bench --json bench.json --quiet 0.9
    """
    if cameras is not None and not 1 <= cameras <= _MOST_CAMERAS:
        raise BenchError(f"--cameras {cameras}: must be from 1 to {_MOST_CAMERAS}")
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        raise BenchError(f"--seconds {seconds:g}: must be from {_SECONDS[0]:g} to {_SECONDS[1]:g}")
    if not 0 <= quiet <= 1:
        raise BenchError(f"--quiet {quiet:g}: must be from 0 to 1")
    if eco and not quiet:
        raise BenchError("--eco: needs --quiet: where something moves, everything is decoded")
    if bundle is not None and not (bundle / "manifest.json").is_file():
        raise BenchError(f"--bundle {bundle}: must be a bundle, a folder with a manifest.json")
    for package, extra in _EXTRAS.items():
        if find_spec(package) is None:
            raise BenchError(f"needs {package}, which is not installed; run: pip install 'mgfn-stream[{extra}]'")
    if json is not None and (json.is_dir() or not json.parent.is_dir()):
        why = "it is a folder" if json.is_dir() else f"there is no folder {json.parent}"
        raise BenchError(f"--json {json}: cannot be written: {why}")

    if gpu_check:
        _gpu_check(bundle, gpu_wheels, json, seconds, dry=dry_run)
        return
    if gpu_wheels is not None or dry_run:
        raise BenchError(f"{'--dry-run' if dry_run else '--gpu-wheels'}: needs --gpu-check")

    from configs.processes import ChildError
    from engine.bundle import Bundle
    from export.bench import decode, engines, footage, machine, report
    from export.bench.cameras import Scenes, attempt

    began = time.monotonic()
    console, out = plain_console(stderr=True), plain_console(width=None if plain_console().is_terminal else 160)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    about: dict[str, Any] = {}
    decoding: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    alone: Try | None = None
    tries: list[Try] = []

    def tell(plotted: bool) -> None:
        found = report.summary(about, rows, decoding, alone, tries, notes)
        found["seconds"] = round(time.monotonic() - began)
        report.show(out, found)
        if json is not None:
            for path in report.write(found, json, plotted):
                console.print(f"written: {path}", soft_wrap=True)

    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("looking at the machine")

            def say(text: str) -> None:
                progress.update(task, description=text)
                if not console.is_terminal:
                    console.print(f"{time.monotonic() - began:5.0f} s  {text}")

            about |= machine.describe()
            say("the bundle")
            opened = Bundle.open(bundle or _default_bundle())
            if only != "engines":
                say("footage")
                videos = {f"{w}x{h}": footage.as_a_camera((w, h)) for w, h in (footage.SUBSTREAM, footage.MAINSTREAM)}
                still = footage.as_a_camera(footage.SUBSTREAM, quiet=True) if quiet else None
                say("decoding")
                decoding |= {size: decode.measure(video, opened.manifest.geometry) for size, video in videos.items()}
            engine_deadline = began + (_CAMERAS_UNTIL if only == "engines" else _ENGINES_UNTIL)
            engines.measure(
                opened, engine_deadline, lambda name: say(f"engine: {name}"), rows, notes,
                only_chosen=only == "cameras",
            )  # fmt: skip
            measured = [row for row in rows if "backbone_clip_ms" in row]
            if not measured:
                raise ChildError(f"no engine could be measured: {'; '.join(notes)}")
            if only != "engines":
                fastest = min(measured, key=lambda row: row["backbone_clip_ms"])
                small, large = videos.values()
                guess = _guess(fastest, decoding, machine.cores(), quiet)
                say("one camera of 1280x720")
                alone = attempt(1, Scenes(large), opened.path, _ALONE, fastest["backbone_clip_cpu_ms"])
                scenes = Scenes(small, still, quiet, eco)
                until = began + _CAMERAS_UNTIL
                for one, note in _tries(scenes, opened.path, fastest, guess, cameras, seconds, until, say):
                    tries += [] if one is None else [one]
                    notes += [note] if note else []
    except (KeyboardInterrupt, Terminated):
        if decoding:
            notes.append("interrupted by the user; the remaining measurements are missing")
            tell(plotted=False)  # loading matplotlib would take too long
        raise
    tell(plotted=True)


def _gpu_check(bundle: Path | None, wheels: Path | None, json: Path | None, seconds: float, *, dry: bool) -> None:
    from engine.backends import gpu_present

    if find_spec("torch") is None:
        raise BenchError("--gpu-check: needs PyTorch; run: pip install 'mgfn-stream[export]'")
    if not dry and not gpu_present():
        raise BenchError("--gpu-check: no NVIDIA GPU found; --dry-run goes through the steps on the CPU")
    if wheels is not None and not wheels.is_dir():
        raise BenchError(f"--gpu-wheels {wheels}: must be a folder")
    from export.bench import gpu_cameras, gpu_check

    console = plain_console(stderr=True)
    found = gpu_check.check(
        bundle, wheels, gpu_cameras.search(1 if dry else None, seconds), lambda text: console.print(text), dry=dry
    )
    print(gpu_check.markdown(found))  # noqa: T201 -- the result
    for path in gpu_check.write(found, json) if json is not None else ():
        console.print(f"written: {path}", soft_wrap=True)


def _default_bundle() -> Path:
    """The default bundle, built if it is missing."""
    from configs.processes import child
    from engine.default_bundle import default_bundle_path, default_export
    from engine.manifest import MANIFEST

    path = default_bundle_path()
    if not (path / MANIFEST).is_file():
        if find_spec("torch") is None:
            raise BenchError("the default bundle must be built first; run: pip install 'mgfn-stream[export]'")
        command = [sys.executable, "-m", "export.cli", "--out", str(path), *default_export()[0]]
        with child(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            if process.wait():
                raise BenchError("the default bundle could not be built: see above")
    return path


def _guess(engine: dict[str, Any], decoding: dict[str, dict[str, Any]], cores: int, quiet: float) -> int:
    """An estimate of how many cameras fit, a share `quiet` of them quiet, from the cost of each on the fastest
    engine.
    """
    from export.bench.footage import FPS

    small = next(iter(decoding.values()))
    decoder = FPS * (small["decode_ms"] + small["scale_ms"]) / 1000
    computed = 1 - quiet * (1 - 1 / 16)  # the still gate computes one clip in 16
    backbone = computed * FPS / CLIP_LENGTH * engine["backbone_clip_ms"] / 1000
    if engine["device"] != "cpu":  # the engine does not use the cores
        return max(1, int(0.8 * min(1 / backbone, cores / decoder)))
    return max(1, int(0.8 / (backbone + decoder / cores)))


def _tries(
    scenes: Scenes,
    bundle: Path,
    engine: dict[str, Any],
    guess: int,
    most: int | None,
    seconds: float,
    deadline: float,
    say: Any,
) -> Any:
    """Yields the result for each number of cameras, with a note."""
    from export.bench.cameras import attempt
    from export.bench.search import next_count

    tried: dict[int, bool] = {}
    while (count := next_count(tried, guess, most)) is not None:
        if time.monotonic() + _START_AND_STOP + seconds > deadline:
            yield None, f"the search ran out of time; {count} cameras would have been next"
            return
        say(f"{count} cameras for {seconds:.0f} s")
        one: Try = attempt(count, scenes, bundle, seconds, engine["backbone_clip_cpu_ms"])
        tried[count] = one.held
        yield one, ""


def _exit_code(error: Exception) -> int | None:
    from configs.pinned import FetchError
    from configs.processes import ChildError
    from engine.errors import EngineError

    if isinstance(error, BenchError):
        return 2
    return 1 if isinstance(error, (ChildError, EngineError, FetchError, OSError)) else None


def main() -> NoReturn:
    """Entry point."""
    warnings.filterwarnings("ignore")
    run_command(app, _exit_code, program="mgfn-bench")


if __name__ == "__main__":
    main()
