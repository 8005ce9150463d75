"""Whether what a file holds is a sound group of measurements: everything that is wrong, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem
from imcsim.measurements import units
from imcsim.measurements.groups import (
    AdcTransfer,
    Drift,
    Group,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    Quantity,
    ReadNoise,
    Spread,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Given:
    """A field as it comes in: its numbers, the unit they are said to be in ("" if none is), and where it stands."""

    values: Array
    unit: str
    path: str


def sound(cls: type[Group], given: Mapping[str, Given], valid: Array | None, problems: list[Problem]) -> Group | None:
    """The group that `given` makes, in SI units, all its axes there, NaN where `valid` is 0; None, having told why."""
    before = len(problems)
    fields = cls.quantities()
    problems += [
        Problem((cls.name, name), f"is missing: {field.what}, {field.shape}")
        for name, field in fields.items()
        if field.required and name not in given
    ]
    for names in cls.one_of:
        if not any(name in given for name in names):
            problems.append(Problem((cls.name, names[0]), f"is missing: one of {', '.join(names)} is needed"))
    ready: dict[str, Array] = {}
    chosen: dict[str, str] = {}  # the unit of those fields that leave a choice
    for name, one in given.items():
        found = _numbers(cls, fields[name], one)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        ready[name], unit = found
        if len(fields[name].units) > 1:
            chosen[name] = unit
    if len({*chosen.values()}) > 1:
        told = " and ".join(f"{name} is in {unit}" for name, unit in chosen.items())
        problems.append(Problem((cls.name, next(iter(chosen))), f"must be in one unit: {told}"))
    if len(problems) == before:
        problems.extend(_axes(cls, ready))
    if valid is not None and cls.masked in ready and len(problems) == before:
        problems.extend(_mask(cls, ready, valid))
    if len(problems) == before:
        problems.extend(_contents(cls, ready, given))
    if len(problems) > before:
        return None
    lengths = _lengths(fields, ready)
    whole = {
        name: np.broadcast_to(value, tuple(lengths.get(axis, 1) for axis in fields[name].axes))
        for name, value in ready.items()
    }
    return cls(**whole, **({"unit": next(iter(chosen.values()))} if chosen else {}))


def _numbers(cls: type[Group], field: Quantity, given: Given) -> tuple[Array, str] | Problem:
    """The numbers of a field and their SI unit, or what is wrong with them or with their unit."""
    path = (cls.name, field.name)
    if not field.least <= given.values.ndim <= len(field.axes):
        return Problem(path, f"must have the axes {field.shape}", f"{given.values.ndim} axes")
    if field.whole:
        values = np.asarray(given.values, np.float64)
        if np.any(~np.isfinite(values)) or np.any(values != np.rint(values)):
            bad = values[~(np.isfinite(values) & (values == np.rint(values)))].flat[0]
            return Problem(path, "must be whole numbers", f"{bad:g}")
        return values.astype(np.int64), ""
    wanted = " or ".join(field.units)
    if not given.unit:
        remedy = f"give the dataset the attribute units, or the mapping unit: {units.KNOWN}"
        return Problem(path, f"has no unit; must be in {wanted}", remedy=remedy)
    if units.base_of(given.unit) is None:
        return Problem(path, f'has the unknown unit "{given.unit}"', remedy=f"known: {units.KNOWN}")
    to = next((one for one in field.units if units.converts(given.unit, one)), None)
    if to is None:
        return Problem(path, f"must be in {wanted}", given.unit)
    values = units.convert(given.values, given.unit, to)
    if values.size and not np.isfinite(values).any():
        return Problem(path, "holds no number: all of it is NaN or infinite")
    return np.where(np.isinf(values), np.nan, values), to


def _lengths(fields: Mapping[str, Quantity], ready: Mapping[str, Array]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for name, value in ready.items():
        for axis, length in zip(reversed(fields[name].axes), reversed(value.shape), strict=False):
            lengths.setdefault(axis, length)
    return lengths


def _axes(cls: type[Group], ready: Mapping[str, Array]) -> Iterator[Problem]:
    """Fields that do not agree on how long their axes are, or are empty."""
    fields = cls.quantities()
    first: dict[str, tuple[str, int]] = {}
    for name, value in ready.items():
        for axis, length in zip(reversed(fields[name].axes), reversed(value.shape), strict=False):
            other, known = first.setdefault(axis, (name, length))
            if length == 0:
                yield Problem((cls.name, name), f"is empty along {axis}")
            elif length != known:
                yield Problem((cls.name, name), f"must have {known} {axis}, as {other} has", str(length))


def _mask(cls: type[Group], ready: dict[str, Array], valid: Array) -> Iterator[Problem]:
    values = ready[cls.masked]
    if valid.shape != values.shape:
        yield Problem((cls.name, "valid"), f"must have the shape of {cls.masked}, {values.shape}", str(valid.shape))
        return
    ready[cls.masked] = np.where(valid != 0, values, np.nan)
    if not np.isfinite(ready[cls.masked]).any():
        yield Problem((cls.name, "valid"), f"leaves nothing of {cls.masked}")


def _contents(cls: type[Group], ready: Mapping[str, Array], given: Mapping[str, Given]) -> Iterator[Problem]:
    """What the numbers themselves cannot be."""
    for rule in _RULES.get(cls, ()):
        for name, allowed in rule(ready):
            yield Problem(
                (cls.name, name), allowed, given[name].path if given[name].path != f"{cls.name}/{name}" else ""
            )


Complaint = tuple[str, str]
Rule = Callable[[Mapping[str, Array]], Iterator[Complaint]]


def _among(name: str, *allowed: int) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        bad = ready[name][~np.isin(ready[name], allowed)] if name in ready else np.empty(0)
        if bad.size:
            yield name, f"must be {' or '.join(map(str, allowed))}: {bad.flat[0]} is there"

    return rule


def _at_least(name: str, low: int) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if name in ready and np.nanmin(ready[name]) < low:
            yield name, f"must be at least {low}: {np.nanmin(ready[name]):g} is there"

    return rule


def _above_zero(name: str) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if name in ready and np.nanmin(ready[name]) <= 0:
            yield name, f"must be above 0: {np.nanmin(ready[name]):g} is there"

    return rule


def _rising(name: str) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if name not in ready:
            return
        values = np.atleast_2d(ready[name])
        for row in values:
            there = row[np.isfinite(row)]
            at = np.flatnonzero(np.diff(there) <= 0)
            if at.size:
                yield name, f"must increase: {there[at[0] + 1]:g} follows {there[at[0]]:g}"
                return

    return rule


def _ordered(low: str, high: str) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if (low in ready) != (high in ready):
            here = low if low in ready else high
            yield here, f"needs {high if here == low else low} beside it: a window has two ends"
        elif low in ready and np.any(ready[low] > ready[high]):
            yield low, f"must not lie above {high}"

    return rule


def _codes_fit(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    bits = int(ready["bits"])
    if not 1 <= bits <= 16:
        yield "bits", f"must be from 1 to 16: {bits} is there"
    elif ready["code"].min() < 0 or ready["code"].max() >= 2**bits:
        outside = ready["code"].min() if ready["code"].min() < 0 else ready["code"].max()
        yield "code", f"must be from 0 to {2**bits - 1}, of {bits} bits: {outside} is there"


def _probabilities(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    if "probability" not in ready:
        return
    values = ready["probability"]
    if np.isnan(values).any() or values.min() < 0 or values.max() > 1:
        yield "probability", "must be from 0 to 1"
        return
    sums = values.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 1e-3:
        yield (
            "probability",
            f"must add up to 1 over the codes: {worst:.4f} is there",
        )


def _counts_of_power_ups(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    count = int(ready["power_ups"])
    for name in ("ones", "majority"):
        if name in ready and (ready[name].max() > count or ready[name].min() < 0):
            yield name, f"must be from 0 to power_ups = {count}"
    if "majority" in ready and 2 * ready["majority"].min() < count:
        yield "majority", f"must be at least half of power_ups = {count}"


_RULES: dict[type[Group], tuple[Rule, ...]] = {
    ProgramVerify: (_ordered("low", "high"), _among("success", 0, 1), _at_least("pulses", 0)),
    ReadNoise: (_above_zero("interval"),),
    Drift: (_rising("time"), _at_least("time", 0)),
    AdcTransfer: (_rising("input"), _codes_fit),
    MacTransfer: (_rising("ideal_sum"), _at_least("counts", 0), _probabilities, _at_least("observations", 1)),
    PulseResponse: (_among("direction", 1, -1),),
    PowerUp: (_at_least("power_ups", 2), _counts_of_power_ups),
    Spread: (_at_least("repeats", 1), _at_least("sigma", 0)),
}
