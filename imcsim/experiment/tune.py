"""[tune]: which paths each cell tunes by itself, among which candidates, and what that costs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.conditions import Condition, fulfils, read_condition
from imcsim.experiment.design import Design, built
from imcsim.experiment.labels import LEVEL, TUNE_AT, VARIANT
from imcsim.experiment.paths import SWEPT, fitted, known_paths, leaves
from imcsim.experiment.ranges import read_points
from imcsim.experiment.variants import variant_leaf
from imcsim.rng import child
from imcsim.specs.codec import Blocks, InlineTable, build, format_value, overlaid, overlay, to_table
from imcsim.specs.fields import Spec, limited
from imcsim.study.axes import Axis, Cell
from imcsim.study.canonical import canonical_json
from imcsim.study.halving import rungs

MAX_VALUES = 1000  # of a path

Values = Mapping[str, Any]  # by path


@dataclass(frozen=True, kw_only=True)
class TuneSpec(Spec):
    """How candidates are compared: by successive halving, `candidates` of them at most.

    1 / `reduction` of each rung goes on to `reduction` times the epochs, at least `min_epochs` in the first. A score is
    the mean accuracy over `trainings` x `dies` x `reads`.
    """

    candidates: int = limited(27, low=2, high=10_000)
    reduction: int = limited(3, low=2, high=100)
    min_epochs: int = limited(1, low=1, high=100_000)
    trainings: int = limited(1, low=1, high=1000)
    dies: int = limited(1, low=1, high=1000)
    reads: int = limited(1, low=1, high=1000)


@dataclass(frozen=True)
class Tuning:
    """What every cell of a study does to tune itself: candidates among the values of `space`, and their comparison."""

    spec: TuneSpec
    space: Mapping[str, Sequence[Any]]
    seed: int

    @cached_property
    def candidates(self) -> tuple[Values, ...]:
        """The values of each candidate, by path."""
        return candidates(self.space, self.spec.candidates, self.seed)

    def table(self) -> dict[str, Any]:
        """The part of a cell's configuration that this is; the seed is the design's."""
        return {**to_table(self.spec), "candidates": len(self.candidates), "over": self.table_of_space()}

    def table_of_space(self) -> list[Any]:
        """The values of each path, in a list: candidates are in the order of the paths, which JSON does not keep."""
        return [[path, list(values)] for path, values in self.space.items()]

    @classmethod
    def of(cls, table: Mapping[str, Any], seed: int) -> Tuning:
        """The inverse of `table`."""
        of_spec = {key: table[key] for key in table if key not in ("over", "base")}
        return cls(built(TuneSpec, of_spec), dict(table["over"]), seed)

    def budget(self, design: Design, samples: int) -> str:
        """In words what a cell spends on it, with so many validation samples."""
        ladder = rungs(len(self.candidates), design.training.epochs, self.spec.reduction, self.spec.min_epochs)
        each, spec = " then ".join(f"{rung.candidates} x {rung.epochs}" for rung in ladder), self.spec
        # on a chip every die learns
        learning = spec.trainings * (spec.dies if design.training.where == "chip" else 1)
        epochs = learning * sum(rung.candidates * rung.epochs for rung in ladder)
        read = samples * spec.trainings * spec.dies * spec.reads * sum(rung.candidates for rung in ladder)
        most = "at most " if design.stop else ""
        return f"candidates x epochs {each}: {most}{epochs} epochs trained, {read} samples read on chips, in every cell"


@dataclass(frozen=True)
class TunePlan:
    """What [tune] says: of every cell the paths in `over`, and those of each of `whens` whose condition it fulfils."""

    spec: TuneSpec
    over: Mapping[str, Sequence[Any]]
    whens: Sequence[tuple[Condition, Mapping[str, Sequence[Any]]]]
    at: Sequence[str]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that some cell tunes."""
        return tuple(dict.fromkeys(path for space in (self.over, *(one for _, one in self.whens)) for path in space))

    def of(self, coordinates: Values, seed: int) -> Tuning:
        """How the cell at these coordinates is tuned."""
        space = dict(self.over)
        for condition, more in self.whens:
            if fulfils(coordinates, condition):
                space |= more
        return Tuning(self.spec, space, seed)

    def described(self) -> dict[str, Any]:
        """The section as a study's text tells it."""
        whens = Blocks({"if": InlineTable(condition), "over": InlineTable(space)} for condition, space in self.whens)
        at = {"at": list(self.at)} if self.at else {}
        return {**to_table(self.spec), **at, "over": dict(self.over), **({"when": whens} if whens else {})}


