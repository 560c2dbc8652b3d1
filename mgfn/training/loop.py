"""The training loop of `mgfn-train`: one visible loop for MGFN and the baselines; resuming is bit-identical.

All randomness in step n depends only on the seed and on n, so an interrupted run continues as if it had not been
interrupted, without storing the state of a generator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from configs.atomic import replacing, write_file
from mgfn.baselines.base import Baseline, bags_of
from mgfn.checkpoint import save_head
from mgfn.extended import Extended
from mgfn.features import FloatArray
from mgfn.network import Head
from mgfn.training.config import OptimizerSettings, ProblemsError, TrainConfig
from mgfn.training.dataset import LabelledVideo
from mgfn.training.inputs import settle_inputs
from mgfn.training.objective import loss_terms
from mgfn.training.segments import Segments
from mgfn.training.validation import Metrics, validate
from mgfn.truth import BoolArray

STATE = "state.pt"
Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Data:
    """Training and evaluation videos (none: nothing is measured), with the ground truth of the latter if known."""

    train: Sequence[LabelledVideo]
    held_out: Sequence[LabelledVideo]
    truth: dict[str, BoolArray] | None
    segments: Segments
    channels: int


@dataclass(frozen=True)
class Reached:
    """The state after `step` steps. `metrics` are those of the last validation."""

    step: int
    losses: dict[str, float]
    metrics: Metrics | None


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, group: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, group, epoch]).permutation(count)


def batch_of(count: int, size: int, step: int, seed: int, group: int) -> list[int]:
    """Indices of a class's items in step `step`: each once in random order, then again in another order."""
    places = range(step * size, (step + 1) * size)
    return [int(_permutation(count, seed, group, place // count)[place % count]) for place in places]


def make_optimizer(head: Head, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimiser with its weight decay: added to the gradient, except for adamw, as the published settings
    mean it.
    """
    if settings.name == "sgd":
        return torch.optim.SGD(
            head.parameters(), settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}
    return kinds[settings.name](head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


def fit(
    config: TrainConfig,
    data: Data,
    out: Path,
    device: torch.device,
    precision: Precision,
    resume: bool,
    report: Callable[[Reached], None],
) -> Metrics | None:
    """Train; writes `last.safetensors`, `best.safetensors`, `metrics.json` and a TensorBoard log into `out`.

    Returns the metrics of the selected head, if any were measured. Every `validate_every` steps the state is stored,
    and `resume` continues from it with the result of an uninterrupted run; `report` is called with the step, without
    losses, before the first step. Raises ProblemsError if that state belongs to another run.
    """
    torch.manual_seed(config.seed)
    try:
        head = config.network.build(data.channels).to(device).train()
    except ValueError as error:
        raise ProblemsError(
            [f"network {config.network.kind} on features of {data.channels} channels: {error}"]
        ) from None
    if isinstance(head, Baseline) and precision != "float32":
        raise ProblemsError([f"--precision {precision}: {config.network.kind} has its own loss, which needs float32"])
    optimizer = make_optimizer(head, config.optimizer)
    identity = _identity(config, data, precision)
    first, history = _restored(out / STATE, head, optimizer, identity, device) if resume else (0, [])
    # each file is a separate item, like the five of an XD-Violence video in the released list
    groups = [[file for v in data.train if v.abnormal is abnormal for file in v.files] for abnormal in (False, True)]
    if first == 0 and isinstance(head, Extended):
        settle_inputs(head, lambda: _shown(config, data.segments, groups[0], 0))
    metrics = _metrics(history[-1]) if history else None
    if resume:
        report(Reached(first, {}, metrics))
    with SummaryWriter(str(out / "tensorboard"), purge_step=first) as log:
        for step in range(first, config.steps):
            torch.manual_seed((config.seed << 32) + step)
            files = [
                items[index]
                for group, items in enumerate(groups)
                for index in batch_of(len(items), config.videos, step, config.seed, group)
            ]
            x = torch.from_numpy(np.stack(list(_shown(config, data.segments, files, step)))).to(device)
            terms = _terms(head, x, config, step, precision)
            loss = torch.stack(list(terms.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            if config.optimizer.clip:
                torch.nn.utils.clip_grad_norm_(head.parameters(), config.optimizer.clip)
            optimizer.step()
            if isinstance(head, Baseline):
                head.after_step()
            values = {"loss": float(loss.detach()), **{name: float(term.detach()) for name, term in terms.items()}}
            for name, value in values.items():
                log.add_scalar(f"train/{name}", value, step + 1)
            if not np.isfinite(values["loss"]):
                raise FloatingPointError(f"the loss is {values['loss']} in step {step + 1}: {values}")
            if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
                if data.held_out:
                    metrics = validate(head, data.held_out, data.truth, data.segments, device, config.loss.top_k)
                    log.add_scalar("validation/auc", metrics.auc, step + 1)
                    log.add_scalar("validation/ap", metrics.ap, step + 1)
                history.append({"step": step + 1, **values, **(asdict(metrics) if metrics else {})})
                _keep(out, head, optimizer, config, history, identity)
            report(Reached(step + 1, values, metrics))
    return _metrics(history[_chosen(config, history)])


def _shown(config: TrainConfig, segments: Segments, files: Sequence[Path], step: int) -> Iterator[FloatArray]:
    """The parts (parts, crops, C) of files, as `data.part` says."""
    rng = np.random.default_rng([config.seed, step])
    for file in files:
        yield segments.load(file) if config.data.part == "mean" else segments.draw(file, rng)


def _terms(
    head: Head, x: torch.Tensor, config: TrainConfig, step: int, precision: Precision
) -> dict[str, torch.Tensor]:
    if isinstance(head, Baseline):
        return head.loss_terms(bags_of(x), step / config.steps)
    with _autocast(x.device, precision):
        output = head(x)
    return loss_terms(output.float(), config.loss)


def _autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def _identity(config: TrainConfig, data: Data, precision: Precision) -> dict[str, str]:
    """What must be the same for a run to continue."""
    listed = [(v.name, v.abnormal, [str(file) for file in v.files]) for v in (*data.train, *data.held_out)]
    return {
        "configuration": config.model_dump_json(),
        "videos": json.dumps([listed, len(data.train), data.truth is not None]),
        "precision": precision,
    }


def _restored(
    path: Path, head: Head, optimizer: torch.optim.Optimizer, identity: dict[str, str], device: torch.device
) -> tuple[int, list[dict[str, Any]]]:
    if not path.is_file():
        return 0, []  # stopped before its first validation
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        differing = _differing(state["identity"], identity)
    except Exception as error:  # noqa: BLE001 -- a damaged file makes PyTorch's reader raise almost anything
        raise ProblemsError([f"--resume: {path} cannot be read ({' '.join(str(error).split())[:120]})"]) from None
    if differing:
        raise ProblemsError([f"--resume: {path} belongs to another run: {'; '.join(differing)}"])
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = json.loads(state["history"])
    return history[-1]["step"], history


def _differing(theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    """What differs in another run: keys of the configuration with both values, or other differences."""
    before, now = _flat(json.loads(theirs["configuration"])), _flat(json.loads(ours["configuration"]))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    found = [f"{key} was {before.get(key)}, is {now.get(key)}" for key in keys]
    return found + [f"other {key}" for key in ("videos", "precision") if theirs[key] != ours[key]]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _chosen(config: TrainConfig, history: Sequence[dict[str, Any]]) -> int:
    """Index of the selected entry: the last, or the first of those with the best metric."""
    if config.select == "last":
        return len(history) - 1
    return int(np.argmax([entry[config.metric] for entry in history]))


def _metrics(entry: dict[str, Any]) -> Metrics | None:
    return Metrics(entry["auc"], entry["ap"], entry["by"], entry["videos"]) if "auc" in entry else None


def _keep(
    out: Path,
    head: Head,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    history: list[dict[str, Any]],
    identity: dict[str, str],
) -> None:
    """Write heads, metrics and, last of all, the state for resuming; each completely or not at all."""
    entry = history[-1]
    texts = {
        "selection": config.select,
        "step": str(entry["step"]),
        "seed": str(config.seed),
        "training": config.model_dump_json(),
    }
    if isinstance(head, Baseline):
        texts["missing"] = head.missing
    if "auc" in entry:
        texts["measured"] = (
            f"{entry['by']}-level AUC {entry['auc']:.6f}, AP {entry['ap']:.6f} on {entry['videos']} held-out videos"
        )
    save_head(out / "last.safetensors", head, texts)
    if _chosen(config, history) == len(history) - 1:
        save_head(out / "best.safetensors", head, texts)
    write_file(out / "metrics.json", json.dumps(history, indent=1))
    state = {
        "identity": identity,
        "head": head.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": json.dumps(history),
    }
    with replacing(out / STATE) as partial:
        torch.save(state, partial)
