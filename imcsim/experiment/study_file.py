"""A study's TOML file -> a plan: what it sweeps, every cell resolved and checked, every problem reported at once."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.design import Design
from imcsim.experiment.grid import VARIANT, resolved_cell, swept_axes, value_at, variant_axis, variant_leaf
from imcsim.experiment.settings import apply_setting, attributed, parse_setting, thin_out
from imcsim.network.mlp import NetworkSpec
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, format_toml, format_value, overlaid, read_toml, to_table
from imcsim.specs.library import is_path, load, read_device
from imcsim.study.plan import Axis, Plan, PlotSpec, Replicates, plot_problems
from imcsim.training import TrainingSpec

SECTIONS = ("name", "dataset", "seed", "replicates", "network", "training", "chip", "variants", "grid", "plot")

MAX_POINTS = 2_000_000  # beyond it a plan no longer fits the memory of a laptop


def read_study(path: Path, settings: Sequence[str] = (), *, quick: bool = False) -> Plan:
    """The plan of the study file at `path`, changed by settings "dotted.path=value" (a TOML value, or a bare word).

    A setting of a swept path puts that one value in place of the axis. `quick` thins the study out: at most 3 values
    an axis, 2 trainings, 1 die and read, 10 epochs; the name gains "-quick". Raises SpecError with all problems.
    """
    written = read_toml(path)
    table = copy.deepcopy(written)
    problems: list[Problem] = []
    changes = [change for text in settings if (change := parse_setting(text, problems))]
    for keys, value in changes:
        apply_setting(table, keys, value, problems)
        problems.extend(_unheard(table.get("variants"), keys))
    if quick:
        thin_out(table)
    plan = _plan(table, path.parent, problems)
    if problems or plan is None:
        set_paths = [keys for keys, _ in changes]
        raise SpecError(dict.fromkeys(attributed(problem, str(path), written, set_paths) for problem in problems))
    return plan


def _unheard(variants: Any, keys: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a setting of a path that variants set themselves."""
    named = variants if isinstance(variants, Mapping) else {}
    deaf = [name for name, changes in named.items() if variant_leaf(changes, ".".join(keys)) is not None]
    if deaf:
        told = ", ".join(f'"{name}"' for name in deaf)
        yield Problem(keys, f"would not be heard by the variants that set it themselves: {told}", remedy="edit them")


def _plan(table: Mapping[str, Any], folder: Path, problems: list[Problem]) -> Plan | None:
    problems.extend(
        Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, SECTIONS))
        for key in table
        if key not in SECTIONS
    )
    sections = {key: table.get(key, {}) for key in ("replicates", "network", "training", "chip", "variants", "grid")}
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
        axes = variant_axis(sections["variants"], sections["grid"], stand_in, problems)
        axes += swept_axes(sections["grid"], stand_in, sections["chip"], problems, needed=not axes)
        if len(problems) == before:
            problems.extend(plot_problems(plot, [axis.path for axis in axes]))
    if problems or design is None or replicates is None:
        return None
    points = math.prod([len(axis.values) for axis in axes] + list(to_table(replicates).values()))
    if points > MAX_POINTS:
        remedy = "sweep fewer values, or repeat them less"
        problems.append(Problem(("replicates",), f"at most {MAX_POINTS} points a study", f"{points} points", remedy))
        return None
    return _assembled(str(name), {**table, **sections}, folder, design, axes, replicates, plot, problems)


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
    cells = [
        resolved_cell(design, table["variants"], axes, index, problems)
        for index in product(*(range(len(axis.values)) for axis in axes))
    ]
    if problems:
        problems[:] = dict.fromkeys(problems)  # many cells may share one
        return None
    data = datasets.load(design.dataset)
    described = {
        "name": name,
        **to_table(design),
        "replicates": to_table(replicates),
        **({"variants": table["variants"]} if table["variants"] else {}),
        "grid": {axis.path: list(axis.values) for axis in axes if axis.path != VARIANT},
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
        values = swept.get(f"chip.{path}", [value_at(design.chip, path)])
        out = [
            v for v in values if note.valid and isinstance(v, (int, float)) and not note.valid[0] <= v <= note.valid[1]
        ]
        if out and note.valid:
            low, high = note.valid
            shown = ", ".join(f"{value:g}" for value in out)
            yield f"chip.{path} = {shown} lies outside {low:g} to {high:g} {note.unit}, where {device} is believed"


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
