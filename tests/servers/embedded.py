"""The embedded broker in its own process, without the service."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from stream.sinks.embedded_broker import free_port, run_broker


@contextmanager
def embedded_broker() -> Iterator[int]:
    """Its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    port = free_port(20000)
    process = context.Process(target=run_broker, args=(port, theirs))
    process.start()
    theirs.close()
    assert ours.poll(20)
    assert ours.recv() is True
    try:
        yield port
    finally:
        ours.close()  # that is what ends it
        process.join(10)
        assert process.exitcode == 0
