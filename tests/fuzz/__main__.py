"""Fuzz with Atheris: `python -m tests.fuzz [--seconds N] [--corpus DIR] [TARGET ...]`.

Each target gets N seconds. Exit code 1 at the first input that breaks a target; the input is printed. `--corpus` keeps
inputs that reached new code, to go on from there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stream", "engine", "configs", "tests"]):
    from tests.fuzz.targets import TARGETS


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    target, seeds = TARGETS[name]
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={corpus}/failed-", str(corpus)], target)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := sorted(set(given.targets) - TARGETS.keys()):
        parser.error(f"{', '.join(unknown)}: no such target; allowed: {', '.join(TARGETS)}")
    if given.here:
        fuzz(given.targets[0], given.seconds, given.corpus)
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.targets or TARGETS:
            corpus = (given.corpus or Path(scratch)) / name.replace(" ", "-")
            corpus.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "tests.fuzz", name, "--here"]
            command += ["--seconds", str(given.seconds), "--corpus", str(corpus)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                broken = next(corpus.glob("failed-*"), None)
                shown = "" if broken is None else f"\ninput: {broken.read_bytes()!r}"
                sys.exit(f"{done.stdout}{done.stderr}\n{name}: broken{shown}")
            print(f"{name}: held for {given.seconds} s")


if __name__ == "__main__":
    main()
