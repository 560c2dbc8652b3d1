"""Checkpoints of heads: our own (safetensors, with the configuration) and the authors' released layout.

Neither way runs code from the file: safetensors holds arrays and text, and a released pickle is read with
PyTorch's `weights_only`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from configs.atomic import write_file
from mgfn.baselines.rtfm import Rtfm, RtfmConfig
from mgfn.baselines.sultani import Sultani, SultaniConfig
from mgfn.network import Head, HeadConfig, MgfnConfig, make_head

FORMAT: Final = "mgfn-head-1"
NETWORKS: Final[dict[str, tuple[type[HeadConfig], Callable[[Any], Head]]]] = {
    "mgfn": (MgfnConfig, make_head),
    "sultani": (SultaniConfig, Sultani),
    "rtfm": (RtfmConfig, Rtfm),
}
_LARGEST_WIDTH: Final = 1 << 14
_MOST_MEMBERS: Final = 32
_MOST_BLOCKS: Final = 256


class CheckpointError(Exception):
    """A checkpoint that cannot be read or does not fit; the message is one line for the user."""


def save_head(path: Path, head: Head, metadata: Mapping[str, str]) -> None:
    """Write weights, configuration and `metadata` (text by name) to one safetensors file, whole or not at all.

    `format`, `network` and `config` are written by this function.
    """
    network = next(name for name, (kind, _) in NETWORKS.items() if isinstance(head.config, kind))
    texts = {**metadata, "format": FORMAT, "network": network, "config": json.dumps(asdict(head.config))}
    weights = {name: value.detach().contiguous() for name, value in head.state_dict().items()}
    write_file(path, safetensors.torch.save(weights, texts))


def load_head(path: Path) -> tuple[Head, dict[str, str]]:
    """A head in evaluation mode and the texts saved with it (none in the released layout).

    The two layouts are told apart by their content. Raises CheckpointError for a missing, cut or foreign file
    and for keys or shapes that do not fit, naming them.
    """
    if not path.is_file():
        raise CheckpointError(f"head {path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            texts: dict[str, str] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
    except SafetensorError:
        return _load_released(path), {}
    if texts.get("format") != FORMAT:
        raise CheckpointError(f"head {path}: format {texts.get('format')!r}, expected {FORMAT!r}")
    network = texts.pop("network", "mgfn")  # the first checkpoints name none
    if network not in NETWORKS:
        raise CheckpointError(f"head {path}: network {network!r}, known: {', '.join(NETWORKS)}")
    kind, make = NETWORKS[network]
    head = _filled(path, _config(path, kind, texts.pop("config", "")), make, state)
    texts.pop("format")
    return head, texts


def _config(path: Path, kind: type[HeadConfig], text: str) -> HeadConfig:
    try:
        config: HeadConfig = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"head {path}: configuration {where or 'as a whole'}: {first['msg'].replace('Input should be', 'expected')}"
        ) from None
    return config


def _check_size(path: Path, config: MgfnConfig) -> None:
    widths = [config.channels, *(stage.width for stage in config.stages)]
    if not all(1 <= width <= _LARGEST_WIDTH for width in widths):
        raise CheckpointError(f"head {path}: configuration has widths {widths}; must be from 1 to {_LARGEST_WIDTH}")
    if config.members > _MOST_MEMBERS:
        raise CheckpointError(
            f"head {path}: configuration has {config.members} members; must be from 1 to {_MOST_MEMBERS}"
        )
    if (blocks := sum(stage.depth for stage in config.stages)) > _MOST_BLOCKS:
        raise CheckpointError(f"head {path}: configuration has {blocks} blocks; must be from 1 to {_MOST_BLOCKS}")


def _load_released(path: Path) -> Head:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 -- a damaged pickle makes PyTorch's reader raise almost anything
        # not PyTorch's own words: they advise to read the file unsafely
        raise CheckpointError(f"head {path}: neither complete safetensors nor a state dict of plain arrays") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"head {path}: holds a {type(state).__name__}, expected a state dict of arrays")
    tokens = state.get("to_tokens.weight")
    if tokens is None or tokens.ndim != 3 or not tokens.shape[1]:
        raise CheckpointError(f"head {path}: not the released MGFN layout: to_tokens.weight is missing")
    return _filled(path, MgfnConfig.released(tokens.shape[1]), make_head, state)


def _filled(path: Path, config: HeadConfig, make: Callable[[Any], Head], state: Mapping[str, Tensor]) -> Head:
    if isinstance(config, MgfnConfig):
        _check_size(path, config)
    with torch.device("meta"):  # no memory before the file is known to hold arrays of these shapes
        head = make(config)
    wanted = head.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in state]
    problems += [f"left over {name}" for name in state if name not in wanted]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:4]) + ("; ..." if len(problems) > 4 else "")
        raise CheckpointError(f"head {path} does not fit: {shown}")
    head.to_empty(device="cpu").load_state_dict(dict(state))
    return head.eval()
