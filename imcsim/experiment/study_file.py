"""A study's TOML file -> a plan: what it sweeps, every cell resolved and checked, every problem reported at once."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.design import Design
from imcsim.experiment.evaluate import cell_config
from imcsim.network.mlp import NetworkSpec
from imcsim.specs.cells import ALTERNATIVES, DERIVES_MISMATCH
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import (
    DEFAULT_KINDS,
    build,
    format_toml,
    format_value,
    overlaid,
    parse_toml,
    read_toml,
    to_table,
)
from imcsim.specs.fields import Spec, fields_of
from imcsim.specs.library import is_path, load, read_device
from imcsim.study.plan import Axis, Cell, Plan, PlotSpec, Replicates, plot_problems
from imcsim.training import TrainingSpec

SECTIONS = ("name", "dataset", "seed", "replicates", "network", "training", "chip", "grid", "plot")
SWEPT = ("chip", "network", "training")  # what a path of [grid] may start with

MAX_POINTS = 2_000_000  # beyond it a plan no longer fits the memory of a laptop

QUICK_EPOCHS = 10
QUICK_VALUES = 3
QUICK_TRAININGS = 2


def read_study(path: Path, settings: Sequence[str] = (), *, quick: bool = False) -> Plan:
    """The plan of the study file at `path`, changed by settings "dotted.path=value" (a TOML value, or a bare word).

    A setting of a swept path puts that one value in place of the axis. `quick` thins the study out: at most 3 values
    an axis, 2 trainings, 1 die and read, 10 epochs; the name gains "-quick". Raises SpecError with all problems.
    """
    written = read_toml(path)
    table = copy.deepcopy(written)
    problems: list[Problem] = []
    changes = [change for text in settings if (change := _parse_setting(text, problems))]
    for keys, value in changes:
        _apply(table, keys, value, problems)
    if quick:
        _thin(table)
    plan = _plan(table, path.parent, problems)
    if problems or plan is None:
        set_paths = [keys for keys, _ in changes]
        raise SpecError(dict.fromkeys(_attributed(problem, str(path), written, set_paths) for problem in problems))
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
    device = _device(sections["chip"], folder, problems)
    own = {key: value for key, value in sections["chip"].items() if key != "device"}
    chip = overlaid(device, own, ("chip",), problems) if device else None
    network = build(NetworkSpec, sections["network"], ("network",), problems)
    training = build(TrainingSpec, sections["training"], ("training",), problems)
    # what is at fault is stood in for, so that the rest is checked all the same
    parts: dict[str, Any] = {
        "chip": chip or device or load("sram_ideal"),
        "network": network or NetworkSpec(hidden=(1,)),
        "training": training or TrainingSpec(),
    }
    design = build(Design, {**{key: table[key] for key in ("dataset", "seed") if key in table}, **parts}, (), problems)
    axes: list[Axis] = []
    if isinstance(table.get("grid", {}), Mapping):
        stand_in = design or Design(**{**parts, "dataset": datasets.NAMES[0], "network": NetworkSpec(hidden=())})
        before = len(problems)
        axes = _axes(sections["grid"], stand_in, sections["chip"], problems)
        if len(problems) == before:
            problems.extend(plot_problems(plot, list(sections["grid"])))
    if problems or design is None or replicates is None:
        return None
    points = math.prod([len(axis.values) for axis in axes] + list(to_table(replicates).values()))
    if points > MAX_POINTS:
        remedy = "sweep fewer values, or repeat them less"
        problems.append(Problem(("replicates",), f"at most {MAX_POINTS} points a study", f"{points} points", remedy))
        return None
    return _assembled(str(name), table, folder, design, axes, replicates, plot, problems)


def _assembled(
    name: str,
    table: Mapping[str, Any],
    folder: Path,
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
    # of a device's path only the name, so that the text is the same wherever the file lies
    chip = {"device": Path(table["chip"]["device"]).name, **_without_set_aside(design, axes)}
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
            warnings=tuple(_outside_valid(table["chip"]["device"], folder, design, axes)),
        )
    except SpecError as error:
        problems.extend(error.problems)
        return None


def _outside_valid(device: str, folder: Path, design: Design, axes: Sequence[Axis]) -> Iterator[str]:
    """A sentence for each number of the chip that leaves the range in which the device model believes it."""
    notes = read_device(folder / device if is_path(device) else device).notes
    swept = {axis.path: axis.values for axis in axes}
    for path, note in notes.items():
        values = swept.get(f"chip.{path}", [_at(design.chip, path)])
        out = [
            v for v in values if note.valid and isinstance(v, (int, float)) and not note.valid[0] <= v <= note.valid[1]
        ]
        if out and note.valid:
            low, high = note.valid
            shown = ", ".join(f"{value:g}" for value in out)
            yield f"chip.{path} = {shown} lies outside {low:g} to {high:g} {note.unit}, where {device} is believed"


def _at(spec: Spec, path: str) -> Any:
    """The value at a dotted path of a spec; None where it has no such field."""
    value: Any = spec
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


def _without_set_aside(design: Design, axes: Sequence[Axis]) -> dict[str, Any]:
    """The chip's table without the fields of the cell that a swept one sets aside."""
    chip = to_table(design.chip)
    for axis in axes:
        head, _, name = axis.path.rpartition(".")
        if head == "chip.cell":
            for other in design.chip.cell.overriding(name, None):
                chip["cell"].pop(other, None)
    return chip


