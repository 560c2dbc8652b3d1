"""A field of a settings class is a key of the site file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from stream.settings.site.derived import plain_keys, with_keys_of
from stream.settings.site.site_model import SiteModel


def test_a_field_with_a_doc_is_a_key_with_its_limits() -> None:
    @dataclass(frozen=True)
    class Lamp:
        brightness: Annotated[float, Field(ge=0, le=10)] = field(default=2.5, metadata={"doc": "Default: {default}."})
        unseen: int = 1

    @with_keys_of(Lamp)
    class LampModel(SiteModel):
        """A lamp."""

        colour: str | None = Field(None, description="Its colour.")

    properties = LampModel.model_json_schema()["properties"]
    assert list(properties) == ["colour", "brightness"]
    assert properties["brightness"]["description"] == "Default: 2.5."
    assert plain_keys(Lamp) == ("brightness",)
    with pytest.raises(ValidationError, match="less than or equal to 10"):
        LampModel.model_validate({"brightness": 11.0})
