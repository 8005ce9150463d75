"""A study's TOML file -> a plan: what it sweeps, every cell resolved and checked, every problem reported at once."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.design import Design
from imcsim.experiment.evaluate import cell_config
from imcsim.specs.cells import DERIVES_MISMATCH
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, format_toml, format_value, overlaid, parse_toml, read_toml, to_table
from imcsim.specs.fields import Spec, fields_of
from imcsim.specs.library import load
from imcsim.study.plan import Axis, Cell, Plan, PlotSpec, Replicates

SECTIONS = ("name", "dataset", "seed", "replicates", "network", "training", "chip", "grid", "plot")
SWEPT = ("chip", "network", "training")  # what a path of [grid] may start with

QUICK_EPOCHS = 10
QUICK_VALUES = 3
QUICK_TRAININGS = 2


def read_study(path: Path, settings: Sequence[str] = (), *, quick: bool = False) -> Plan:
    """The plan of the study file at `path`, changed by settings "dotted.path=value" (a TOML value, or a bare word).

    A setting of a swept path puts that one value in place of the axis. `quick` thins the study out: at most 3 values
    an axis, 2 trainings, 1 die and read, 10 epochs; the name gains "-quick". Raises SpecError with all problems.
    """
    table = read_toml(path)
    changes = [_parse_setting(text) for text in settings]
    problems: list[Problem] = []
    for keys, value in changes:
        _apply(table, keys, value, problems)
    if quick:
        _thin(table)
    plan = _plan(table, path.parent, problems)
    if problems or plan is None:
        raise SpecError(_attributed(problem, str(path), [keys for keys, _ in changes]) for problem in problems)
    return plan


def _plan(table: Mapping[str, Any], folder: Path, problems: list[Problem]) -> Plan | None:
    problems.extend(
        Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, SECTIONS))
        for key in table
        if key not in SECTIONS
    )
    sections = {key: table.get(key, {}) for key in ("replicates", "network", "training", "chip", "grid")}
    for key in [key for key, value in sections.items() if not isinstance(value, Mapping)]:
        problems.append(Problem((key,), "must be a table", given=format_value(sections[key])))
        sections[key] = {}
    name = table.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        allowed = "must be letters, digits, dot, dash and underscore, as it names files"
        problems.append(Problem(("name",), allowed, given="" if name is None else format_value(name)))
    replicates = build(Replicates, sections["replicates"], ("replicates",), problems)
    plot = _plot(table.get("plot"), problems)
    chip = _chip(sections["chip"], folder, problems)
    rest = {key: table[key] for key in ("dataset", "seed") if key in table}
    # where the chip is at fault, an ideal one stands in, so that the other sections are checked all the same
    stand_in = chip or load("sram_ideal")
    whole = {**rest, "network": sections["network"], "training": sections["training"], "chip": stand_in}
    design = build(Design, whole, (), problems)
    if design is None or chip is None:
        return None
    axes = _axes(sections["grid"], design, sections["chip"], problems)
    if problems or replicates is None:
        return None
    return _assembled(str(name), table, design, axes, replicates, plot, problems)


def _assembled(
    name: str,
    table: Mapping[str, Any],
    design: Design,
    axes: Sequence[Axis],
    replicates: Replicates,
    plot: PlotSpec | None,
    problems: list[Problem],
) -> Plan | None:
    cells = [_cell(design, axes, index, problems) for index in product(*(range(len(axis.values)) for axis in axes))]
    if problems:
        problems[:] = dict.fromkeys(problems)  # many cells may share one
        return None
    data = datasets.load(design.dataset)
    described = {
        "name": name,
        **to_table(design),
        "replicates": to_table(replicates),
        "grid": {axis.path: list(axis.values) for axis in axes},
        **({"plot": to_table(plot)} if plot else {}),
    }
    chip = {"device": table["chip"]["device"], **described["chip"]}
    try:
        return Plan(
            name=name,
            config=described,
            toml=format_toml({**described, "chip": chip}),
            axes=tuple(axes),
            cells=tuple(cell for cell in cells if cell is not None),
            replicates=replicates,
            dataset_sha256=data.sha256,
            chance=1.0 / data.classes,
            plot=plot,
        )
    except SpecError as error:
        problems.extend(error.problems)
        return None


def _chip(table: Mapping[str, Any], folder: Path, problems: list[Problem]) -> ChipSpec | None:
    """The device model that the section names, with the section's own values laid over it."""
    device = table.get("device")
    if not isinstance(device, str):
        given = "" if device is None else format_value(device)
        allowed = "must be the name of a device model or the path of a TOML file"
        problems.append(Problem(("chip", "device"), allowed, given, "`imcsim devices` lists the models"))
        return None
    try:
        spec = load(folder / device if device.endswith(".toml") else device)
    except SpecError as error:
        # what is wrong with a file says where itself; a wrong name stands here
        problems.extend(p if p.source else p.within("chip", "device") for p in error.problems)
        return None
    own = {key: value for key, value in table.items() if key != "device"}
    return overlaid(spec, own, ("chip",), problems)


def _plot(table: Any, problems: list[Problem]) -> PlotSpec | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        problems.append(Problem(("plot",), "must be a table", given=format_value(table)))
        return None
    return build(PlotSpec, table, ("plot",), problems)


# The grid


