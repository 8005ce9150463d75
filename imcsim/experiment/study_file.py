"""A study's TOML file -> a plan: what it sweeps, every cell resolved and checked, every problem reported at once."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.alignment import AlignmentSpec, quantities_of
from imcsim.experiment.curves import learning_quantities
from imcsim.experiment.design import Design
from imcsim.experiment.device import device_of, named, own_fields, swept_devices, without_devices
from imcsim.experiment.gradient import COSINE, GradientSpec
from imcsim.experiment.labels import DEVICE
from imcsim.experiment.learnable import learnable
from imcsim.experiment.paths import value_at
from imcsim.experiment.ranges import MAX_POINTS
from imcsim.experiment.reading import ReadSpec
from imcsim.experiment.repeated import read_more, repeated
from imcsim.experiment.scope import apply_scope
from imcsim.experiment.settings import apply_setting, attributed, check_settings, parse_setting, thin_out
from imcsim.experiment.sweep import Sweep, read_sweep, resolved_cells, with_tuning
from imcsim.experiment.tune import TunePlan, read_config, read_tune_at, read_tuning, tuned_cells
from imcsim.experiment.variants import variant_leaf
from imcsim.network.mlp import NetworkSpec
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import Blocks, InlineTable, build, format_toml, format_value, overlaid, read_toml, to_table
from imcsim.specs.fields import Spec
from imcsim.specs.library import is_path, load, read_device
from imcsim.study.axes import Axis, Cell, Gap, Replicates
from imcsim.study.grid import axes_of, multiplied
from imcsim.study.plan import Plan
from imcsim.study.quantities import Quantity
from imcsim.study.questions import PlotSpec, SearchSpec, YieldSpec, plot_problems
from imcsim.training import StopSpec, TrainingSpec

T = TypeVar("T", bound=Spec)

SECTIONS = (
    *("name", "dataset", "seed", "replicates", "network", "training", "stop", "chip", "read"),
    *("alignment", "gradient", "variants", "ladders", "grid", "gaps", "tune", "plot", "yield", "search", "scope"),
)

TABLES = ("replicates", "network", "training", "chip", "read", "variants", "ladders", "grid")


def read_study(path: Path, settings: Sequence[str] = (), *, quick: bool = False) -> Plan:
    """The plan of the study file at `path`, changed by settings "dotted.path=value" (a TOML value, or a bare word).

    A setting of a swept path puts that one value in place of the axis, `scope=NAME` lays [scope.NAME] over the file.
    `quick` thins the study out: at most 3 values an axis, one level a ladder, 2 trainings, 1 die and read, 10 epochs, 6
    candidates; the name gains "-quick". Raises SpecError with all problems.
    """
    written = read_toml(path)
    table = copy.deepcopy(written)
    problems: list[Problem] = []
    changes = [change for text in settings if (change := parse_setting(text, problems))]
    changes = apply_scope(table, changes, problems)
    for keys, value in changes:
        apply_setting(table, keys, value, problems)
        problems.extend(_unheard(table.get("variants"), table.get("tune"), keys))
    if quick:
        thin_out(table)
    check_settings([keys for keys, _ in changes], problems)
    written_grid = written.get("grid")
    changed = isinstance(written_grid, Mapping) and written_grid != table.get("grid")
    plan = _plan(table, path.parent, problems, written_grid if changed else None)
    if problems or plan is None:
        set_paths = [keys for keys, _ in changes]
        raise SpecError(dict.fromkeys(attributed(problem, str(path), written, set_paths) for problem in problems))
    return dataclasses.replace(plan, question=_question(path))


def _question(path: Path) -> str:
    """What the study asks: the comment at the head of its file, as far as its first mark of a sentence's end."""
    written = path.read_text(encoding="utf-8").strip().splitlines()
    lines = itertools.takewhile(lambda line: line.startswith("#"), written)
    told = " ".join(line.lstrip("# ").rstrip() for line in lines)
    return re.split(r"(?<=[?.])\s", told, maxsplit=1)[0]