def changed(design: Design, values: Values) -> Design:
    """The design with tuned values laid over it; SpecError where it cannot be."""
    return overlay(design, _nested(values))


def read_config(config: Mapping[str, Any]) -> tuple[Design, Tuning | None]:
    """The design of a cell's configuration, and how it is tuned, if it is."""
    design = built(Design, {key: value for key, value in config.items() if key not in ("dataset_sha256", "tune")})
    return design, Tuning.of(config["tune"], design.seed) if "tune" in config else None


# Of a study's file


def read_tuning(
    table: Any,
    design: Design,
    swept: Mapping[str, Sequence[Any]],
    variants: Mapping[str, Any],
    at: Sequence[str],
    problems: list[Problem],
) -> TunePlan | None:
    """What a section [tune] says; `swept` are the values of each swept path, `at` where cells of ladders are tuned.

    None where it is wrong, having added to `problems`.
    """
    before = len(problems)
    if not isinstance(table, Mapping):
        problems.append(Problem(("tune",), "must be a table", given=format_value(table)))
        return None
    of_spec = {key: value for key, value in table.items() if key not in ("at", "over", "when")}
    spec = build(TuneSpec, of_spec, ("tune",), problems)
    over = _space(table.get("over", {}), ("tune", "over"), design, swept, variants, problems)
    whens = []
    tables = table.get("when", [])
    if not isinstance(tables, list) or not all(isinstance(one, Mapping) for one in tables):
        problems.append(Problem(("tune", "when"), "must be tables, each under [[tune.when]]", format_value(tables)))
        return None
    for number, one in enumerate(tables):
        where = ("tune", f"when[{number}]")
        strange = [key for key in one if key not in ("if", "over")]
        told = 'it has "if" and "over"'
        problems.extend(Problem((*where, key), f'unknown key "{key}"', remedy=told) for key in strange)
        condition = read_condition(one.get("if"), (*where, "if"), swept, problems)
        space = _space(one.get("over", {}), (*where, "over"), design, swept, _meant(variants, condition), problems)
        twice = [path for path in space if path in over]
        told = "is tuned in every cell"
        problems.extend(Problem((*where, "over", path), told, remedy="tune it once") for path in twice)
        whens.append((condition, space))
    if len(problems) == before and math.prod(map(len, over.values())) < 2:
        problems.append(Problem(("tune", "over"), "must have at least 2 candidates to choose from", "1"))
    return TunePlan(spec, over, whens, at) if spec is not None and len(problems) == before else None


def _meant(variants: Mapping[str, Any], condition: Condition) -> Mapping[str, Any]:
    """The variants that a condition speaks of."""
    return {name: one for name, one in variants.items() if name in condition.get(VARIANT, variants)}


def _space(
    over: Any,
    where: tuple[str, ...],
    design: Design,
    swept: Mapping[str, Sequence[Any]],
    variants: Mapping[str, Any],
    problems: list[Problem],
) -> Mapping[str, Sequence[Any]]:
    """The values of each path in a table `over`."""
    if not isinstance(over, Mapping) or not over:
        remedy = 'for one, "training.learning_rate" = { log = [1e-4, 1e-1], points = 9 }'
        problems.append(Problem(where, "must be a table of at least one path", remedy=remedy))
        return {}
    found: list[Problem] = []
    space = {path: _values(path, given, design, found) for path, given in over.items()}
    for path in over:
        found.extend(_conflicts(path, over, list(swept), variants))
    problems.extend(dataclasses.replace(one, path=(*where, *one.path[2:])) for one in found)
    return space


