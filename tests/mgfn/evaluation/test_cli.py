"""Wrong use of `mgfn-eval`, and its help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mgfn.evaluation import cli
from mgfn.released import Released, ReleasedConfig
from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.known import UCF_TRUTH, write_intervals


def replaced(flags: list[object], **changes: object) -> list[object]:
    found = list(flags)
    for name, value in changes.items():
        flag = f"--{name.replace('_', '-')}"
        if flag in found:
            found[found.index(flag) + 1] = value
        else:
            found += [flag, value]
    return found


@pytest.mark.parametrize(
    ("command", "changes", "says"),
    [
        ("benchmark", {"protocol": "ucf"}, "'--protocol': .*'ucf' is not one of 'ucf-crime', 'xd-violence'"),
        ("benchmark", {"head": "none.pkl"}, "head none.pkl: no such file"),
        ("benchmark", {"head": "{tmp}/other.pkl"}, "3 entries .* 2 channels, expected 64; .*Arson002.*Normal_"),
        ("benchmark", {"list": "{tmp}/empty.list"}, "--list .*empty.list: is empty"),
        ("benchmark", {"list": "{tmp}/gone.list"}, r"1 entries do not fit .*Gone\.npy: No such file"),
        ("benchmark", {"list": "{tmp}/nan.list"}, r"nan\.npy: 1 clips hold NaN or infinity, first clip 1"),
        ("benchmark", {"ground_truth": "{tmp}/short.npy"}, "159 frames, the features of the 3 listed videos have 160"),
        ("benchmark", {"ground_truth": "{tmp}/long.json"}, "of 2 videos.*Abuse001.*64.*200; Normal_Videos.*64.*99"),
        ("benchmark", {"ground_truth": "{tmp}/calm.json"}, "no anomalous frame in the listed videos"),
        ("benchmark", {"ground_truth": "{tmp}/wild.json"}, "no normal frame in the listed videos"),
        ("benchmark", {"out": "{tmp}"}, "is not empty; must be a new or empty folder"),
        ("benchmark", {"out": "{tmp}/head.safetensors"}, "is not empty"),
        ("benchmark", {"resamples": "0"}, "--resamples"),
        ("benchmark", {"features": "{tmp}/nowhere"}, "3 entries do not fit: .*nowhere.*No such file"),
        ("stream", {"threshold": "1.5"}, "--threshold 1.5: must be from 0 to 1"),
        ("stream", {"threshold": "nan"}, "--threshold nan: must be from 0 to 1"),
        ("stream", {"fps": "0"}, "--fps 0.0: must be from 1 to 240"),
        ("stream", {"list": "{tmp}/empty.list"}, "is empty"),
        ("stream", {"out": "{tmp}"}, "is not empty"),
        ("stream", {"ground_truth": "{tmp}/none.json"}, "No such file"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    ucf: list[object],
    command: str,
    changes: dict[str, str],
    says: str,
) -> None:
    torch.save(Released(ReleasedConfig(64)).state_dict(), tmp_path / "other.pkl") if "other.pkl" in str(
        changes
    ) else None
    (tmp_path / "empty.list").write_text("\n")
    (tmp_path / "gone.list").write_text(f"{tmp_path}/features/Abuse001_x264_i3d.npy\n{tmp_path}/Gone.npy\n")
    np.save(tmp_path / "nan.npy", np.array([[0.1, 0.2], [np.nan, 0.1]], np.float32))
    (tmp_path / "nan.list").write_text(f"{tmp_path}/nan.npy\n")
    np.save(tmp_path / "short.npy", np.zeros(159))
    timelines = dict(UCF_TRUTH)
    longer: dict[str, Any] = timelines | {"Abuse001_x264": (200, []), "Normal_Videos_003_x264": (99, [])}
    write_intervals(tmp_path / "long.json", longer)
    write_intervals(tmp_path / "calm.json", {name: (frames, []) for name, (frames, _) in timelines.items()})
    write_intervals(tmp_path / "wild.json", {name: (frames, [(0, frames)]) for name, (frames, _) in timelines.items()})
    if "nan.list" in str(changes):
        write_intervals(tmp_path / "truth.json", {"nan": (32, [(0, 16)])})
    given = {name: value.replace("{tmp}", str(tmp_path)) for name, value in changes.items()}
    flags = replaced(ucf, **({"out": tmp_path / "out"} | given))
    if command == "benchmark" and "protocol" not in given:
        flags += ["--protocol", "ucf-crime"]
    assert run(command, *flags) == 2
    captured = capsys.readouterr()
    line = captured.err.rstrip("\n").splitlines()[-1]
    assert line.startswith("mgfn-eval: ")
    assert re.search(says, line), line
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, run: Run, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "sklearn" else object())
    assert run("stream", *ucf) == 2
    assert capsys.readouterr().err == "mgfn-eval: needs sklearn; run: pip install 'mgfn-stream[train]'\n"


@pytest.mark.parametrize("command", ["score", "benchmark", "stream"])
def test_help_shows_an_example(run: Run, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run(command, "--help") == 0
    assert f"Example: mgfn-eval {command} --" in capsys.readouterr().out
