"""Checkpoints: our own, the authors', and those that are neither."""

from __future__ import annotations

import json
import os
import random
import resource
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from mgfn.checkpoint import FORMAT, CheckpointError, load_head, save_head
from mgfn.paper import Paper, PaperConfig
from mgfn.released import Released, ReleasedConfig

CONFIG = PaperConfig(16, widths=(8, 8))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_head(tmp_path / "head.safetensors", Paper(CONFIG), {"note": "a test"})
    return tmp_path / "head.safetensors"


def test_round_trip(checkpoint: Path) -> None:
    head, texts = load_head(checkpoint)
    assert isinstance(head, Paper)
    assert not head.training
    assert (head.config, texts) == (CONFIG, {"note": "a test"})
    torch.manual_seed(0)
    for name, value in Paper(CONFIG).state_dict().items():
        assert torch.equal(head.state_dict()[name], value)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["head.safetensors"]


@pytest.mark.slow
def test_the_released_layout_is_told_by_its_content(tmp_path: Path) -> None:
    state = Released(ReleasedConfig(64)).state_dict()
    torch.save(state, tmp_path / "mgfn_ucf.pkl")
    head, texts = load_head(tmp_path / "mgfn_ucf.pkl")
    assert head.config == ReleasedConfig(64)
    assert texts == {}
    assert not head.training
    assert all(torch.equal(value, state[name]) for name, value in head.state_dict().items())
    del state["fc.weight"]
    torch.save(state | {"fc.bias": torch.zeros(3), "stray": torch.zeros(1)}, tmp_path / "mgfn_ucf.pkl")
    with pytest.raises(
        CheckpointError, match=r"missing fc\.weight; unexpected stray; fc\.bias is \(3,\), expected \(1,\)$"
    ):
        load_head(tmp_path / "mgfn_ucf.pkl")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checkpoint.read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            save_head(checkpoint, Paper(CONFIG), {})
    with pytest.raises(TypeError):
        save_head(checkpoint, Paper(CONFIG), {"note": 3})  # type: ignore[dict-item] # the wrong type is the point
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
    assert checkpoint.read_bytes() == before


def test_a_saved_head_can_be_read_by_whom_the_umask_allows(checkpoint: Path) -> None:
    (checkpoint.parent / "other").touch()
    assert checkpoint.stat().st_mode == (checkpoint.parent / "other").stat().st_mode


def test_a_huge_network_in_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "head.safetensors", {"x": torch.zeros(1)}, config=config(widths=[8192, 8192]))  # 9 GiB
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (256 << 20), before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"does not fit: missing to_tokens\.weight"):
            load_head(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("layout", ["own", "zip", "legacy"])
def test_damaged_files_are_read_or_refused_in_one_line(checkpoint: Path, layout: str) -> None:
    if layout != "own":
        torch.save(Paper(CONFIG).state_dict(), checkpoint, _use_new_zipfile_serialization=layout == "zip")
    whole = checkpoint.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(min(len(damaged), 3000))] = rng.randrange(256)
        checkpoint.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        try:
            load_head(checkpoint)
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith(f"head {checkpoint}")  # noqa: PT017 -- some damage is harmless
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 75


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hostile-was-here",)


def test_a_pickle_with_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"to_tokens.weight": Hostile()}, tmp_path / "evil.pkl")
    with pytest.raises(CheckpointError, match=r"neither complete safetensors nor a state dict of plain arrays$"):
        load_head(tmp_path / "evil.pkl")
    assert not (tmp_path / "hostile-was-here").exists()


def test_a_checkpoint_of_another_method(tmp_path: Path) -> None:
    torch.save({"embedding.conv.weight": torch.zeros(2, 2)}, tmp_path / "other.pkl")
    with pytest.raises(CheckpointError, match=r"another method \(it begins with 'embedding\.conv\.weight'\); allowed"):
        load_head(tmp_path / "other.pkl")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x80\x02."])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"head .*head\.pkl"):
        load_head(tmp_path / "head.pkl")


def test_a_missing_and_a_cut_file(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_head(checkpoint.with_name("none"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="neither complete safetensors"):
        load_head(checkpoint)


def save(path: Path, state: dict[str, torch.Tensor], **texts: str) -> Path:
    safetensors.torch.save_file(state, path, {"format": FORMAT, "network": "paper", **texts})
    return path


def config(**changes: Any) -> str:
    return json.dumps({"channels": 16, "widths": [8, 8]} | changes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "configuration"),
        ("[]", "configuration"),
        (config(channels="many"), "configuration channels"),
        (config(structure="stare"), "configuration structure: expected 'GF', 'FG', 'FF' or 'GF-fusion'"),
        (config(channels=1 << 20), "channels 1048576; must be from 1 to 16384"),
        (config(widths=[8]), r"configuration widths\.1"),
        (config(reduce_kernel=2), "reduce_kernel 2; must be odd, from 1 to 31"),
        (config(dropout=2.0), r"dropout 2\.0"),
        (config(expansion=-1), "expansion -1; must be from 1 to 64"),
    ],
)
def test_hostile_configurations(tmp_path: Path, text: str, says: str) -> None:
    path = save(tmp_path / "head.safetensors", {"x": torch.zeros(1)}, config=text)
    with pytest.raises(CheckpointError, match=says):
        load_head(path)


def test_a_hostile_depth(tmp_path: Path) -> None:
    text = json.dumps({"channels": 16, "depths": [1 << 30, 1, 1]})
    path = save(tmp_path / "head.safetensors", {"x": torch.zeros(1)}, network="released", config=text)
    with pytest.raises(CheckpointError, match="1073741826 blocks; must be from 1 to 256"):
        load_head(path)


def test_keys_and_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = Paper(CONFIG).state_dict()
    state["stray"] = torch.zeros(1)
    state["fc.bias"] = torch.zeros(2)
    del state["fc.weight"]
    with pytest.raises(CheckpointError) as caught:
        load_head(save(tmp_path / "head.safetensors", state, config=config()))
    for part in ("missing fc.weight", "unexpected stray", "fc.bias is (2,), expected (1,)"):
        assert part in str(caught.value)


def test_another_format_of_ours(tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"format": "mgfn-head-9"})
    with pytest.raises(CheckpointError, match="format 'mgfn-head-9', expected 'mgfn-head-1'"):
        load_head(tmp_path / "a.safetensors")