def read_tune_at(table: Any, ladders: Mapping[str, Any], problems: list[Problem]) -> list[str]:
    """Where [tune] says that cells of ladders are tuned: at their base, the cell at level 0, or again by themselves.

    Empty where it does not say: each is tuned by itself.
    """
    if not isinstance(table, Mapping) or "at" not in table:
        return []
    at, known = table["at"], ("base", "cell")
    if not isinstance(at, list) or not at or any(one not in known for one in at) or len(set(at)) < len(at):
        problems.append(Problem(("tune", "at"), 'must be a list of "base", "cell" or both', format_value(at)))
        return []
    if not ladders:
        problems.append(Problem(("tune", "at"), "is of the cells of ladders", remedy="give the study [ladders]"))
        return []
    return at


def candidates(space: Mapping[str, Sequence[Any]], most: int, seed: int) -> tuple[Values, ...]:
    """Every combination of the values, in the order of the space; `most` of them, drawn, where there are more."""
    shape = [len(values) for values in space.values()]
    places: Iterable[tuple[int, ...]] = itertools.product(*map(range, shape))
    if math.prod(shape) > most:
        # raw words: numpy keeps their stream between versions
        words = child(seed, "tune", "candidates").bit_generator
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < most:
            drawn.add(tuple(int(words.random_raw()) % n for n in shape))
        places = sorted(drawn)
    return tuple({path: space[path][i] for path, i in zip(space, place, strict=True)} for place in places)


def tuned_cells(cells: Sequence[Cell], plan: TunePlan, seed: int, problems: list[Problem]) -> list[Cell]:
    """The cells with their tuning; adds to `problems` the candidates that some cell cannot have."""
    found: dict[Problem, str] = {}
    epochs, many = set(), set()
    touched = {path.partition(".")[0] for path in plan.paths}
    parts = ("training",) if touched == {"training"} else SWEPT  # chip and network must suit each other
    checked: set[str] = set()
    tuned = []
    tunings: dict[str, Tuning] = {}  # few cells differ in how they are tuned, and many in all else
    bases = _Bases(cells)
    for cell in cells:
        config = cell.config
        epochs.add(config["training"]["epochs"])
        tuning = plan.of(cell.coordinates, seed)
        tuning = tunings.setdefault(canonical_json(tuning.table_of_space()), tuning)
        many.add(len(tuning.candidates))
        table = tuning.table()
        at_base = cell.coordinates.get(TUNE_AT) == "base"
        asked_at = canonical_json({**table, "base": bases.of(cell).config} if at_base else table)
        # canonical JSON as it was: of the keys of a configuration, "tune" is the last
        tuned.append(dataclasses.replace(cell, text=f'{cell.text[:-1]},"tune":{asked_at}}}'))
        asked = canonical_json([table, *(config[part] for part in parts)])
        if asked in checked:
            continue
        checked.add(asked)
        design, _ = read_config(config)
        for values in tuning.candidates:
            for problem in _candidate_problems(design, values):
                found.setdefault(problem, ", ".join(f"{k} = {format_value(v)}" for k, v in cell.coordinates.items()))
    problems.extend(dataclasses.replace(p, allowed=f"{p.allowed} (in the cell at {at})") for p, at in found.items())
    if len(many) > 1:
        told = f"every cell must have the same budget, but cells have {' or '.join(map(str, sorted(many)))} candidates"
        problems.append(Problem(("tune",), told, remedy="give each as many, or lower tune.candidates"))
    if len(epochs) > 1:
        told = f"every cell must have the same budget, but training.epochs is {', '.join(map(str, sorted(epochs)))}"
        problems.append(Problem(("tune",), told, remedy="run a study for each number of epochs"))
    elif (least := plan.spec.min_epochs) > min(epochs):
        problems.append(Problem(("tune", "min_epochs"), f"must be at most training.epochs = {min(epochs)}", str(least)))
    return tuned


