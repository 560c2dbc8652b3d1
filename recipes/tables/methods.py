"""What the tables compare: presets of `mgfn-train`, all with the same budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mgfn.training.config import TrainConfig, load_config

VIDEOS = 8  # of each class in a batch: the paper's number; presets of other methods have more
STEPS = 300  # the presets have 15,000 to 50,000, on eight times as many videos
# what makes the paper's settings learn on few videos (small-data.yaml), applied to its ablations
LEARNING: Final[dict[str, dict[str, Any]]] = {
    "network": {"standardise": True},
    "loss": {
        "choose": "score",
        "smoothness": {"weight": 0.0008},
        "sparsity": {"weight": 0.008},
    },
}
SUM, MEAN = ({"loss": {"magnitude": {"pairs": pairs}}} for pairs in ("sum", "mean"))


@dataclass(frozen=True)
class Method:
    """A row: a preset with changes, on `folds` of the folds for each seed."""

    title: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: int = STEPS
    folds: int = 1

    def config(self, seed: int) -> TrainConfig:
        """The training run of a seed."""
        found = load_config(self.preset).model_dump()
        _put(found, self.changes)
        found |= {"videos": VIDEOS, "steps": self.steps, "validate_every": self.steps, "select": "last", "seed": seed}
        found["data"] = {"parts": 32}
        return TrainConfig.model_validate(found)


def _put(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Apply changes section by section; a term that a preset omits stays omitted."""
    for key, change in changes.items():
        if isinstance(change, Mapping):
            if values.get(key) is not None:
                _put(values[key], change)
        else:
            values[key] = change


def ablation(title: str, preset: str, pairs: str = "mean") -> Method:
    """A row of tables 3 and 4 that learns on few videos; `pairs` of equation 8: sum or mean."""
    return Method(title, preset, LEARNING | {"loss": LEARNING["loss"] | {"magnitude": {"pairs": pairs}}})


PAIRS = (
    Method("the paper's settings, sum over pairs", "ablation-fam-mc", SUM),
    Method("the paper's settings, mean over pairs", "ablation-fam-mc", MEAN),
)
TABLES: dict[str, tuple[Method, ...]] = {
    "methods": (
        Method("Sultani et al. (2018)", "sultani"),
        Method("MGFN, the paper's settings", "ablation-fam-mc"),
        Method("MGFN, small-data", "small-data"),
    ),
    # 12 and 28 million parameters: hours on two cores
    "large": (
        Method("RTFM (2021)", "rtfm"),
        Method("MGFN, released", "released-ucf-crime", {"network": {"standardise": True}}),
    ),
    "causes": (
        Method("the paper's settings", "ablation-fam-mc"),
        Method(
            "plus the released weights of smoothness and sparsity",
            "ablation-fam-mc",
            {"loss": {"smoothness": {"weight": 0.0008}, "sparsity": {"weight": 0.008}}},
        ),
        Method(
            "plus standardised features",
            "ablation-fam-mc",
            {
                "network": {"standardise": True},
                "loss": {"smoothness": {"weight": 0.0008}, "sparsity": {"weight": 0.008}},
            },
        ),
        Method("plus clips selected by score, pairs averaged (= small-data)", "small-data"),
        Method("small-data, but raw features", "small-data", {"network": {"standardise": False}}),
        Method(
            "small-data, but the paper's weights",
            "small-data",
            {"loss": {"smoothness": {"weight": 1.0}, "sparsity": {"weight": 1.0}}},
        ),
    ),
    # equation 8 as it is written, and with the mean of each term
    "pairs": (
        *PAIRS,
        Method("small-data, sum over pairs", "small-data", SUM),
        Method("small-data, mean over pairs", "small-data", MEAN),
    ),
    "structure": tuple(
        ablation(name, f"ablation-structure-{name.lower()}") for name in ("FF", "FG", "GF-fusion", "GF")
    ),
    "losses": (
        ablation("baseline", "ablation-baseline"),
        ablation("FAM", "ablation-fam"),
        ablation("MC loss", "ablation-mc"),
        ablation("FAM and MC loss", "ablation-fam-mc"),
        ablation("MC loss, sum over pairs", "ablation-mc", "sum"),
        ablation("FAM and MC loss, sum over pairs", "ablation-fam-mc", "sum"),
    ),
}
