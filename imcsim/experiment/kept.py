"""What a network on a chip holds, as data that an artifact keeps: everything but the silicon, which its key makes anew.

Tables name the classes of what they describe; only dataclasses and named tuples of imcsim are made of them again.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from imcsim.errors import DataError
from imcsim.silicon import Silicon


def state_of(held: Any, path: str = "") -> Any:
    """`held` in tables, lists, scalars and arrays, of silicon where it stands; TypeError for what is no data."""
    match held:
        case Silicon():
            return {"silicon": path}
        case np.generic():
            return {"scalar": np.asarray(held)}
        case float() if not math.isfinite(held):
            return {"scalar": np.asarray(held)}
        case None | bool() | int() | float() | str() | np.ndarray():
            return held
        case tuple() if not hasattr(held, "_fields"):
            return {"items": [state_of(item, f"{path}.{place}") for place, item in enumerate(held)]}
    if not _is_record(type(held)):
        raise TypeError(f"{path}: a {type(held).__name__} cannot be kept")
    fields = {name: state_of(getattr(held, name), f"{path}.{name}") for name in _names(type(held))}
    return {"of": f"{type(held).__module__}:{type(held).__qualname__}", "fields": fields}


def held_by(state: Any, manufactured: Any) -> Any:
    """The inverse of `state_of`, with the silicon of `manufactured`, a network of the same design on the same die.

    Raises DataError for what `state_of` did not make.
    """
    match state:
        case {"silicon": path}:
            found = _at(manufactured, path)
            if not isinstance(found, Silicon):
                raise DataError.of(path, "is no silicon")
            return found
        case {"scalar": value}:
            return value[()]
        case {"items": items}:
            return tuple(held_by(item, manufactured) for item in items)
        case {"of": name, "fields": fields}:
            return _class(name)(**{key: held_by(value, manufactured) for key, value in fields.items()})
        case Mapping() | list():
            raise DataError.of((), "is no state of a network")
    return state


def _is_record(cls: type) -> bool:
    named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return cls.__module__.startswith("imcsim.") and (dataclasses.is_dataclass(cls) or named_tuple)


def _names(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else list(cls._fields)


def _class(name: str) -> Any:
    """The class "module:Name" of imcsim; DataError where it is none that holds data alone."""
    module, _, inner = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), inner, None) if module.startswith("imcsim.") else None
    except ModuleNotFoundError:
        found = None
    if not isinstance(found, type) or not _is_record(found):
        raise DataError.of((), "names no record of imcsim", given=f'"{name}"')
    return found


def _at(held: Any, path: str) -> Any:
    """What stands at a dotted path of fields and places."""
    for name in path.split(".")[1:]:
        held = held[int(name)] if name.isdigit() else getattr(held, name)
    return held