class _Bases:
    """The cells at level 0, by what they share with those of the ladders that stand on them."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells: dict[tuple[str, ...], dict[str, Cell]] = {}
        for cell in cells:
            if cell.coordinates.get(LEVEL) == 0:
                paths = tuple(path for path in cell.coordinates if path != LEVEL)
                self._cells.setdefault(paths, {})[_values_on(cell, paths)] = cell

    def of(self, cell: Cell) -> Cell:
        """The base of a cell of a ladder; SpecError where it has none, as it is a gap."""
        for paths, cells in self._cells.items():
            found = cells.get(_values_on(cell, paths))
            if found is not None:
                return found
        at = ", ".join(f"{k} = {format_value(v)}" for k, v in cell.coordinates.items())
        told = f"the cell at {at} cannot be tuned at its base, which is a gap"
        raise SpecError.of(("tune", "at"), told, remedy='set it to ["cell"]')


def _values_on(cell: Cell, paths: Sequence[str]) -> str:
    return canonical_json([cell.coordinates.get(path) for path in paths])


def _candidate_problems(design: Design, values: Values) -> Iterator[Problem]:
    found: list[Problem] = []
    overlaid(design, _nested(values), (), found)
    for problem in found:
        given = f" = {problem.given}" if problem.given else ""
        told = f"{'.'.join(problem.path)}{given}: {problem.allowed}"
        yield Problem(("tune", "over"), told, format_value(values), problem.remedy)


def _conflicts(
    path: str, over: Mapping[str, Any], swept: Sequence[str], variants: Mapping[str, Any]
) -> Iterator[Problem]:
    """Where else the value at `path` is said."""
    remedy = "tune it, or sweep it"
    for other in over:
        if other != path and variant_leaf({other: 0}, path) and other.startswith(path):
            yield Problem(("tune", "over", other), f'lies inside "{path}", which is tuned, too', remedy="tune one")
    for one in dict.fromkeys(swept):
        if variant_leaf({one: 0}, path):
            yield Problem(("tune", "over", path), f'cannot be tuned: [grid] sweeps "{one}"', remedy=remedy)
    for name, changes in variants.items():
        if leaf := variant_leaf(changes, path):
            yield Problem(("tune", "over", path), f'cannot be tuned: the variant "{name}" sets {leaf}', remedy=remedy)


def _values(path: str, given: Any, design: Design, problems: list[Problem]) -> Sequence[Any]:
    """The values to try at `path`, each as its field holds it; empty where something is wrong."""
    where = ("tune", "over", path)
    if path not in (known := known_paths(design)):
        unquoted = [leaf for leaf in leaves(path, given) if leaf in known]
        told = "a path is one key: put it in quotes" if unquoted else "no such path to tune"
        remedy = f'write "{unquoted[0]}" = ...' if unquoted else did_you_mean(path, known)
        problems.append(Problem(where, told, remedy=remedy))
        return ()
    if path == "training.epochs":
        problems.append(Problem(where, "cannot be tuned: epochs are what tuning spends", remedy="tune another path"))
        return ()
    found: list[Problem] = []
    values = read_points(given, found) if isinstance(given, Mapping) else given
    for problem in found:  # of the table that describes a range
        inside = f'"{path}".{".".join(problem.path)}' if problem.path else path
        problems.append(dataclasses.replace(problem, path=("tune", "over", inside)))
    if found:
        return ()
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
        allowed = f"must be a list of 1 to {MAX_VALUES} values, or {{ log = [low, high], points = n }}"
        problems.append(Problem(where, allowed, given=format_value(given)))
        return ()
    checked = [fitted(design, path, value) for value in values]
    wrong = [
        problem.within("tune", "over", f'"{path}"[{index}]')
        for index, (_, found) in enumerate(checked)
        for problem in found
    ]
    if not wrong:
        try:
            Axis(path, tuple(value for value, _ in checked))
        except SpecError as error:
            wrong = [dataclasses.replace(problem, path=where) for problem in error.problems]
    problems.extend(wrong if isinstance(given, list) else wrong[:1])  # of a range nobody wrote the others
    return [value for value, _ in checked]


def _nested(values: Values) -> dict[str, Any]:
    """Nested tables of values at dotted paths, none of which lies inside another."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *heads, name = path.split(".")
        inner = nested
        for head in heads:
            inner = inner.setdefault(head, {})
        inner[name] = value
    return nested
