"""A driver of the mapper, for its test: `python -m tests.stream.cluster.mapped ADDRESS FOLDER`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from configs.mapping import Lost, cluster_mapper
from tests.servers.processes import until

ITEMS = ("a", "b", "dies")


def work(item: tuple[str, Path]) -> int:
    """Leave a mark of each start, then wait until the folder holds `go`. One item ends its process each time."""
    name, folder = item
    (folder / f"{name}.{os.getpid()}").touch()
    until(lambda: (folder / "go").exists(), 120)
    if name == "dies":
        os._exit(1)
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    from tests.stream.cluster.mapped import work as named  # not of __main__, which other processes do not have

    items = [(name, Path(sys.argv[2])) for name in ITEMS]
    with cluster_mapper(sys.argv[1]) as mapper:
        results = {name: result for (name, _), result in mapper.map(named, items)}
    print(json.dumps({name: each.why if isinstance(each, Lost) else each for name, each in results.items()}))
