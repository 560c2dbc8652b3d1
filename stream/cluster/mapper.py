"""Batch work on a Ray cluster: each call is a Ray task on one core, and runs again if its machine is lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

from configs.mapping import Item, Lost, MapperError, Result
from stream.base.errors import UsageError
from stream.cluster.ray_connection import connect

_TRIES_AGAIN: Final = 3
_core: list[socket.socket] = []  # the claim of this process, until it ends


@dataclass(frozen=True)
class _Caller:
    version: str
    folder: Path
    pinned: bool


class RayMapper:
    """See `configs.mapping.Mapper`. Ray is connected. `gpus`: the share of a GPU that each call needs."""

    def __init__(self, gpus: float) -> None:
        self._gpus = gpus

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Lost]]:
        call = ray.remote(_call).options(num_cpus=1, num_gpus=self._gpus, max_retries=_TRIES_AGAIN)
        here = _Caller(metadata.version("mgfn-stream"), Path.cwd(), pinned=not self._gpus)
        waiting = {call.remote(here, work, item): item for item in items}
        while waiting:
            (done,), _ = ray.wait(list(waiting))
            yield waiting.pop(done), _result(done)


def _result(done: Any) -> Any:
    try:
        return ray.get(done)
    except RayTaskError as error:
        if isinstance(error.cause, ModuleNotFoundError):
            raise MapperError(f"--cluster: a machine of it lacks a package: {error.cause}") from None
        raise error.cause from None
    except RayError as error:
        return Lost(f"lost {_TRIES_AGAIN + 1} times: {type(error).__name__}")


def _call(caller: _Caller, work: Callable[[Any], Any], item: Any) -> Any:
    """The task, in a process of Ray."""
    if (installed := metadata.version("mgfn-stream")) != caller.version:
        raise MapperError(
            f"--cluster: {socket.gethostname()} runs mgfn-stream {installed}, but this machine {caller.version}; "
            "install the same version on all"
        )
    with suppress(OSError):  # relative paths mean the same as there
        os.chdir(caller.folder)
    if caller.pinned:
        _take_core()
    return work(item)


def _take_core() -> None:
    """Keep this process to a core that no other one has taken: engines start a thread for each core that they see."""
    if _core:
        return
    for core in sorted(os.sched_getaffinity(0), reverse=True):
        claim = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            claim.bind(f"\0mgfn-batch-core-{core}")  # the kernel frees the name when the process ends
            os.sched_setaffinity(0, {core})
            _core.append(claim)
            return
        claim.close()


@contextmanager
def open_mapper(address: str, gpus: float) -> Iterator[RayMapper]:
    """The entry point. Raises MapperError if the cluster cannot be used.

    Nothing else may write to standard output meanwhile: it is where Ray says at length that a machine was lost, and no
    setting of Ray prevents it.
    """
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            connect(address)
        except UsageError as error:
            raise MapperError(str(error)) from None
        try:
            if gpus and not ray.cluster_resources().get("GPU"):
                raise MapperError(f"--device: the cluster {address} has no GPU")
            yield RayMapper(gpus)
        finally:
            ray.shutdown()
