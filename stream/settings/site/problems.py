"""Converts errors of pydantic to lines for the user: key, value, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from stream.base.redaction import redact_url
from stream.settings.site.document import Document, Path, Problem, key_of
from stream.settings.site.models import SiteFile
from stream.settings.site.values import ALLOWED_BY

_KEY: Final = "[key]"  # how pydantic marks a dictionary's key
_LONGEST_VALUE: Final = 80
_TYPES: Final = {
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list",
    "model_type": "must be a block of keys",
    "dict_type": "must be a block of keys",
    "finite_number": "must be a number",
}
_BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def described(errors: Iterable[ErrorDetails], document: Document) -> list[Problem]:
    """All errors, with their lines."""
    return [_described(error, document) for error in errors]


def path_of(error: ErrorDetails) -> Path:
    """The path of the error in the document."""
    return tuple(part for part in error["loc"] if part != _KEY)


def _described(error: ErrorDetails, document: Document) -> Problem:
    path, kind = path_of(error), error["type"]
    if kind == "list_type" and path[-3:-2] in (
        ("masks",),
        ("only_here",),
    ):  # a number in place of a point: a polygon was given instead of a list of polygons
        path, text = path[:-2], "must be a list of polygons, [[[x, y], [x, y], [x, y]]]: add one more pair of brackets"
    elif kind == "extra_forbidden":
        text = _elsewhere(path) or unknown(str(path[-1]), _known_keys(SiteFile, path[:-1]))
    elif kind == "missing":
        text = "is missing"
    else:
        # notification targets are always secret, also if the block that contains them was removed
        secret = path == ("notify",) or path[:2] == ("notify", "targets")
        value = "" if secret else shown(error["input"])
        text = f"{value}{_allowed(error)}{_hint(error, path)}"
    return Problem(document.line(path), key_of(path), text)


def _allowed(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "string_pattern_mismatch":
        return ALLOWED_BY[context["pattern"]]
    if kind in ("too_short", "too_long"):
        words = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"{context['actual_length']} given; must be {words}"
    if kind == "value_error":
        return str(context["error"])
    return error["msg"][0].lower() + error["msg"][1:]


def shown(value: Any) -> str:
    """The value for display, with a colon; "" if it has no short form."""
    if isinstance(value, dict | list):
        return ""
    text = value if isinstance(value, str) else "null" if value is None else repr(value).lower()
    text = redact_url(text)
    if "@" in text and "***@" not in text:  # even an invalid URL may contain a password
        text = f"***{text[text.rindex('@') :]}"
    text = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
    return f"{text}: " if text and text == text.strip() and text.isprintable() else f"{text!r}: "


def unknown(key: str, known: list[str], what: str = "unknown key") -> str:
    """A message that `key` is not one of `known`, with the closest match."""
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{what}; {hint}allowed: {', '.join(known)}"


def _hint(error: ErrorDetails, path: Path) -> str:
    """A hint for common mistakes: quotes around a number, an address instead of a block."""
    value = error["input"]
    if not isinstance(value, str):
        return ""
    if error["type"] == "model_type" and "://" in value and "url" in _known_keys(SiteFile, path):
        return ", {url: ...}"
    plain = {"bool_type": r"true|false", "int_type": r"-?[0-9]+", "float_type": r"-?[0-9]+(\.[0-9]*)?"}
    return ", without quotes" if re.fullmatch(plain.get(error["type"], "(?!)"), value) else ""


def _elsewhere(path: Path) -> str:
    """A message that a nested block has this key, or ""."""
    model = _model_at(SiteFile, path[:-1])
    inner = ((field.alias or name, _model_in(field.annotation)) for name, field in model.model_fields.items())
    found = [f"`{name}`" for name, block in inner if block is not None and path[-1] in _keys(block)]
    return f"unknown key here; it belongs in {' or '.join(found)}" if found else ""


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys of the model at a path below `model`."""
    return _keys(_model_at(model, path))


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    if not path:
        return model
    by_key = {field.alias or name: field for name, field in model.model_fields.items()}
    annotation = by_key[str(path[0])].annotation
    inner = _model_in(annotation)
    if _maps_names(annotation):
        path = path[1:]  # the name of a camera or mode is not a key
    rest = [part for part in path[1:] if not isinstance(part, int)]
    assert inner is not None  # noqa: S101 -- only models have unknown keys
    return _model_at(inner, tuple(rest))


def _maps_names(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_maps_names(part) for part in get_args(annotation))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
