"""Checkpoints of heads: our own (safetensors, with the configuration), and the authors' released layout.

Neither runs code from the file: safetensors contains arrays and text, and a released pickle is read with PyTorch's
`weights_only`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from configs.atomic import write_file
from mgfn.baselines.hl_net import HlNetConfig
from mgfn.baselines.registry import BASELINES
from mgfn.baselines.rtfm import Rtfm, RtfmConfig
from mgfn.baselines.sultani import Sultani, SultaniConfig
from mgfn.extended import ExtendedConfig, make_extended
from mgfn.flat_layout import FlatConfig, renamed
from mgfn.network import Head, HeadConfig
from mgfn.paper import Paper, PaperConfig
from mgfn.released import Released, ReleasedConfig

FORMAT: Final = "mgfn-head-1"
Config = TypeVar("Config")
NETWORKS: Final[dict[str, tuple[type[HeadConfig], Callable[[Any], Head]]]] = {
    "paper": (PaperConfig, Paper),
    "released": (ReleasedConfig, Released),
    "extended": (ExtendedConfig, make_extended),
    "sultani": (SultaniConfig, Sultani),
    "rtfm": (RtfmConfig, Rtfm),
    **BASELINES,
}
_FLAT: Final = "mgfn"


class CheckpointError(Exception):
    """A checkpoint that cannot be read or does not fit; the message is one line for the user."""


def save_head(path: Path, head: Head, metadata: Mapping[str, str]) -> None:
    """Write weights, configuration and `metadata` (text by name) to one safetensors file, completely or not at all.

    `format`, `network`, `config` and `causal` are written by this function.
    """
    network = next(name for name, (kind, _) in NETWORKS.items() if isinstance(head.config, kind))
    texts = {
        **metadata,
        "causal": str(head.causal).lower(),
        "format": FORMAT,
        "network": network,
        "config": json.dumps(asdict(head.config)),
    }
    weights = {name: value.detach().contiguous() for name, value in head.state_dict().items()}
    write_file(path, safetensors.torch.save(weights, texts))


def load_head(path: Path) -> tuple[Head, dict[str, str]]:
    """A head in evaluation mode, and the texts saved with it (none in the released layout).

    The two layouts are distinguished by their content. Raises CheckpointError for a missing, truncated or foreign file,
    and for keys or shapes that do not fit, with their names.
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
    network = texts.pop("network", _FLAT)  # the first checkpoints do not name one
    text = texts.pop("config", "")
    if network == _FLAT:
        config, state = _from_flat(path, text, state)
    elif network in NETWORKS:
        config = _config(path, NETWORKS[network][0], text)
    else:
        raise CheckpointError(f"head {path}: network {network!r}, known: {', '.join((*NETWORKS, _FLAT))}")
    head = _filled(path, config, state)
    for name in ("format", "causal"):  # the head itself tells the latter
        texts.pop(name, None)
    return head, texts


def _from_flat(path: Path, text: str, state: Mapping[str, Tensor]) -> tuple[HeadConfig, dict[str, Tensor]]:
    flat = _config(path, FlatConfig, text)
    try:
        return flat.network, renamed(state, flat)
    except ValueError as error:
        raise CheckpointError(f"head {path}: configuration as a whole: {error}") from None


def _config(path: Path, kind: type[Config], text: str) -> Config:
    try:
        config: Config = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"head {path}: configuration {where or 'as a whole'}: {first['msg'].replace('Input should be', 'expected')}"
        ) from None
    return config


def _load_released(path: Path) -> Head:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 -- a damaged pickle makes PyTorch's reader raise almost anything
        # not PyTorch's own message, which advises to read the file unsafely
        raise CheckpointError(f"head {path}: neither complete safetensors nor a state dict of plain arrays") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"head {path}: holds a {type(state).__name__}, expected a state dict of arrays")
    if "conv1d_approximator.weight" in state:
        return _filled(path, _hl_net(path, state), state)
    tokens = state.get("to_tokens.weight")
    if tokens is None or tokens.ndim != 3 or not tokens.shape[1]:
        first = next(iter(state), "nothing")
        raise CheckpointError(
            f"head {path}: a checkpoint of another method (it begins with {str(first)[:60]!r}); allowed: those of "
            "mgfn-train, and those released by the authors of MGFN and of HL-Net"
        )
    try:
        config = ReleasedConfig(tokens.shape[1])
    except ValueError as error:
        raise CheckpointError(f"head {path}: {error}") from None
    return _filled(path, config, state)


def _hl_net(path: Path, state: Mapping[str, Tensor]) -> HlNetConfig:
    """The configuration of a checkpoint of HL-Net's authors: its channels may include those of audio."""
    first = state.get("conv1d1.weight")
    if first is None or first.ndim != 3:
        raise CheckpointError(f"head {path}: not the released HL-Net layout: conv1d1.weight is missing")
    try:
        return HlNetConfig(first.shape[1])
    except ValueError as error:
        raise CheckpointError(f"head {path}: {error}") from None


def _filled(path: Path, config: HeadConfig, state: Mapping[str, Tensor]) -> Head:
    make = next(make for kind, make in NETWORKS.values() if isinstance(config, kind))
    with torch.device("meta"):  # allocate nothing before the file is known to contain arrays of these shapes
        head = make(config)
    wanted = head.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in wanted]
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
