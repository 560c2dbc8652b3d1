"""The demo's bookkeeping and footage."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from stream.cli.demo.incidents import Playback, judge, playbacks
from stream.service.staged_footage import FPS, INCIDENT, LENGTH, staged_footage
from tests.servers.rtsp import moving_pictures, write_video


def test_alarms_are_judged_by_the_playback_they_belong_to() -> None:
    # connected at 1000; the recording loops every 45 s; connected again at 1100
    seen = [Playback(1000.0, 45.0, (25.0, 31.0)), Playback(1100.0, 45.0, (25.0, 31.0))]
    assert judge([1025.0, 1022.1, 1033.9, 1071.0, 1126.0], seen) == (5, 0)
    assert judge([1010.0, 1021.9, 1034.1, 1101.0], seen) == (0, 4)
    assert judge([], seen) == (0, 0)


def test_playbacks_are_those_of_its_connections() -> None:
    scores = [(1003.2, 5, 1), (1003.84, 6, 2), (1100.0, 0, 1), (1100.64, 1, 2)]  # the first five were given up
    found = playbacks([{"start": start, "clip": clip, "window": window} for start, clip, window in scores])
    assert [playback.began for playback in found] == pytest.approx([1000.0, 1100.0])


@pytest.mark.slow
def test_the_recording_is_staged_where_it_says(tmp_path: Path) -> None:
    sample = write_video(tmp_path / "sample.mp4", moving_pictures(50, 160, 96))
    path = staged_footage(sample, tmp_path)
    with av.open(str(path)) as container:
        means = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    assert len(means) == round(LENGTH * FPS)
    covered = means[round((INCIDENT[1] - 1) * FPS)]
    assert covered < 0.7 * min(means[: round(INCIDENT[0] * FPS)])
    assert means[round(INCIDENT[1] * FPS) + 2] == pytest.approx(means[0], rel=0.1)
    assert staged_footage(sample, tmp_path) == path
