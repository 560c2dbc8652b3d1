"""Derives keys of the site file from settings classes: a field there defines a key, its limits and its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, create_model
from pydantic import Field as ModelField

_Model = TypeVar("_Model", bound=BaseModel)


def plain_keys(settings: type[Any]) -> tuple[str, ...]:
    """The fields of a frozen dataclass that are keys of the site file: those with a `doc`."""
    return tuple(field.name for field in fields(settings) if "doc" in field.metadata)


def with_keys_of(settings: type[Any]) -> Callable[[type[_Model]], type[_Model]]:
    """Class decorator: adds an optional key to the model for each plain key of the dataclass `settings`.

    The annotation of a field has the limits, and `doc` in its metadata the description, in which `{default}` is
    replaced by the default. The model's own keys keep their order; one with the name of a field takes the place of that
    field.
    """

    def derived(model: type[_Model]) -> type[_Model]:
        hints, own_hints = get_type_hints(settings, include_extras=True), get_type_hints(model, include_extras=True)
        own = {name: (own_hints[name], field) for name, field in model.model_fields.items()}
        keys: dict[str, Any] = {}
        for field in fields(settings):
            if "doc" in field.metadata:
                keys[field.name] = (hints[field.name] | None, ModelField(None, description=_described(field)))
            elif field.name in own and _optional(field):
                while field.name in own:
                    first = next(iter(own))
                    keys[first] = own.pop(first)
        # the remaining own keys do not share a name with a field, and come first
        made = create_model(
            model.__name__, __base__=model.__base__, __module__=model.__module__, __doc__=model.__doc__, **(own | keys)
        )
        return cast(type[_Model], made)

    return derived


def _optional(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _described(field: Field[Any]) -> str:
    default = field.default
    shown = (
        str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else default
    )
    return str(field.metadata["doc"]).replace("{default}", str(shown))