def _device(table: Mapping[str, Any], folder: Path, problems: list[Problem]) -> ChipSpec | None:
    """The device model that the section names."""
    device = table.get("device")
    if not isinstance(device, str):
        given = "" if device is None else format_value(device)
        allowed = "must be the name of a device model or the path of a TOML file"
        problems.append(Problem(("chip", "device"), allowed, given, "`imcsim devices` lists the models"))
        return None
    try:
        return load(folder / device if is_path(device) else device)
    except SpecError as error:
        # what is wrong with a file says where itself; a wrong name stands here
        problems.extend(p if p.source else p.within("chip", "device") for p in error.problems)
        return None


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
    listed = [path for path, values in grid.items() if not isinstance(values, Mapping)]
    problems.extend(_conflicts(listed, chip, list(_paths(design.chip, "chip"))))
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
                allowed = f"{at} = {problem.given}: {problem.allowed}"
                yield Problem(("grid", where), allowed, given=format_value(value), remedy=problem.remedy)


def _canonical(design: Design, path: str, value: Any) -> Any:
    """A swept value as its field holds it: 0 and 0.0 for a float are one, in the results' file as in the spec."""
    head, _, name = path.rpartition(".")
    spec = _at(design, head)
    field = next(field for field in fields_of(type(spec)) if field.name == name)
    if field.specs:  # a whole component: its kind is part of what it is
        return {"kind": DEFAULT_KINDS[name], **value} if name in DEFAULT_KINDS else value
    converted, _ = field.checked(value)
    return list(converted) if isinstance(converted, tuple) else converted


def _conflicts(paths: Sequence[str], chip: Mapping[str, Any], known: Sequence[str]) -> Iterator[Problem]:
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
        if path in paths and path in known and (mismatch in paths or (given and name in ALTERNATIVES)):
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


def _parse_setting(text: str, problems: list[Problem]) -> tuple[tuple[str, ...], Any] | None:
    key, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        problems.append(Problem((), "must be path=value", f'"{text}"', "as in chip.adc.bits=6", source="--set"))
        return None
    if keys[0] == "grid" and len(keys) > 1:
        keys = ("grid", ".".join(keys[1:]).strip('"'))
    try:
        (parsed,) = parse_toml(f"value = {value}").values()
    except (SpecError, ValueError):  # ValueError: more than one line
        if not re.fullmatch(r"[\w./~-]+", value.strip()):
            problems.append(Problem((".".join(keys),), "is not a TOML value", given=value, source="--set"))
            return None
        parsed = value.strip()
    if keys == ("chip", "device") and isinstance(parsed, str) and is_path(parsed):
        parsed = str(Path(parsed).absolute())  # typed at a prompt: relative to where one stands, not to the study
    return keys, parsed


def _apply(table: dict[str, Any], keys: tuple[str, ...], value: Any, problems: list[Problem]) -> None:
    path = ".".join(keys)
    grid = table.get("grid")
    if isinstance(grid, dict):
        if path in grid:
            if isinstance(value, list) and all(isinstance(old, (int, float, str)) for old in grid[path]):
                remedy = f"to sweep other values, set grid.{path}={format_value(value)}"
                problems.append(Problem(keys, "must be one value", format_value(value), remedy))
            else:
                grid[path] = [value]
            return
        unheard = [f"chip.cell.{other}" for other in ALTERNATIVES.get(keys[-1], ()) if keys[:-1] == ("chip", "cell")]
        for swept in grid:
            if swept in unheard:
                remedy = f'set "grid.{swept}" itself'
                problems.append(Problem(keys, f'would not be heard: the study sweeps "{swept}"', remedy=remedy))
                return
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
    if keys[:-1] == ("chip", "cell"):  # what is set stands in place of what the file derives it from, or from it
        for other in ALTERNATIVES.get(keys[-1], ()):
            table.pop(other, None)
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


def _attributed(
    problem: Problem, file: str, written: Mapping[str, Any], settings: Sequence[tuple[str, ...]]
) -> Problem:
    """The problem with its source: the setting that caused it, or the study file as it was written."""
    if problem.source:
        return problem
    swept = problem.path[:1] == ("grid",) and len(problem.path) > 1
    path = ".".join(problem.path[1:] if swept else problem.path)
    in_file = _holds(written, problem.path)
    for keys in settings:
        set_path = ".".join(keys[1:] if keys[0] == "grid" and len(keys) > 1 else keys)
        inside = path == set_path or path.startswith((set_path + ".", set_path + "[", f'"{set_path}"['))
        # of what the file does not hold, a setting is the cause that goes through it or stands beside it
        beside = keys[:-1] == problem.path[:-1] and len(keys) > 1 and not swept
        if inside or (not in_file and (set_path.startswith(path + ".") or beside)):
            return dataclasses.replace(problem, path=(path,), source="--set")
    return problem.within(source=file)


def _holds(table: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether nested tables have a value at `path`."""
    inner: Any = table
    for key in path:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True
