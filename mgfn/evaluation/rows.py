"""The rows of the paper's tables 1 and 2 and of newer heads on the same features: presets and published figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mgfn.training.config import NOT_BUILT, TrainConfig, load_config


class TableProtocol(StrEnum):
    """A published benchmark, or the user's own data."""

    UCF_CRIME = "ucf-crime"
    XD_VIOLENCE = "xd-violence"
    OWN = "own"


@dataclass(frozen=True)
class Budget:
    """What every row may spend; None: what its preset says. `videos` of each class in a batch, each in `parts`."""

    steps: int | None = None
    videos: int | None = None
    parts: int | None = None

    def said(self) -> str:
        """In words, for the table."""
        given = [
            f"{value} {name}"
            for value, name in (
                (self.steps, "steps"),
                (self.videos, "videos of each class in a batch"),
                (self.parts, "parts of each video"),
            )
            if value is not None
        ]
        return f"for every row {', '.join(given)}; all else as in its preset" if given else "as in each row's preset"


@dataclass(frozen=True)
class Row:
    """A method: its preset (none: not built, with the reason in `note`), published AUC (UCF-Crime) and AP (XD) in %.

    `features`: of the published figures, if they are not I3D's.
    """

    name: str
    title: str
    preset: str | None
    auc: float | None = None
    ap: float | None = None
    features: str = "I3D"
    note: str = ""

    def published(self, protocol: TableProtocol) -> float | None:
        """The published figure in %; None if there is none."""
        return {TableProtocol.UCF_CRIME: self.auc, TableProtocol.XD_VIOLENCE: self.ap}.get(protocol)

    def config(self, protocol: TableProtocol, seed: int, budget: Budget) -> TrainConfig:
        """The training run of a seed: the preset within the budget, measured once, at its end."""
        preset = self.preset or ""
        if self.name == "mgfn" and protocol is TableProtocol.XD_VIOLENCE:
            preset = "paper-xd-violence"
        found = load_config(preset)
        layout = "plain" if protocol is TableProtocol.OWN else protocol.value
        data = found.data.model_dump() | {"parts": budget.parts or found.data.parts, "layout": layout, "crops": None}
        steps = budget.steps or found.steps
        changes = {"data": data, "steps": steps, "validate_every": steps, "select": "last", "seed": seed}
        changes["videos"] = budget.videos or found.videos
        changes["metric"] = "ap" if protocol is TableProtocol.XD_VIOLENCE else "auc"
        return TrainConfig.model_validate(found.model_dump() | changes)


ROWS: Final = (
    Row("svm", "linear SVM", "svm", 50.00, features="not stated"),
    Row("ssvdd", "SSV: subspace SVDD (2018)", "ssvdd", 58.50, features="not stated"),
    Row("bods", "BODS (2019)", "bods", 68.26),
    Row("gods", "GODS (2019)", "gods", 70.46),
    Row("sacr", "SACR (2020)", None, 72.70, features="not stated", note=NOT_BUILT["sacr"]),
    Row("gcl-one-class", "GCL (2022), one-class", "gcl-one-class", 74.20, features="ResNext"),
    Row("gcl-unsupervised", "GCL (2022), unsupervised", "gcl-unsupervised", 71.04, features="ResNext"),
    Row("sultani", "Sultani et al. (2018)", "sultani", 77.92, 73.20),
    Row("ibl", "IBL (2019)", "ibl", 78.66, features="C3D"),
    Row("gcl-weak", "GCL (2022), weak", "gcl-weak", 79.84, features="ResNext"),
    Row("gcn-cleaner", "GCN label-noise cleaner (2019)", "gcn-cleaner", 82.12, features="TSN"),
    Row("mist", "MIST (2021)", "mist", 82.30),
    Row("hl-net", "HL-Net, Wu et al. (2020)", "hl-net", 82.44, 75.68),
    Row("hl-net-online", "HL-Net, causal approximator", "hl-net-online"),
    Row("claws", "CLAWS (2020)", "claws", 82.30, features="C3D"),
    Row("rtfm", "RTFM (2021)", "rtfm", 84.03, 77.81),
    Row("wu-liu", "Wu and Liu (2021)", "wu-liu", 84.89, 75.90),
    Row("msl", "MSL (2022)", "msl", 85.30, 78.28),
    Row("mgfn", "MGFN (2023), the paper", "paper-ucf-crime", 86.98, 79.19),
    Row("mgfn-small-data", "MGFN, settings for few videos", "small-data", note="preset small-data, not in the paper"),
    Row("mgfn-released", "MGFN, the authors' code", "released-ucf-crime", 86.98, 79.19),
    Row("ur-dmu", "UR-DMU (2023)", "ur-dmu", 86.97, 81.66),
    Row("bn-wvad", "BN-WVAD (2023)", "bn-wvad", 87.24, 84.93),
    Row("pel4vad", "PEL4VAD (2023), visual part", "pel4vad", 86.76, 85.59),
)