def _unheard(variants: Any, tune: Any, keys: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a setting of a path that variants set themselves, or that every cell tunes."""
    over = tune.get("over") if isinstance(tune, Mapping) else None
    for path in over if isinstance(over, Mapping) else ():
        if variant_leaf({path: 0}, ".".join(keys)) is not None:
            remedy = f"set tune.over.{path} itself"
            yield Problem(keys, f'would not be heard: every cell tunes "{path}"', remedy=remedy)
    named = variants if isinstance(variants, Mapping) else {}
    deaf = [name for name, changes in named.items() if variant_leaf(changes, ".".join(keys)) is not None]
    if deaf:
        told = ", ".join(f'"{name}"' for name in deaf)
        yield Problem(keys, f"would not be heard by the variants that set it themselves: {told}", remedy="edit them")


def _plan(
    table: Mapping[str, Any], folder: Path, problems: list[Problem], written_grid: Mapping[str, Any] | None
) -> Plan | None:
    """The plan of the study in `table`; `written_grid` is what its grid was before settings changed it, if they did."""
    problems.extend(
        Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, SECTIONS))
        for key in table
        if key not in SECTIONS
    )
    sections = {key: table.get(key, {}) for key in TABLES}
    for key in [key for key, value in sections.items() if not isinstance(value, Mapping)]:
        problems.append(Problem((key,), "must be a table", given=format_value(sections[key])))
        sections[key] = {}
    name = _name(table, problems)
    repeats = {key: value for key, value in sections["replicates"].items() if key != "more"}
    replicates = build(Replicates, repeats, ("replicates",), problems)
    gaps = table.get("gaps", False)
    if not isinstance(gaps, bool):
        problems.append(Problem(("gaps",), "must be true or false", format_value(gaps)))
    plot, yields, search = (
        _optional(PlotSpec, "plot", table, problems),
        _optional(YieldSpec, "yield", table, problems),
        _optional(SearchSpec, "search", table, problems),
    )
    design, stand_in = _design(table, sections, folder, problems)
    before = len(problems)
    variants, chips = without_devices(sections["variants"], sections["chip"], folder, problems)
    at = read_tune_at(table.get("tune"), sections["ladders"], problems)

    def swept(grid: Mapping[str, Any], found: list[Problem]) -> Sweep:
        grid, devices = swept_devices(grid, sections["chip"], folder, found)
        cell = sections["chip"].get("cell")
        whole = read_sweep(grid, sections["ladders"], variants, chips, devices, stand_in, cell, found, gaps=bool(gaps))
        return with_tuning(whole, at)

    sweep = swept(sections["grid"], problems)
    if not sweep.factors and len(problems) == before and isinstance(table.get("grid", {}), Mapping):
        example = 'for one, "chip.adc.bits" = [4, 6, 8]'
        problems.append(Problem(("grid",), "is empty: a study sweeps at least one path", remedy=example))
    tuned = _tuned(table, stand_in, sweep, at, problems)
    if len(problems) > before:
        return None
    each = replicates.trainings * replicates.dies * replicates.reads if replicates else 1
    product = multiplied(sweep.factors, MAX_POINTS // each)
    if not product.whole:
        most = each * math.prod(len(factor.combinations) for factor in sweep.factors)
        told, asked = f"at most {MAX_POINTS} points a study", f"{most} points"
        problems.append(Problem(("replicates",), told, asked, "sweep fewer values, or repeat them less"))
        return None
    unmet = sweep.never_met(product)
    if unmet and written_grid is not None:  # of the conditions, only the file's own mistakes are mistakes
        written = swept(written_grid, [])
        never = written.never_met(multiplied(written.factors, MAX_POINTS))
        unmet = [one for one in unmet if any((one.path, one.given) == (p.path, p.given) for p in never)]
    problems.extend(unmet)
    sweep = sweep.without_idle(product)
    axes = axes_of(sweep.factors)
    problems.extend(plot_problems(plot, [axis.path for axis in axes]))
    more = read_more(sections["replicates"].get("more", []), {axis.path: axis.values for axis in axes}, problems)
    if problems or design is None or replicates is None:
        return None
    cells, missing = resolved_cells(sweep, product.cells, design, tuned.paths if tuned else (), problems, gaps=gaps)
    if not cells and not problems:
        problems.append(Problem(("gaps",), f"every cell is one: {missing[0].reason}"))
    if problems:
        return None
    whole, cells = {**table, **sections}, repeated(cells, more)
    shown = plot, yields, search
    return _assembled(name, whole, folder, design, sweep, axes, cells, missing, replicates, shown, tuned, problems)


def _design(
    table: Mapping[str, Any], sections: Mapping[str, Any], folder: Path, problems: list[Problem]
) -> tuple[Design | None, Design]:
    """The design that the study starts from, None where it cannot be; and one to check the rest of the study by."""
    stop = _optional(StopSpec, "stop", table, problems)
    alignment = _optional(AlignmentSpec, "alignment", table, problems)
    gradient = _optional(GradientSpec, "gradient", table, problems)
    device = device_of(sections["chip"], folder, problems)
    chip = overlaid(device, own_fields(sections["chip"]), ("chip",), problems) if device else None
    # what is at fault is stood in for, so that the rest is checked all the same
    training = _harmless_training(chip)
    stand_ins: dict[str, Spec] = {"network": NetworkSpec(hidden=(1,)), "training": training, "read": ReadSpec()}
    parts: dict[str, Any] = {
        "chip": chip or device or load("sram_ideal"),
        **{key: build(type(one), sections[key], (key,), problems) or one for key, one in stand_ins.items()},
    }
    suited = learnable(parts["training"], parts["chip"])
    harmless = {"dataset": datasets.NAMES[0], "network": NetworkSpec(hidden=()), "read": ReadSpec(), **suited}
    parts |= {} if chip else suited  # what a training needs of a chip at fault nobody knows
    given = {key: table[key] for key in ("dataset", "seed") if key in table}
    whole = {"stop": stop, "alignment": alignment, "gradient": gradient}
    given |= {key: one for key, one in whole.items() if one}
    design = build(Design, {**given, **parts}, (), problems)
    return design, design or Design(**{**parts, **harmless})


def _harmless_training(chip: ChipSpec | None) -> TrainingSpec:
    """One in the place of a training at fault, of which such a chip has nothing to tell."""
    if chip is None or chip.compound is None:
        return TrainingSpec()
    return TrainingSpec(where="chip", rule="dfa", optimizer="sgd")


def _name(table: Mapping[str, Any], problems: list[Problem]) -> str:
    """The study's name."""
    name = table.get("name")
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return name
    allowed = "must be letters, digits, dot, dash and underscore, as it names files"
    problems.append(Problem(("name",), allowed, given="" if name is None else format_value(name)))
    return ""


def _tuned(
    table: Mapping[str, Any], design: Design, sweep: Sweep, at: Sequence[str], problems: list[Problem]
) -> TunePlan | None:
    """What [tune] asks for; None where the study has none, or it is wrong."""
    if "tune" not in table:
        return None
    if "alignment" in table:
        problems.append(Problem(("tune",), "has no meaning with [alignment]: nothing is learnt", remedy="drop one"))
        return None
    swept = {axis.path: axis.values for axis in axes_of(sweep.factors)}
    return read_tuning(table["tune"], design, swept, sweep.variants, at, problems)


def _assembled(
    name: str,
    table: Mapping[str, Any],
    folder: Path,
    design: Design,
    sweep: Sweep,
    axes: Sequence[Axis],
    cells: Sequence[Cell],
    gaps: Sequence[Gap],
    replicates: Replicates,
    shown: tuple[PlotSpec | None, YieldSpec | None, SearchSpec | None],
    tuned: TunePlan | None,
    problems: list[Problem],
) -> Plan | None:
    plot, yields, search = shown
    notes = []
    data = datasets.load(design.dataset)
    if tuned:
        tuning = tuned.of(cells[0].coordinates, design.seed)  # the budget of each is that of the others
        samples = len(data.for_tuning.x_test)
        # the budget is the same in all cells that train in float, and in all that learn on chips
        budgets = {where: tuning.budget(one, samples) for where, one in _one_of_each(cells).items()}
        for where, budget in budgets.items():
            of = f' (where = "{where}")' if len(budgets) > 1 else ""
            notes.append(f"tuned over {', '.join(tuned.paths)}{of}: {budget}")
        cells = tuned_cells(cells, tuned, design.seed, problems)
        if problems:
            return None
    described = {
        "name": name,
        **to_table(design),
        "replicates": {**to_table(replicates), **_more(table["replicates"])},
        **({"variants": named(table["variants"])} if table["variants"] else {}),
        **({"ladders": sweep.ladders} if sweep.ladders else {}),
        "grid": _with_devices(sweep),
        **({"gaps": True} if table.get("gaps") else {}),
        **({"tune": tuned.described()} if tuned else {}),
        **({"plot": to_table(plot)} if plot else {}),
        **({"yield": to_table(yields)} if yields else {}),
        **({"search": to_table(search)} if search else {}),
    }
    # of a device's path only the name, so that the text is the same wherever the file lies
    # beside variants with devices of their own, only what is said of all of them
    several = sweep.chips or sweep.devices
    whole = own_fields(table["chip"]) if several else _without_set_aside(design, sweep)
    chip = {"device": Path(table["chip"]["device"]).name, **whole}
    try:
        return Plan(
            name=name,
            config=described,
            toml=format_toml({**described, "chip": chip}),
            axes=tuple(axes),
            cells=tuple(cells),
            replicates=replicates,
            dataset_sha256=data.sha256,
            chance=1.0 / data.classes,
            test_samples=len(data.y_test),
            plot=plot,
            yields=yields,
            search=search,
            tuned=tuned.paths if tuned else (),
            quantities=_quantities(cells),
            gaps=tuple(gaps),
            notes=tuple(notes),
            warnings=tuple(_outside_valid(table["chip"]["device"], folder, design, sweep, axes)),
        )
    except SpecError as error:
        problems.extend(error.problems)
        return None


def _more(replicates: Mapping[str, Any]) -> dict[str, Any]:
    """What a study says of cells that are repeated more often, as it says it."""
    more = [{**table, "if": InlineTable(table["if"])} for table in replicates.get("more", ())]
    return {"more": Blocks(more)} if more else {}


def _with_devices(sweep: Sweep) -> Mapping[str, Any]:
    """The table that describes the grid, devices by their names alone, the same wherever their files lie."""
    return {**({DEVICE: [Path(name).name for name in sweep.devices]} if sweep.devices else {}), **sweep.described}


def _one_of_each(cells: Sequence[Cell]) -> dict[str, Design]:
    """A design of the cells for each place where some of them train."""
    found: dict[str, Design] = {}
    for cell in cells:
        if cell.config["training"]["where"] not in found:
            design, _ = read_config(cell.config)
            found[design.training.where] = design
    return found


def _quantities(cells: Sequence[Cell]) -> tuple[Quantity, ...]:
    """What points have beside accuracies: alignment, or learning curves, where any network learns by a rule."""
    if aligned := [cell.config["network"]["hidden"] for cell in cells if cell.config.get("alignment")]:
        return quantities_of(1 + max(len(hidden) for hidden in aligned))
    trainings = [cell.config["training"] for cell in cells]
    if all(one["rule"] == "backprop" for one in trainings):
        return ()
    measured = any(cell.config.get("gradient") for cell in cells)
    return learning_quantities(max(one["epochs"] for one in trainings)) + ((COSINE,) if measured else ())


def _outside_valid(device: str, folder: Path, design: Design, sweep: Sweep, axes: Sequence[Axis]) -> Iterator[str]:
    """A sentence for each number of the chip that leaves the range in which the device model believes it."""
    if sweep.devices:
        return
    notes = read_device(folder / device if is_path(device) else device).notes
    swept = {axis.path: axis.values for axis in axes}
    everywhere = _swept_everywhere(sweep)
    for name, note in notes.items():
        path = f"chip.{name}"
        values = [*swept.get(path, ()), *(() if path in everywhere else (value_at(design, path),))]
        out = [
            v for v in values if note.valid and isinstance(v, (int, float)) and not note.valid[0] <= v <= note.valid[1]
        ]
        if out and note.valid:
            low, high = note.valid
            shown = ", ".join(f"{value:g}" for value in out)
            unit = "" if note.unit == "1" else f" {note.unit}"
            yield f"{path} = {shown} lies outside {low:g} to {high:g}{unit}, where {device} is believed"


def _without_set_aside(design: Design, sweep: Sweep) -> dict[str, Any]:
    """The chip's table without the fields of the cell that one swept in every cell of the grid sets aside."""
    chip = to_table(design.chip)
    for path in sorted(_swept_everywhere(sweep)):
        head, _, name = path.rpartition(".")
        if head == "chip.cell":
            for other in design.chip.cell.overriding(name, None):
                chip["cell"].pop(other, None)
    return chip


def _swept_everywhere(sweep: Sweep) -> set[str]:
    """The paths of which every cell of the grid has a value of its own."""
    return {path for factor in sweep.factors for path in factor.everywhere}


def _optional(spec: type[T], key: str, table: Mapping[str, Any], problems: list[Problem]) -> T | None:
    """The section `key`; None where the study has none, or it is wrong."""
    if key not in table:
        return None
    if not isinstance(table[key], Mapping):
        problems.append(Problem((key,), "must be a table", given=format_value(table[key])))
        return None
    return build(spec, table[key], (key,), problems)
