"""Checkpoints: our own, the authors', and those that are neither."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from mgfn.checkpoint import FORMAT, CheckpointError, load_head, save_head
from mgfn.network import Mgfn, MgfnConfig, Stage

CONFIG = MgfnConfig(16, (Stage("glance", 8, 1), Stage("focus", 8, 1)))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_head(tmp_path / "head.safetensors", Mgfn(CONFIG), {"note": "a test"})
    return tmp_path / "head.safetensors"


def test_round_trip(checkpoint: Path) -> None:
    head, texts = load_head(checkpoint)
    assert isinstance(head, Mgfn)
    assert not head.training
    assert (head.config, texts) == (CONFIG, {"note": "a test"})
    assert [path.name for path in checkpoint.parent.iterdir()] == ["head.safetensors"]


def test_the_released_layout_is_told_by_its_content(tmp_path: Path) -> None:
    torch.save(Mgfn(MgfnConfig.released(64)).state_dict(), tmp_path / "mgfn_ucf.pkl")
    head, texts = load_head(tmp_path / "mgfn_ucf.pkl")
    assert head.config == MgfnConfig.released(64)
    assert texts == {}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hostile-was-here",)


def test_a_pickle_with_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"to_tokens.weight": Hostile()}, tmp_path / "evil.pkl")
    with pytest.raises(CheckpointError, match="neither safetensors nor a plain state dict"):
        load_head(tmp_path / "evil.pkl")
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x80\x02."])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"head .*head\.pkl"):
        load_head(tmp_path / "head.pkl")


def test_a_missing_and_a_cut_file(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_head(checkpoint.with_name("none"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="neither safetensors"):
        load_head(checkpoint)


def save(path: Path, state: dict[str, torch.Tensor], **texts: str) -> Path:
    safetensors.torch.save_file(state, path, {"format": FORMAT, **texts})
    return path


def config(**changes: Any) -> str:
    stages = [{"kind": "glance", "width": 8, "depth": 1}, {"kind": "focus", "width": 8, "depth": 1}]
    return json.dumps({"channels": 16, "stages": stages} | changes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "configuration"),
        ("[]", "configuration"),
        (config(channels="many"), "configuration channels"),
        (config(stages=[{"kind": "stare", "width": 8, "depth": 1}]), r"configuration stages\.0\.kind"),
        (config(channels=1 << 20), "allowed 1 to 16384"),
        (config(stages=[]), "configuration has widths"),
    ],
)
def test_hostile_configurations(tmp_path: Path, text: str, says: str) -> None:
    path = save(tmp_path / "head.safetensors", {"x": torch.zeros(1)}, config=text)
    with pytest.raises(CheckpointError, match=says):
        load_head(path)


def test_keys_and_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = Mgfn(CONFIG).state_dict()
    state["stray"] = torch.zeros(1)
    state["fc.bias"] = torch.zeros(2)
    del state["fc.weight"]
    with pytest.raises(CheckpointError) as caught:
        load_head(save(tmp_path / "head.safetensors", state, config=config()))
    for part in ("missing fc.weight", "left over stray", "fc.bias is (2,), expected (1,)"):
        assert part in str(caught.value)


def test_another_format_of_ours(tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"format": "mgfn-head-9"})
    with pytest.raises(CheckpointError, match="format 'mgfn-head-9', expected 'mgfn-head-1'"):
        load_head(tmp_path / "a.safetensors")
