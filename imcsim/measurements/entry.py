"""One field of a mapping: what its table may say, and the numbers that it then stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem, did_you_mean
from imcsim.measurements.checks import Given
from imcsim.measurements.guard import Stored

Array = NDArray[Any]

SOURCES = ("path", "value", "range")
JOINS = ("append", "stack", "sum")
MAX_NUMBERS = 10**8  # that a range or a repetition may make
KEYS = {
    "path": "the path of their dataset, or a list of paths",
    "value": "numbers, in place of a dataset",
    "range": "[first, last] or [first, last, step], in place of a dataset",
    "join": "append (along the first axis; as it is if not given), stack (on a new first axis) or sum",
    "transpose": "the order in which their axes are to stand, from 0",
    "repeat": "how often each number along the first axis is repeated, or one number for all",
    "scale": "a factor on their numbers, ahead of the unit",
    "unit": "the unit of their numbers; if not given, the attribute units of their dataset",
}


def paths_of(entry: Mapping[str, Any]) -> list[str]:
    """The datasets that an entry names."""
    names = entry.get("path", [])
    return [name.strip("/") for name in (names if isinstance(names, list) else [names]) if isinstance(name, str)]


def problems_of(entry: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with an entry as it stands, whatever the file holds."""
    for key in entry:
        if key not in KEYS:
            yield Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, KEYS))
        elif not _KINDS[key](entry[key]):
            yield Problem((key,), f"must be {KEYS[key]}", str(entry[key]))
    if sum(key in entry for key in SOURCES) != 1:
        yield Problem((), f"must have one of {', '.join(SOURCES)}")


def missing_of(entry: Mapping[str, Any], held: Mapping[str, Stored]) -> Iterator[Problem]:
    """The datasets that an entry names and the file does not have."""
    datasets = sorted(one.path for one in held.values() if one.is_dataset)
    for name in paths_of(entry):
        if name not in datasets:
            yield Problem(("path",), f'there is no dataset "{name}" in the file', remedy=did_you_mean(name, datasets))


def given_by(entry: Mapping[str, Any], content: Mapping[str, Array], held: Mapping[str, Stored]) -> Given | Problem:
    """The numbers of a field as its entry has them, in the unit that it tells or their dataset does."""
    names = paths_of(entry)
    told = list(dict.fromkeys(held[name].units for name in names))
    if "unit" not in entry and len(told) > 1:
        return Problem(("path",), f"the datasets are in different units: {', '.join(told)}", remedy="map them apart")
    try:
        values = _repeated(_joined(_parts(entry, content), entry.get("join", "append")), entry.get("repeat"))
    except ValueError as error:
        return Problem((), str(error))
    if "scale" in entry:
        values = np.asarray(values, np.float64) * entry["scale"]
    return Given(values, entry.get("unit", told[0] if told else ""), names[0] if names else "")


def _parts(entry: Mapping[str, Any], content: Mapping[str, Array]) -> list[Array]:
    """The arrays that an entry names, their axes in the order it wants."""
    if "value" in entry:
        parts = [np.asarray(entry["value"])]
    elif "range" in entry:
        first, _, step = (*entry["range"], 1)[:3]
        parts = [first + step * np.arange(_steps(entry["range"]))]
    else:
        parts = [content[name] for name in paths_of(entry)]
    order = entry.get("transpose")
    if order is None:
        return parts
    if any(sorted(order) != list(range(part.ndim)) for part in parts):
        raise ValueError(f"transpose = {order}: must name each of the {parts[0].ndim} axes once, from 0")
    return [part.transpose(order) for part in parts]


def _joined(parts: list[Array], how: str) -> Array:
    try:
        if how == "sum":
            return np.asarray(np.stack(parts).sum(axis=0))
        if how == "stack":
            return np.stack(_padded(parts))
        return np.concatenate(_padded(parts)) if len(parts) > 1 else parts[0]
    except ValueError:
        shapes = ", ".join(str(part.shape) for part in parts)
        raise ValueError(f"the datasets do not fit together: they are of shapes {shapes}") from None


def _padded(parts: list[Array]) -> list[Array]:
    """Arrays of two axes and more, with NaN behind those that are shorter along the last."""
    longest = max((part.shape[-1] for part in parts if part.ndim), default=0)
    if min(part.ndim for part in parts) < 2 or all(part.shape[-1] == longest for part in parts):
        return parts
    return [
        np.concatenate([part, np.full((*part.shape[:-1], longest - part.shape[-1]), np.nan)], axis=-1) for part in parts
    ]


def _repeated(values: Array, counts: int | list[int] | None) -> Array:
    if counts is None:
        return values
    if values.ndim == 0 or (isinstance(counts, list) and len(counts) != len(values)):
        raise ValueError(f"repeat = {counts}: must be one number, or one for each along the first axis")
    total = sum(counts) if isinstance(counts, list) else counts * len(values)
    if total * (values.size // max(1, len(values))) > MAX_NUMBERS:
        raise ValueError(f"repeat = {counts}: makes more than {MAX_NUMBERS} numbers")
    return np.repeat(values, counts, axis=0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBERS


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_whole(one) for one in value)


def _are_numbers(value: Any) -> bool:
    """Whether it is a number, or lists of equal length of them."""
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:
        return False


def _is_range(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) in (2, 3) and all(_is_number(one) for one in value)):
        return False
    return all(np.isfinite(value)) and (*value, 1)[2] != 0 and 1 <= _steps(value) <= MAX_NUMBERS


def _steps(bounds: list[float]) -> int:
    """How many numbers a range has, its last one among them."""
    first, last, step = (*bounds, 1)[:3]
    return int(np.floor((last - first) / step + 1e-9)) + 1


_KINDS: dict[str, Callable[[Any], bool]] = {
    "path": lambda value: (
        isinstance(value, str)
        or (isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value))
    ),
    "value": _are_numbers,
    "range": _is_range,
    "join": lambda value: value in JOINS,
    "transpose": _are_whole,
    "repeat": lambda value: _is_whole(value) or _are_whole(value),
    "scale": _is_number,
    "unit": lambda value: isinstance(value, str),
}
