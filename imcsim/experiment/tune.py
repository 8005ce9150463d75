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
from imcsim.experiment.design import Design, built
from imcsim.experiment.labels import LEVEL, TUNE_AT
from imcsim.experiment.paths import SWEPT, fitted, known_paths, leaves
from imcsim.experiment.ranges import read_points
from imcsim.experiment.variants import variant_leaf
from imcsim.rng import child
from imcsim.specs.codec import build, format_value, overlaid, overlay, to_table
from imcsim.specs.fields import Spec, limited
from imcsim.study.canonical import canonical_json
from imcsim.study.halving import rungs
from imcsim.study.plan import Axis, Cell

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
        # as a list, as the order of the candidates is that of the paths, which tables in JSON do not keep
        over = [[path, list(values)] for path, values in self.space.items()]
        return {**to_table(self.spec), "candidates": len(self.candidates), "over": over}

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


def changed(design: Design, values: Values) -> Design:
    """The design with tuned values laid over it; SpecError where it cannot be."""
    return overlay(design, _nested(values))


def read_config(config: Mapping[str, Any]) -> tuple[Design, Tuning | None]:
    """The design of a cell's configuration, and how it is tuned, if it is."""
    design = built(Design, {key: value for key, value in config.items() if key not in ("dataset_sha256", "tune")})
    return design, Tuning.of(config["tune"], design.seed) if "tune" in config else None


# Of a study's file


def read_tuning(
    table: Any, design: Design, swept: Sequence[str], variants: Mapping[str, Any], problems: list[Problem]
) -> tuple[TuneSpec, Mapping[str, Sequence[Any]]] | None:
    """What a section [tune] says: the spec, and of each path the values; `swept` are the paths of [grid].

    None where it is wrong, having added to `problems`.
    """
    before = len(problems)
    if not isinstance(table, Mapping):
        problems.append(Problem(("tune",), "must be a table", given=format_value(table)))
        return None
    of_spec = {key: value for key, value in table.items() if key not in ("at", "over")}
    spec = build(TuneSpec, of_spec, ("tune",), problems)
    over = table.get("over", {})
    if not isinstance(over, Mapping) or not over:
        remedy = 'for one, "training.learning_rate" = { log = [1e-4, 1e-1], points = 9 }'
        problems.append(Problem(("tune", "over"), "must be a table of at least one path", remedy=remedy))
        return None
    space = {path: _values(path, given, design, problems) for path, given in over.items()}
    for path in over:
        problems.extend(_conflicts(path, over, swept, variants))
    if len(problems) == before and math.prod(map(len, space.values())) < 2:
        problems.append(Problem(("tune", "over"), "must have at least 2 candidates to choose from", "1"))
    return (spec, space) if spec is not None and len(problems) == before else None


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


def tuned_cells(cells: Sequence[Cell], tuning: Tuning, problems: list[Problem]) -> list[Cell]:
    """The cells with their tuning; adds to `problems` the candidates that some cell cannot have."""
    found: dict[Problem, str] = {}
    epochs = set()
    touched = {path.partition(".")[0] for path in tuning.space}
    parts = ("training",) if touched == {"training"} else SWEPT  # chip and network must suit each other
    checked: set[str] = set()
    tuned, table = [], tuning.table()
    bases = _Bases(cells)
    for cell in cells:
        config = cell.config
        epochs.add(config["training"]["epochs"])
        at_base = cell.coordinates.get(TUNE_AT) == "base"
        asked_at = canonical_json({**table, "base": bases.of(cell).config} if at_base else table)
        # canonical JSON as it was: of the keys of a configuration, "tune" is the last
        tuned.append(dataclasses.replace(cell, text=f'{cell.text[:-1]},"tune":{asked_at}}}'))
        asked = canonical_json([config[part] for part in parts])
        if asked in checked:
            continue
        checked.add(asked)
        design, _ = read_config(config)
        for values in tuning.candidates:
            for problem in _candidate_problems(design, values):
                found.setdefault(problem, ", ".join(f"{k} = {format_value(v)}" for k, v in cell.coordinates.items()))
    problems.extend(dataclasses.replace(p, allowed=f"{p.allowed} (in the cell at {at})") for p, at in found.items())
    if len(epochs) > 1:
        told = f"every cell must have the same budget, but training.epochs is {', '.join(map(str, sorted(epochs)))}"
        problems.append(Problem(("tune",), told, remedy="run a study for each number of epochs"))
    elif (least := tuning.spec.min_epochs) > min(epochs):
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
