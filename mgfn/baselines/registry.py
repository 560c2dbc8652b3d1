"""The baselines with a loss of their own, by the name that presets and checkpoints use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mgfn.baselines.base import Baseline
from mgfn.baselines.bn_wvad import BnWvad, BnWvadConfig
from mgfn.baselines.claws import Claws, ClawsConfig
from mgfn.baselines.gcl import Gcl, GclConfig
from mgfn.baselines.gcn_cleaner import GcnCleaner, GcnCleanerConfig
from mgfn.baselines.gods import Gods, GodsConfig
from mgfn.baselines.hl_net import HlNet, HlNetConfig
from mgfn.baselines.ibl import Ibl, IblConfig
from mgfn.baselines.mist import Mist, MistConfig
from mgfn.baselines.msl import Msl, MslConfig
from mgfn.baselines.pel4vad import Pel4vad, Pel4vadConfig
from mgfn.baselines.ssvdd import Ssvdd, SsvddConfig
from mgfn.baselines.svm import Svm, SvmConfig
from mgfn.baselines.ur_dmu import UrDmu, UrDmuConfig
from mgfn.baselines.wu_liu import WuLiu, WuLiuConfig
from mgfn.network import HeadConfig

BASELINES: Final[dict[str, tuple[type[HeadConfig], Callable[[Any], Baseline]]]] = {
    "bn-wvad": (BnWvadConfig, BnWvad),
    "claws": (ClawsConfig, Claws),
    "gcl": (GclConfig, Gcl),
    "gcn-cleaner": (GcnCleanerConfig, GcnCleaner),
    "gods": (GodsConfig, Gods),
    "hl-net": (HlNetConfig, HlNet),
    "ibl": (IblConfig, Ibl),
    "mist": (MistConfig, Mist),
    "msl": (MslConfig, Msl),
    "pel4vad": (Pel4vadConfig, Pel4vad),
    "ssvdd": (SsvddConfig, Ssvdd),
    "svm": (SvmConfig, Svm),
    "ur-dmu": (UrDmuConfig, UrDmu),
    "wu-liu": (WuLiuConfig, WuLiu),
}
