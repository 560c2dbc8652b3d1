"""Exit codes of the project's commands: 0 done, 1 ran and failed, 2 wrong use; one line for each failure."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer
from typer.main import get_command

_USER_INFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@")
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_SHOWN_ALIKE: Final = 3
# words that distinguish problems of the same kind: paths, numbers, names of files and videos, values
_PARTICULAR: Final = re.compile(r"\S*[\d/_'.]\S*")


# the flag of the commands whose work can run on a cluster (configs/mapping.py)
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local",
        help="Run on the Ray cluster whose head is at HOST:PORT, or on one started here; needs [cluster].",
    ),
]


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like KeyboardInterrupt, so that `finally` blocks clean up."""


def _raise_terminated(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def called(program: str | None = None) -> str:
    """How this command was called, or another `program` beside it is, for advice that can be copied: by its name if
    the shell finds it by that.
    """
    folder, slash, own = sys.argv[0].rpartition("/")
    typed = f"{folder}{slash}{program or own}"
    given = Path(typed)
    if program is not None and not given.exists():
        return program
    found = shutil.which(given.name)
    by_name = found is not None and given.exists() and Path(found).samefile(given)
    return given.name if by_name else shlex.quote(typed)


def gathered(problems: Sequence[str]) -> list[str]:
    """The problems in order; of problems that differ only in names, places and values, the first few and a count."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(_PARTICULAR.sub("#", problem), []).append(problem)
    found = []
    for kind in alike.values():
        found += kind[:_SHOWN_ALIKE]
        if (more := len(kind) - _SHOWN_ALIKE) > 0:
            found[-1] += f" (and {more:,} more like it)"
    return found


def run_command(
    app: typer.Typer,
    exit_code_of: Callable[[Exception], int | None],
    *,
    stopping_is_success: bool = False,
    program: str | None = None,
    redact: Callable[[str], str] = lambda text: _USER_INFO.sub(r"\1***@", text),
) -> NoReturn:
    """Run `app`, and end the process with the project's exit codes.

    `exit_code_of` maps an exception to an exit code, or to None for a bug, whose traceback is then printed. An
    exception with a list `problems` gets one line for each of them, any other exception one line.

    SIGINT gives 130 and SIGTERM 143, or 0 for a command that runs until it is stopped. `program` is the name in
    messages; by default that of the executed file. `redact` removes secrets from error lines and tracebacks.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    program = program or Path(sys.argv[0]).name
    if sys.argv[1:] == ["--version"]:
        print(f"{program} {metadata.version('mgfn-stream')}")  # noqa: T201 -- the output
        sys.exit(0)
    try:
        code = get_command(app).main(prog_name=program, standalone_mode=False)
        if code == _INTERRUPTED and stopping_is_success:  # typer's result for Ctrl-C
            code = 0
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 0 if stopping_is_success else _INTERRUPTED
    except Terminated:
        code = 0 if stopping_is_success else _TERMINATED
    except Exception as error:  # noqa: BLE001 -- a bug is printed in full, and ends with 1
        if (signalled := _signalled(error)) is not None:
            sys.exit(0 if stopping_is_success else signalled)
        # A wrong flag raises typer's own error, which has an exit code and a message.
        message = getattr(error, "format_message", None)
        found = 2 if message else exit_code_of(error)
        if found is None:
            print(redact(traceback.format_exc()), end="", file=sys.stderr)  # noqa: T201 -- a bug, for the bug report
            sys.exit(1)
        problems: list[str] = getattr(error, "problems", [])  # a file may have several problems: one line each
        for problem in problems or [str(message() if message else error)]:
            # typer's own messages repeat what was given
            line = redact(" ".join(problem.split()))
            print(f"{program}: {line}", file=sys.stderr)  # noqa: T201 -- for the user
        code = found
    sys.exit(code or 0)


def _signalled(error: BaseException | None) -> int | None:
    """The exit code of a signal that led to the error: libraries turn it into errors of their own."""
    while error is not None:
        if isinstance(error, Terminated | KeyboardInterrupt):
            return _TERMINATED if isinstance(error, Terminated) else _INTERRUPTED
        error = error.__cause__ or error.__context__
    return None