def _axes(grid: Mapping[str, Any], design: Design, chip: Mapping[str, Any], problems: list[Problem]) -> list[Axis]:
    if not grid:
        example = 'for one, "chip.adc.bits" = [4, 6, 8]'
        problems.append(Problem(("grid",), "is empty: a study sweeps at least one path", remedy=example))
    problems.extend(_conflicts(list(grid), chip))
    axes = []
    for path, values in grid.items():
        found = list(_axis_problems(path, values, design))
        if not found:
            try:
                axes.append(Axis(path, tuple(values)))
            except SpecError as error:
                found = list(error.problems)
        problems.extend(found)
    return axes


def _axis_problems(path: str, values: Any, design: Design) -> Iterator[Problem]:
    known = [known for head in SWEPT for known in _paths(getattr(design, head), head)]
    if path not in known:
        yield Problem(("grid", path), "no such path to sweep", remedy=did_you_mean(path, known))
        return
    if not isinstance(values, list) or not values:
        yield Problem(("grid", path), "must be a list of at least one value", given=format_value(values))
        return
    for index, value in enumerate(values):
        found: list[Problem] = []
        overlaid(design, _nested(path, value), (), found)
        for problem in found:
            inner = ".".join(problem.path)[len(path) :] if ".".join(problem.path).startswith(path) else ""
            where = f'"{path}"[{index}]{inner}' if len(values) > 1 or inner else path
            yield dataclasses.replace(problem, path=("grid", where))


def _conflicts(paths: Sequence[str], chip: Mapping[str, Any]) -> Iterator[Problem]:
    for outer in paths:
        for inner in paths:
            if inner.startswith(outer + "."):
                yield Problem(
                    ("grid", inner), f'lies inside "{outer}", which is swept, too', remedy="sweep one of them"
                )
    mismatch = "chip.cell.mismatch_sigma_rel"
    cell = chip.get("cell")
    given = isinstance(cell, Mapping) and "mismatch_sigma_rel" in cell
    for name in DERIVES_MISMATCH:
        path = f"chip.cell.{name}"
        if path in paths and (mismatch in paths or (given and name in ("sigma_vt_V", "kappa_sqrtF"))):
            allowed = f"cannot be swept together with a given {mismatch}, which is derived from it"
            yield Problem(("grid", path), allowed, remedy="sweep or give one of the two")


def _cell(design: Design, axes: Sequence[Axis], index: tuple[int, ...], problems: list[Problem]) -> Cell | None:
    changes: dict[str, Any] = {}
    for axis, position in zip(axes, index, strict=True):
        _merge(changes, _nested(axis.path, axis.values[position]))
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


# Settings


def _parse_setting(text: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        raise SpecError.of((), "must be path=value", given=f'"{text}"', remedy="as in chip.adc.bits=6", source="--set")
    if keys[0] == "grid" and len(keys) > 1:
        keys = ("grid", ".".join(keys[1:]).strip('"'))
    try:
        parsed = parse_toml(f"value = {value}")["value"]
    except SpecError:
        if not re.fullmatch(r"[\w./~-]+", value.strip()):
            raise SpecError.of(".".join(keys), "is not a TOML value", given=value, source="--set") from None
        parsed = value.strip()
    if keys == ("chip", "device") and isinstance(parsed, str) and parsed.endswith(".toml"):
        parsed = str(Path(parsed).absolute())  # typed at a prompt: relative to where one stands, not to the study
    return keys, parsed


def _apply(table: dict[str, Any], keys: tuple[str, ...], value: Any, problems: list[Problem]) -> None:
    path = ".".join(keys)
    grid = table.get("grid")
    if isinstance(grid, dict):
        if path in grid:
            grid[path] = [value]
            return
        for swept in grid:
            if swept.startswith(path + ".") or path.startswith(swept + "."):
                remedy = f'set "grid.{swept}" itself'
                problems.append(
                    Problem(keys, f'cannot be set: the study sweeps "{swept}"', format_value(value), remedy)
                )
                return
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            problems.append(Problem(keys, f'"{key}" is not a table', format_value(value)))
            return
        table = inner
    table[keys[-1]] = value


def _thin(table: dict[str, Any]) -> None:
    """Make the study small: what is malformed stays as it is, to be reported as ever."""
    if isinstance(table.get("name"), str):
        table["name"] += "-quick"
    grid = table.get("grid")
    if isinstance(grid, dict):
        for path, values in grid.items():
            if isinstance(values, list) and len(values) > QUICK_VALUES:
                grid[path] = [values[0], values[len(values) // 2], values[-1]]
    replicates = table.setdefault("replicates", {})
    if isinstance(replicates, dict):
        _at_most(replicates, "trainings", QUICK_TRAININGS)
        _at_most(replicates, "dies", 1)
        _at_most(replicates, "reads", 1)
    if isinstance(table.setdefault("training", {}), dict):
        table["training"].setdefault("epochs", QUICK_EPOCHS)
        _at_most(table["training"], "epochs", QUICK_EPOCHS)


def _at_most(table: dict[str, Any], key: str, most: int) -> None:
    if isinstance(table.get(key), int) and table[key] > most:
        table[key] = most


# Nested tables and messages


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(into.get(key), dict) and isinstance(value, Mapping):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _attributed(problem: Problem, file: str, settings: Sequence[tuple[str, ...]]) -> Problem:
    """The problem with its source: the setting that caused it, or the study file."""
    at = problem.path[1:] if problem.path[:1] == ("grid",) else problem.path
    path = ".".join(at)
    for keys in settings:
        set_path = ".".join(keys[1:] if keys[0] == "grid" else keys)
        if path == set_path or path.startswith((set_path + ".", set_path + "[", f'"{set_path}"[')):
            return dataclasses.replace(problem, path=(path,), source="--set")
    return problem.within(source=file)
