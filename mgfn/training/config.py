"""The YAML configuration of `mgfn-train`: network, losses, optimiser, data, length. Presets are in configs/train."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

import configs
from configs.text import EncodingError, read_text
from mgfn.baselines.registry import BASELINES
from mgfn.baselines.rtfm import Rtfm, RtfmConfig
from mgfn.baselines.sultani import Sultani, SultaniConfig
from mgfn.extended import Extended, ExtendedConfig
from mgfn.features import MOST_CROPS
from mgfn.network import Head
from mgfn.paper import Paper, PaperConfig, Structure
from mgfn.released import Released, ReleasedConfig

PRESETS = Path(configs.__file__).parent / "train"
NOT_BUILT = {"sacr": "needs a graph of detected objects"}  # rows of the paper's tables without a preset


class ProblemsError(Exception):
    """All problems with the user's input, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MgfnSettings(_Model):
    """The paper's network: structures of figure 5; `alpha` of equation 2, 0 omits feature amplification.

    `standardise`: each channel minus its mean over normal training videos, divided by its deviation there; not in the
    paper.
    """

    kind: Literal["mgfn"]
    structure: Structure = "GF"
    alpha: float = 0.1
    dropout: float = Field(0.0, ge=0, lt=1)
    standardise: bool = False

    def build(self, channels: int) -> Head:
        config = PaperConfig(channels, self.structure, self.alpha, dropout=self.dropout)
        return Extended(ExtendedConfig(config)) if self.standardise else Paper(config)


class ReleasedSettings(_Model):
    """The authors' released network; `standardise` as above."""

    kind: Literal["mgfn-released"]
    standardise: bool = False

    def build(self, channels: int) -> Head:
        config = ReleasedConfig(channels)
        return Extended(ExtendedConfig(config)) if self.standardise else Released(config)


class SultaniSettings(_Model):
    """Sultani et al. (2018)."""

    kind: Literal["sultani"]
    dropout: float = Field(0.6, ge=0, lt=1)

    def build(self, channels: int) -> Head:
        return Sultani(SultaniConfig(channels, dropout=self.dropout))


class RtfmSettings(_Model):
    """Tian et al. (2021)."""

    kind: Literal["rtfm"]
    width: int = Field(512, ge=2, le=4096)
    dropout: float = Field(0.7, ge=0, lt=1)

    def build(self, channels: int) -> Head:
        return Rtfm(RtfmConfig(channels, self.width, self.dropout))


OwnKind = Literal[
    "bn-wvad",
    "claws",
    "gcl",
    "gcn-cleaner",
    "gods",
    "hl-net",
    "ibl",
    "mist",
    "msl",
    "pel4vad",
    "ssvdd",
    "svm",
    "ur-dmu",
    "wu-liu",
]


class OwnLossSettings(_Model):
    """A baseline with a loss of its own; `options` are the keys of its config in `mgfn/baselines`, loss included."""

    kind: OwnKind
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _options_fit(self) -> OwnLossSettings:
        allowed = [name for name in BASELINES[self.kind][0].__dataclass_fields__ if name != "channels"]
        if unknown := [name for name in self.options if name not in allowed]:
            raise ValueError(f"options {', '.join(unknown)}: unknown for {self.kind}; allowed: {', '.join(allowed)}")
        try:
            self._config(1 << 10)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or self.kind
            raise ValueError(f"options {where}: {first['msg'].replace('Input should be', 'expected')}") from None
        return self

    def _config(self, channels: int) -> Any:
        return TypeAdapter(BASELINES[self.kind][0]).validate_python({"channels": channels, **self.options})

    def build(self, channels: int) -> Head:
        return BASELINES[self.kind][1](self._config(channels))


class ScoreTerm(_Model):
    """Smoothness or sparsity: on which scores, and summed as in the paper or as in its authors' code."""

    weight: float = Field(ge=0)
    of: Literal["normal", "abnormal", "all"] = "abnormal"
    form: Literal["paper", "released"] = "paper"


