"""Converts arrays and numbers of a learned state to plain JSON values and back, with one-line errors."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TYPES: Final = ("<f2", "<f4", "<f8", "<u2", "|b1")


class CalibrationError(ValueError):
    """An unusable learned state or setting; the message is one line."""


def pack(values: NDArray[Any]) -> dict[str, Any]:
    """An array of float16, float32, float64, uint16 or bool as {"type", "shape", "data"}, without loss."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {
        "type": little.dtype.str,
        "shape": list(values.shape),
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def unpack(value: object, name: str, kind: str, shape: tuple[int | None, ...], *, finite: bool = True) -> NDArray[Any]:
    """The array that `pack` wrote: of NumPy type `kind` ("<f8") and of `shape`, where None means any length.

    Raises CalibrationError for anything else, and for non-finite numbers unless `finite` is False.
    """
    if not isinstance(value, Mapping) or value.get("type") != kind or kind not in _TYPES:
        raise CalibrationError(f"calibration: {name} is not an array of {kind}")
    given = value.get("shape")
    if not isinstance(given, list) or len(given) != len(shape):
        raise CalibrationError(f"calibration: {name} has shape {given}, expected {_named(shape)}")
    if any(type(have) is not int or have < 0 or want not in (None, have) for have, want in zip(given, shape)):  # noqa: B905
        raise CalibrationError(f"calibration: {name} has shape {given}, expected {_named(shape)}")
    try:
        raw = base64.b64decode(value.get("data", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise CalibrationError(f"calibration: {name} is not base64") from None
    if len(raw) != math.prod(given) * np.dtype(kind).itemsize:
        raise CalibrationError(f"calibration: {name} has {len(raw)} bytes, too few or too many for shape {given}")
    values = np.frombuffer(raw, kind).reshape(given)
    if finite and not np.isfinite(values).all():
        raise CalibrationError(f"calibration: {name} contains numbers that are not finite")
    return values.astype(values.dtype.newbyteorder("="))  # a copy that can be written


def _named(shape: tuple[int | None, ...]) -> list[int | str]:
    return ["any" if length is None else length for length in shape]


def number(value: object, name: str, least: float = -math.inf, most: float = math.inf, *, finite: bool = True) -> float:
    """A number from `least` to `most`. Raises CalibrationError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalibrationError(f"calibration: {name} is {value!r}, not a number")
    found = float(value)
    if math.isnan(found) or (finite and math.isinf(found)):
        raise CalibrationError(f"calibration: {name} is {value!r}, not a finite number")
    if not least <= found <= most:
        raise CalibrationError(f"calibration: {name} is {value!r}, must be from {least:g} to {most:g}")
    return found


def optional_number(value: object, name: str) -> float | None:
    """A finite number or None."""
    return None if value is None else number(value, name)


def flag(value: object, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise CalibrationError(f"calibration: {name} is {value!r}, not true or false")
    return value


def members(value: object, name: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """A JSON object with exactly `keys`. Raises CalibrationError that names the missing or unknown key."""
    if not isinstance(value, Mapping):
        raise CalibrationError(f"calibration: {name} is not a JSON object")
    missing = [key for key in keys if key not in value]
    unknown = sorted(str(key) for key in value if key not in keys)
    if missing or unknown:
        which = f"lacks {missing[0]}" if missing else f"has an unknown key {unknown[0]}"
        raise CalibrationError(f"calibration: {name} {which}")
    return value


def items(value: object, name: str, most: int) -> list[Any]:
    """A JSON list of at most `most` items."""
    if not isinstance(value, list) or len(value) > most:
        raise CalibrationError(f"calibration: {name} must be a list of at most {most} items")
    return value


def pair(value: object, name: str) -> tuple[float, float]:
    """A JSON list of two finite numbers."""
    both = items(value, name, 2)
    if len(both) != 2:
        raise CalibrationError(f"calibration: {name} must be a list of two numbers")
    return number(both[0], name), number(both[1], name)
