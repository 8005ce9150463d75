"""Whether what a file holds is a sound group of measurements: everything that is wrong, at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem
from imcsim.measurements import units
from imcsim.measurements.groups import Group, Quantity
from imcsim.measurements.plausible import complaints

Array = NDArray[Any]

MAX_WHOLE = 2**53  # beyond it floats skip whole numbers


@dataclass(frozen=True)
class Given:
    """A field as it comes in: its numbers, the unit they are said to be in ("" if none is), and where it stands."""

    values: Array
    unit: str
    path: str


def sound(cls: type[Group], given: Mapping[str, Given], valid: Array | None, problems: list[Problem]) -> Group | None:
    """The group that `given` makes: SI units, all axes, NaN where `valid` is 0; None, having told why not."""
    wrong = [*_absent(cls, given)]
    ready, unit = _in_si(cls, given, wrong)
    wrong.extend(_axes(cls, ready))
    if valid is not None and not wrong:
        wrong.extend(_mask(cls, ready, valid))
    if not wrong:
        for name, allowed in complaints(cls, ready):
            path = given[name].path
            remedy = f"it is {path} of the file" if path not in ("", f"{cls.name}/{name}") else ""
            wrong.append(Problem((cls.name, name), allowed, remedy=remedy))
    problems.extend(wrong)
    return None if wrong else cls(**_whole(cls, ready), **({"unit": unit} if unit else {}))


def _absent(cls: type[Group], given: Mapping[str, Given]) -> Iterator[Problem]:
    for name, field in cls.quantities().items():
        if field.required and name not in given:
            yield Problem((cls.name, name), f"is missing: {field.what}, {field.shape}")
    for names in cls.one_of:
        if not any(name in given for name in names):
            yield Problem((cls.name, names[0]), f"is missing: one of {', '.join(names)} is needed")


def _in_si(cls: type[Group], given: Mapping[str, Given], wrong: list[Problem]) -> tuple[dict[str, Array], str]:
    """The fields whose numbers are sound, and the unit of those that leave a choice ("" where none does)."""
    ready: dict[str, Array] = {}
    chosen: dict[str, str] = {}
    for name, field in cls.quantities().items():
        one = given.get(name)
        if one is None:
            continue
        found = _counted(cls, field, one) if field.whole else _measured(cls, field, one)
        if isinstance(found, Problem):
            wrong.append(found)
            continue
        ready[name], unit = found
        if len(field.units) > 1:
            chosen[name] = unit
    if len({*chosen.values()}) > 1:
        told = " and ".join(f"{name} is in {unit}" for name, unit in chosen.items())
        wrong.append(Problem((cls.name, next(iter(chosen))), f"must be in one unit: {told}"))
    return ready, next(iter(chosen.values()), "")


def _counted(cls: type[Group], field: Quantity, given: Given) -> tuple[Array, str] | Problem:
    """The whole numbers of a field, or what is wrong with them."""
    path = (cls.name, field.name)
    if not field.least <= given.values.ndim <= len(field.axes):
        return _of_other_axes(path, field, given)
    values = np.asarray(given.values, np.float64)
    bad = values[~((np.abs(values) <= MAX_WHOLE) & (values == np.rint(values)))]
    if bad.size:
        return Problem(path, "must be whole numbers", f"{bad.flat[0]:g}")
    return values.astype(np.int64), ""


def _measured(cls: type[Group], field: Quantity, given: Given) -> tuple[Array, str] | Problem:
    """The numbers of a field and their SI unit, or what is wrong with them or with their unit."""
    path, wanted = (cls.name, field.name), " or ".join(field.units)
    if not field.least <= given.values.ndim <= len(field.axes):
        return _of_other_axes(path, field, given)
    if not given.unit:
        remedy = f"give the dataset the attribute units, or the mapping a unit: {units.KNOWN}"
        return Problem(path, f"has no unit; must be in {wanted}", remedy=remedy)
    if units.base_of(given.unit) is None:
        return Problem(
            path, f'has the unknown unit "{given.unit}"; must be in {wanted}', remedy=f"known: {units.KNOWN}"
        )
    to = units.wanted_of(given.unit, field.units)
    if to is None:
        return Problem(path, f"must be in {wanted}", given.unit)
    values = units.convert(given.values, given.unit, to)
    if values.size and not np.isfinite(values).any():
        return Problem(path, "holds no number: all of it is NaN or infinite")
    return np.where(np.isinf(values), np.nan, values), to


def _of_other_axes(path: tuple[str, ...], field: Quantity, given: Given) -> Problem:
    return Problem(path, f"must have the axes {field.shape}", f"an array of shape {given.values.shape}")


def _axes(cls: type[Group], ready: Mapping[str, Array]) -> Iterator[Problem]:
    """Fields that do not agree on how long their axes are, lack one that others have, or are empty."""
    fields = cls.quantities()
    first: dict[str, tuple[str, int]] = {}
    for name, value in ready.items():
        for axis, length in _lengths(fields[name], value).items():
            other, known = first.setdefault(axis, (name, length))
            if length == 0:
                yield Problem((cls.name, name), f"is empty along {axis}")
            elif length != known:
                yield Problem((cls.name, name), f"must have {known} {axis}, as {other} has", str(length))
    for name, value in ready.items():
        if fields[name].shared:
            continue
        for axis in fields[name].axes[: len(fields[name].axes) - value.ndim]:
            other, known = first.get(axis, ("", 1))
            if known > 1:
                yield Problem((cls.name, name), f"must have {known} {axis}, as {other} has", f"no axis of {axis}")


def _lengths(field: Quantity, value: Array) -> dict[str, int]:
    return dict(zip(field.axes[len(field.axes) - value.ndim :], value.shape, strict=True))


def _mask(cls: type[Group], ready: dict[str, Array], valid: Array) -> Iterator[Problem]:
    """Puts NaN where `valid` is 0; what is wrong with the mask."""
    values = ready.get(cls.masked)
    if values is None:
        yield Problem((cls.name, "valid"), f"marks the gaps of {cls.masked}, which is not there")
    elif valid.shape != values.shape:
        yield Problem((cls.name, "valid"), f"must have the shape of {cls.masked}, {values.shape}", str(valid.shape))
    elif not np.isin(valid, (0, 1)).all():
        yield Problem((cls.name, "valid"), "must be 0 or 1")
    else:
        ready[cls.masked] = np.where(valid == 1, values, np.nan)
        if not np.isfinite(ready[cls.masked]).any():
            yield Problem((cls.name, "valid"), f"leaves nothing of {cls.masked}")


def _whole(cls: type[Group], ready: Mapping[str, Array]) -> dict[str, Array]:
    """The fields with all their axes: those that are shared the same along them, others of length one."""
    fields = cls.quantities()
    lengths: dict[str, int] = {}
    for name, value in ready.items():
        lengths |= _lengths(fields[name], value)
    return {
        name: np.broadcast_to(value, tuple(lengths.get(axis, 1) for axis in fields[name].axes))
        for name, value in ready.items()
    }
