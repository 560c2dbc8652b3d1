"""`manifest.json` of a bundle: what the models are, what they see, and the hash of every file."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.geometry import crops_of

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
KindName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Weights(BaseModel):
    """The source and licence of weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    license: str
    sha256: Sha256


class Thresholds(BaseModel):
    """Alarm thresholds and how they were chosen; `min_duration` in seconds, None: the program's default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: Fraction
    off: Fraction
    chosen: str
    min_duration: Annotated[float, Field(ge=0, le=60)] | None = None

    @model_validator(mode="after")
    def _hysteresis(self) -> Thresholds:
        if self.off > self.on:
            raise ValueError(f"off {self.off} is above on {self.on}")
        return self


class Manifest(BaseModel):
    """The manifest. `head` and `thresholds` are None in a bundle that contains only a backbone.

    layers: the layers whose means are concatenated in a feature, with their channels; the published feature is the last
    one.
        Empty: the feature is the published one.
    kinds: names of the kinds of incident that the head's parts stand for, in their order; events may state those in
        `claimed_kinds`. Empty: the head does not distinguish kinds.
    calibration: what a camera's logits are compared with until it has its own history; None: scores are the head's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    project_version: str
    created: str
    backbone: Weights
    head: Weights | None
    channels: Annotated[int, Field(ge=1)]
    layers: dict[str, Annotated[int, Field(ge=1)]] = {}
    clip_length: Literal[16] = 16
    window: Literal[32] = 32
    crops: Annotated[int, Field(ge=1, le=10)]
    geometry: Literal["squash", "ends", "center", "ten", "focus"]
    color_order: Literal["rgb"] = "rgb"
    thresholds: Thresholds | None
    calibration: dict[str, Any] | None = None
    kinds: tuple[KindName, ...] = ()
    claimed_kinds: tuple[KindName, ...] = ()
    files: dict[FileName, Sha256]

    @model_validator(mode="after")
    def _cut_so(self) -> Manifest:
        if self.layers and sum(self.layers.values()) != self.channels:
            raise ValueError(f"channels is {self.channels}, but the layers have {sum(self.layers.values())}")
        if len(set(self.kinds)) < len(self.kinds) or not set(self.claimed_kinds) <= set(self.kinds):
            raise ValueError(f"claimed_kinds {self.claimed_kinds} are not among the kinds {self.kinds}, each once")
        if self.crops != (cut := crops_of(self.geometry)):
            raise ValueError(f"crops is {self.crops}, but geometry {self.geometry} has {cut}")
        return self