class MagnitudeTerm(_Model):
    """The loss on feature magnitudes: contrastive (eq. 8 to 10), its released form, or RTFM's.

    `pairs`: whether `contrastive` sums over pairs of videos, as equation 8 is written, or takes their mean.
    """

    form: Literal["contrastive", "contrastive-released", "rtfm"]
    weight: float = Field(ge=0)
    margin: float = Field(gt=0)
    pairs: Literal["sum", "mean"] = "mean"

    @model_validator(mode="after")
    def _only_contrastive_sums(self) -> MagnitudeTerm:
        if self.pairs == "sum" and self.form != "contrastive":
            raise ValueError(f"pairs: sum needs form: contrastive; {self.form} has no sum over pairs")
        return self


class LossSettings(_Model):
    """`L_sce + smoothness + sparsity + magnitude`, or Sultani's ranking loss instead of L_sce.

    `choose`: whether the clips of largest magnitude represent a video in L_sce, as published, or those of highest
    score.
    """

    score: Literal["cross-entropy", "ranking"] = "cross-entropy"
    top_k: int = Field(3, ge=1)
    choose: Literal["magnitude", "score"] = "magnitude"
    selection_dropout: float = Field(0.0, ge=0, lt=1)
    smoothness: ScoreTerm | None = None
    sparsity: ScoreTerm | None = None
    magnitude: MagnitudeTerm | None = None


class OptimizerSettings(_Model):
    """`clip` limits the norm of the gradient; 0 disables it. `momentum` is that of sgd."""

    name: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(0.0, ge=0)
    momentum: float = Field(0.0, ge=0, lt=1)


class DataSettings(_Model):
    """How list files are read (`layout`), into how many parts a video is divided, how many crops files must have.

    `part`: in training, a part is the mean of its clips, as published, or one of its clips (`clip`), drawn in every
    step. A live camera shows single clips of 0.64 s; a part of a long video is the mean of many.

    The paths may be given as flags instead: see `mgfn.training.dataset` for `labels` and `test_labels`,
    `mgfn.training.validation` for `ground_truth`.
    """

    layout: Literal["plain", "ucf-crime", "xd-violence"] = "plain"
    parts: int = Field(32, ge=1, le=1024)
    part: Literal["mean", "clip"] = "mean"
    crops: int | None = Field(None, ge=1, le=MOST_CROPS)
    features: Path | None = None
    labels: Path | None = None
    test_labels: Path | None = None
    ground_truth: Path | None = None


class TrainConfig(_Model):
    """A whole training run. A batch has `videos` videos of each class; steps are batches."""

    network: Annotated[
        MgfnSettings | ReleasedSettings | SultaniSettings | RtfmSettings | OwnLossSettings, Field(discriminator="kind")
    ]
    loss: LossSettings = Field(default_factory=lambda: LossSettings.model_validate({}), validate_default=True)
    optimizer: OptimizerSettings
    data: DataSettings = Field(default_factory=lambda: DataSettings.model_validate({}))
    videos: int = Field(ge=1, le=1024)
    steps: int = Field(ge=1)
    validate_every: int = Field(50, ge=1)
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    metric: Literal["auc", "ap"] = "auc"
    select: Literal["last", "val", "test-best"] = "last"
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _one_loss(self) -> TrainConfig:
        if isinstance(self.network, OwnLossSettings):
            if self.loss != LossSettings.model_validate({}):
                raise ValueError(f"loss: {self.network.kind} has its own; its weights are network.options")
        elif "loss" not in self.model_fields_set:
            raise ValueError("loss: is missing")
        return self


