"""What the tables compare: presets of `mgfn-train` under one budget, and what clip labels reach on the same features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mgfn.training.config import TrainConfig, load_config

# Presets are of 50,000 steps on 1,610 videos; here all get as many videos a batch and as many steps.
VIDEOS = 8
STEPS = 300

COMPARISON = {
    "Sultani et al. (2018)": "sultani",
    "RTFM (2021)": "rtfm",
    "MGFN, as the paper prints it": "ablation-fam-mc",
    "MGFN, the paper's network": "composed",
    "MGFN, as released": "released-ucf-crime",
}
