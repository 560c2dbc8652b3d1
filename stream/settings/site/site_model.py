"""The base of all models of the site file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SiteModel(BaseModel):
    """Rejects unknown keys and values of the wrong type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
