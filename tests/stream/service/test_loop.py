"""The main loop's own decisions."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.errors import BackendError
from stream.base.errors import StreamError
from stream.camera.messages import ClipReady
from stream.cli.mgfn_stream import _exit_code
from stream.service.build import Parts
from stream.service.loop import MainLoop
from stream.service.supervisor import Supervisor
from stream.service.threads import Threads


def test_an_engine_that_fails_while_it_scores_ends_the_service_with_1() -> None:
    def broken(*_: Any) -> None:
        raise BackendError("CUDA error: device-side assert triggered")

    camera = SimpleNamespace(pending_clips=deque([ClipReady(0, 0, 0.0, 0.64, 0.0, 0)]))
    engine = SimpleNamespace(backend=SimpleNamespace(batch=1))
    parts = SimpleNamespace(
        decoders=[camera],
        custody=None,
        engine=engine,
        settings=SimpleNamespace(replay=False),
        scorer=SimpleNamespace(score=broken, check=lambda _decoders: None),
        intake=SimpleNamespace(receive=lambda: None, next_batch=lambda _size: [camera]),
    )
    running = MainLoop(cast(Parts, parts), Threads(), None, Supervisor(), lambda: False)
    with pytest.raises(StreamError, match="the engine failed while scoring: CUDA error") as failed:
        running.run()
    assert _exit_code(failed.value) == 1
