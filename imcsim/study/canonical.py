"""Canonical JSON: one text for equal values, so that its SHA-256 names them; numpy arrays ride along in base64."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ARRAY_KEYS = {"dtype", "shape", "data"}


def canonical_json(value: Any) -> str:
    """`value` as ASCII JSON: sorted keys, no spaces, shortest floats; ValueError for NaN and infinities."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """The SHA-256 of `value` in canonical JSON: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def plain(value: Any) -> Any:
    """`value` in dicts, lists and scalars alone; an array becomes {dtype, shape, data}, little-endian in base64."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.bool_() | np.integer() | np.floating():
            return value.item()
        case np.ndarray():
            return _encoded(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case Mapping():
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise TypeError(f"canonical JSON: key {wrong[0]!r}: must be a string")
            return {key: plain(item) for key, item in value.items()}
    raise TypeError(f"canonical JSON: {type(value).__name__}: must be a scalar, a string, a list, a table or an array")


def restored(value: Any) -> Any:
    """The inverse of `plain`: every table of exactly the keys dtype, shape and data is an array again."""
    if isinstance(value, list):
        return [restored(item) for item in value]
    if isinstance(value, dict):
        return _decoded(value) if value.keys() == _ARRAY_KEYS else {key: restored(item) for key, item in value.items()}
    return value


def _encoded(array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"canonical JSON: array of {array.dtype}: must be of booleans, integers or floats")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "data": data}


def _decoded(table: dict[str, Any]) -> NDArray[Any]:
    flat = np.frombuffer(base64.b64decode(table["data"]), dtype=table["dtype"])
    return flat.reshape(table["shape"]).copy()  # a buffer of bytes is read-only


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every value of nested tables as text under its dotted path."""
    found: dict[str, str] = {}
    for key, value in table.items():
        path = f"{prefix}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, dict) else {path: json.dumps(value)}
    return found
