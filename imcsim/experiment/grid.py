"""What a study sweeps: the axes of [grid], checked value by value, and the cells of their product."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.design import Design
from imcsim.experiment.evaluate import cell_config
from imcsim.specs.cells import ALTERNATIVES, DERIVES_MISMATCH
from imcsim.specs.codec import DEFAULT_KINDS, format_value, overlaid
from imcsim.specs.fields import Spec, fields_of
from imcsim.study.plan import Axis, Cell

SWEPT = ("chip", "network", "training")  # what a path of [grid] may start with
VARIANT = "variant"  # the axis of the named changes in [variants]


def variant_axis(
    variants: Mapping[str, Any], grid: Mapping[str, Any], design: Design, problems: list[Problem]
) -> list[Axis]:
    """The axis of [variants]: named tables, each laid over the design; none where there are no variants."""
    for name, changes in variants.items():
        for path in grid:
            if (leaf := variant_leaf(changes, path)) is not None:
                remedy = "sweep it, or vary it"
                problems.append(
                    Problem(("variants", name, leaf), f'would not be heard: [grid] sweeps "{path}"', remedy=remedy)
                )
        where = ("variants", name)
        if not isinstance(changes, Mapping):
            problems.append(Problem(where, "must be a table of changes", given=format_value(changes)))
            continue
        strange = [key for key in changes if key not in SWEPT]
        problems.extend(Problem((*where, key), "cannot vary", remedy=f"vary {', '.join(SWEPT)}") for key in strange)
        found: list[Problem] = []
        overlaid(design, {key: value for key, value in changes.items() if key in SWEPT}, (), found)
        problems.extend(problem.within(*where) for problem in found)
    return [Axis(VARIANT, tuple(variants))] if variants else []


def variant_leaf(changes: Any, path: str) -> str | None:
    """A path that a variant changes and that is `path`, holds it, lies inside it or is an alternative to it."""
    head, _, name = path.rpartition(".")
    rivals = {path, *(f"{head}.{other}" for other in ALTERNATIVES.get(name, ()) if head == "chip.cell")}
    leaves = _leaves("", changes) if isinstance(changes, Mapping) else ()
    for leaf in (leaf.removeprefix(".") for leaf in leaves):
        if leaf in rivals or path.startswith(leaf + ".") or leaf.startswith(path + "."):
            return leaf
    return None


def swept_axes(
    grid: Mapping[str, Any], design: Design, chip: Mapping[str, Any], problems: list[Problem], *, needed: bool = True
) -> list[Axis]:
    """The axes of [grid], each value checked against `design`; `chip` is the study's own section.

    An empty grid is a problem where it is `needed`.
    """
    if not grid and needed:
        example = 'for one, "chip.adc.bits" = [4, 6, 8]'
        problems.append(Problem(("grid",), "is empty: a study sweeps at least one path", remedy=example))
    listed = [path for path, values in grid.items() if not isinstance(values, Mapping)]
    problems.extend(_conflicts(listed, chip, DERIVES_MISMATCH.get(type(design.chip.cell), ())))
    axes = []
    for path, values in grid.items():
        found = list(_axis_problems(path, values, design))
        if not found:
            try:
                axes.append(Axis(path, tuple(_canonical(design, path, value) for value in values)))
            except SpecError as error:
                found = list(error.problems)
        problems.extend(found)
    return axes


def _axis_problems(path: str, values: Any, design: Design) -> Iterator[Problem]:
    known = [known for head in SWEPT for known in _paths(getattr(design, head), head)]
    if path not in known:
        unquoted = [leaf for leaf in _leaves(path, values) if leaf in known]
        for leaf in unquoted:
            yield Problem(("grid", leaf), "a path is one key: put it in quotes", remedy=f'write "{leaf}" = [...]')
        if unquoted:
            return
        remedy = did_you_mean(path, known)
        if path == "chip.device":
            remedy = "a device is not swept; sweep the fields of chip.cell, or run a study a device (--set, --out)"
        yield Problem(("grid", path), "no such path to sweep", remedy=remedy)
        return
    if not isinstance(values, list) or not values:
        yield Problem(("grid", path), "must be a list of at least one value", given=format_value(values))
        return
    for index, value in enumerate(values):
        found: list[Problem] = []
        overlaid(design, _nested(path, value), (), found)
        for problem in found:
            at = ".".join(problem.path)
            inner = at[len(path) :] if at.startswith(path) else ""
            where = f'"{path}"[{index}]{inner}' if len(values) > 1 or inner else path
            if at.startswith(path):
                yield dataclasses.replace(problem, path=("grid", where))
            else:  # the value is at odds with another field
                value_there = f" = {problem.given}" if problem.given else ""
                allowed = f"{at}{value_there}: {problem.allowed}"
                yield Problem(("grid", where), allowed, given=format_value(value), remedy=problem.remedy)


def _canonical(design: Design, path: str, value: Any) -> Any:
    """A swept value as its field holds it: 0 and 0.0 for a float are one, in the results' file as in the spec."""
    head, _, name = path.rpartition(".")
    spec = value_at(design, head)
    field = next(field for field in fields_of(type(spec)) if field.name == name)
    if field.specs:  # a whole component: its kind is part of what it is
        return {"kind": DEFAULT_KINDS[name], **value} if name in DEFAULT_KINDS else value
    converted, _ = field.checked(value)
    return list(converted) if isinstance(converted, tuple) else converted