_NETWORKS: dict[str, type[BaseModel]] = {
    "mgfn": MgfnSettings,
    "mgfn-released": ReleasedSettings,
    "sultani": SultaniSettings,
    "rtfm": RtfmSettings,
    **dict.fromkeys(BASELINES, OwnLossSettings),
}


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_config(name: str, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """The configuration from a YAML file, or from a preset by its bare name; `changes` replace its values.

    The key of a change is that of the file, such as `data.labels`. Raises ProblemsError that names file, key, value and
    what is allowed, for all problems at once.
    """
    path = Path(name)
    if not path.is_file():
        preset = PRESETS / f"{path.name.removesuffix('.yaml')}.yaml"
        # a preset may be named by its path in the sources, wherever the package is installed
        if name in NOT_BUILT:
            raise ProblemsError([f"--config {name}: is not built: {NOT_BUILT[name]}, not only features of clips"])
        if path.parent not in (Path(), Path("configs/train")) or not preset.is_file():
            raise ProblemsError([f"--config {name}: no such file or preset; presets: {', '.join(preset_names())}"])
        path = preset
    try:
        values = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, EncodingError, OSError) as error:
        raise ProblemsError([f"--config {path}: not a YAML file ({' '.join(str(error).split())})"]) from None
    if not isinstance(values, dict):
        raise ProblemsError([f"--config {path}: holds a {type(values).__name__}, expected keys and values"])
    for key, value in (changes or {}).items():
        section, _, leaf = key.rpartition(".")
        inner = values.setdefault(section, {}) if section else values
        if isinstance(inner, dict):  # otherwise the section itself is wrong, which is reported below
            inner[leaf] = value
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        problems = [_line(found, path, changes or {}) for found in error.errors()]
        network = values.get("network")
        if isinstance(network, dict) and str(network.get("kind")) not in _NETWORKS:
            # for an unknown kind pydantic checks nothing else
            known = {name for model in _NETWORKS.values() for name in model.model_fields}
            unknown = [key for key in network if key not in known]
            problems += [f"--config {path}: network.{key}: unknown key for every kind of network" for key in unknown]
        raise ProblemsError(problems) from None


def _line(found: Any, path: Path, changes: Mapping[str, Any]) -> str:
    """One line for a pydantic error: flag or file and key, value, what is allowed."""
    if ".".join(str(part) for part in found["loc"]) in changes:
        return f"--{found['loc'][-1]}: {_said(found)}".replace("_", "-")
    return f"--config {path}: {_key_line(found)}"


def _said(found: Any) -> str:
    said = found["msg"].removeprefix("Input should be ").replace("greater than or equal to", "from")
    return f"{found['input']!r}; " + (f"allowed: {said}" if said != found["msg"] else said[0].lower() + said[1:])


def _key_line(found: Any) -> str:
    parts = [str(part) for part in found["loc"]]
    kind = ""
    if parts[:1] == ["network"] and len(parts) > 1 and parts[1] in _NETWORKS:
        kind = parts.pop(1)  # which member of the union was tried is not a key of the file
    key = ".".join(parts)
    if found["type"] == "extra_forbidden":
        allowed = _allowed(parts[:-1], kind)
        near = difflib.get_close_matches(parts[-1], allowed, 1)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"{key}: unknown key{hint} Allowed: {', '.join(allowed)}"
    if found["type"] == "missing":
        return f"{key}: is missing"
    if found["type"].startswith("union_tag"):
        return f"{key}.kind: {_value(found['input'], 'kind')}; allowed: {', '.join(sorted(_NETWORKS))}"
    return f"{key}: {_said(found)}"


def _value(given: object, key: str) -> str:
    return repr(given.get(key)) if isinstance(given, dict) else repr(given)


def _allowed(parents: list[str], kind: str) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "": TrainConfig,
        **{f"network.{name}": model for name, model in _NETWORKS.items()},
        "loss": LossSettings,
        "loss.smoothness": ScoreTerm,
        "loss.sparsity": ScoreTerm,
        "loss.magnitude": MagnitudeTerm,
        "optimizer": OptimizerSettings,
        "data": DataSettings,
    }
    return list(models[".".join([*parents, *([kind] if kind else [])])].model_fields)
