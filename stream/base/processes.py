"""What those who need a process ask the service for: it alone starts any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

# Starts `target(*args, pipe)` under a name; gives the process and the other end of its pipe.
StartProcess = Callable[[Callable[..., None], Sequence[Any], str], tuple[SpawnProcess, Connection]]
