"""Independent calls of one function, spread over processes or machines: what the batch commands run on.

The mapper of a cluster comes from a package entry point, so that no command imports a cluster's library.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Protocol, TypeVar

ENTRY_POINTS: Final = "mgfn.mappers"
CLUSTER: Final = "ray"

Item = TypeVar("Item")
Result = TypeVar("Result")


class MapperError(Exception):
    """The calls cannot be spread as requested; the message is one line for the user."""


@dataclass(frozen=True)
class Lost:
    """Stands for the result of a call whose process was lost each time that it ran; `why` is one line."""

    why: str


class Mapper(Protocol):
    """Runs independent calls beside each other, one on each core that it has."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Lost]]:
        """`work` of every item, in the order in which the calls end; an exception of `work` is raised.

        `work` is a function of a module, and everything can be pickled. A call may run more than once: after its
        process was lost, and in rare cases while the first one still runs.
        """
        ...


class Processes:
    """The mapper of one machine: so many processes; with one, the calls run in this process."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Lost]]:
        if self._processes == 1 or len(items) <= 1:
            for item in items:
                yield item, work(item)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self._processes, len(items)), mp_context=context) as pool:
            waiting = {pool.submit(work, item): item for item in items}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def cluster_mapper(address: str, gpus: float = 0.0) -> AbstractContextManager[Mapper]:
    """The mapper of the cluster at `address`, HOST:PORT, or of one that is started on this machine ("local").

    Args:
        gpus: the share of a GPU that each call needs.

    Raises MapperError if the cluster's library is not installed, and on entry if the cluster cannot be used.
    """
    points = metadata.entry_points(group=ENTRY_POINTS, name=CLUSTER)
    try:
        opened = next(point.load() for point in points)
    except (StopIteration, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != CLUSTER:
            raise
        raise MapperError("--cluster: Ray is not installed; run: pip install 'mgfn-stream[cluster]'") from None
    mapper: AbstractContextManager[Mapper] = opened(address, gpus)
    return mapper