def _conflicts(paths: Sequence[str], chip: Mapping[str, Any], deriving: Sequence[str]) -> Iterator[Problem]:
    for outer in paths:
        for inner in paths:
            if inner.startswith(outer + "."):
                yield Problem(
                    ("grid", inner), f'lies inside "{outer}", which is swept, too', remedy="sweep one of them"
                )
    mismatch = "chip.cell.mismatch_sigma_rel"
    cell = chip.get("cell")
    given = isinstance(cell, Mapping) and "mismatch_sigma_rel" in cell
    for name in deriving:
        path = f"chip.cell.{name}"
        if path in paths and (mismatch in paths or (given and name in ALTERNATIVES)):
            allowed = f"cannot be swept together with a given {mismatch}, which is derived from it"
            yield Problem(("grid", path), allowed, remedy="sweep or give one of the two")


def resolved_cell(
    design: Design,
    variants: Mapping[str, Any],
    axes: Sequence[Axis],
    index: tuple[int, ...],
    problems: list[Problem],
) -> Cell | None:
    """The cell at `index` of the grid: `design` with that value of each axis; None where it cannot be.

    A variant comes first: what is swept beside it is laid over it.
    """
    changes: dict[str, Any] = {}
    for axis, position in zip(axes, index, strict=True):
        value = axis.values[position]
        _merge(changes, variants[value] if axis.path == VARIANT else _nested(axis.path, value))
    found: list[Problem] = []
    resolved = overlaid(design, changes, (), found)
    if resolved is None:
        at = ", ".join(f"{axis.path} = {format_value(axis.values[i])}" for axis, i in zip(axes, index, strict=True))
        problems.extend(dataclasses.replace(p, allowed=f"{p.allowed} (in the cell {at})") for p in found)
        return None
    return Cell(index, cell_config(resolved))


def _paths(spec: Spec, prefix: str) -> Iterator[str]:
    """Every dotted path below `spec`, the components themselves included."""
    for field in fields_of(type(spec)):
        path = f"{prefix}.{field.name}"
        yield path
        value = getattr(spec, field.name)
        if isinstance(value, Spec):
            yield from _paths(value, path)


def value_at(spec: Spec, path: str) -> Any:
    """The value at a dotted path of a spec; None where it has no such field."""
    value: Any = spec
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def _leaves(path: str, values: Any) -> Iterator[str]:
    """The dotted paths of the values in nested tables."""
    if not isinstance(values, Mapping):
        yield path
        return
    for key, value in values.items():
        yield from _leaves(f"{path}.{key}", value)


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(into.get(key), dict) and isinstance(value, Mapping):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
