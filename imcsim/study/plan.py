"""A study before it is run: the axes it sweeps, the cells of their grid, the replicates of each, the id of a point."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.specs.fields import Spec, limited
from imcsim.study.canonical import canonical_json, digest
from imcsim.study.quantities import Quantity, quantity_problems
from imcsim.version import MODEL_VERSION

# the columns that every study has: no swept path may be called like one of them
RESERVED = ("point", "training", "die", "read", "accuracy", "accuracy_float", "status", "extrapolated")

# what a binomial interval wants, and how a study has it
SEPARATE_DIES = "counts independent dies: of one training, or a die for each training"
SEPARATED = "set it to 1, or replicates.own_dies = true with dies = 1"


LEAST = 3  # trainings or dies, of which more are to be made: two differ by anything


@dataclass(frozen=True, kw_only=True)
class Replicates(Spec):
    """How often each cell of the grid is repeated: trainings x dies x reads.

    With `own_dies` each training has a die of its own: the die of its number. With `target_ci` a cell is repeated more
    often while its 95 % interval reaches further than that to either side of the mean, with up to `most_trainings` or
    `most_dies`.
    """

    trainings: int = limited(1, low=1, high=100_000)
    dies: int = limited(1, low=1, high=100_000)
    reads: int = limited(1, low=1, high=100_000)
    own_dies: bool = False
    target_ci: float | None = limited(None, low=1e-6, high=0.5)
    most_trainings: int | None = limited(None, low=1, high=100_000)
    most_dies: int | None = limited(None, low=1, high=100_000)

    def problems(self) -> Iterable[Problem]:
        if self.own_dies and self.dies > 1:
            yield Problem(("dies",), "must be 1 with own_dies: each training has one of its own", str(self.dies))
        if self.own_dies and self.most_dies is not None:
            remedy = "say most_trainings"
            yield Problem(("most_dies",), "has no meaning with own_dies", str(self.most_dies), remedy)
        growing = {"trainings": self.most_trainings, "dies": self.most_dies}
        for name, most in growing.items():
            if most is not None and self.target_ci is None:
                remedy = "say how wide an interval may be: target_ci = 0.005"
                yield Problem((f"most_{name}",), "has no meaning without target_ci", str(most), remedy)
            if most is not None and not LEAST <= (now := getattr(self, name)) < most:
                told = f"must be at least {LEAST} and less than most_{name}: what they differ by says how many it takes"
                yield Problem((name,), told, str(now))
        if self.target_ci is not None and not any(growing.values()):
            remedy = "say most_trainings, most_dies, or both"
            yield Problem(("target_ci",), "needs to know what to repeat, and how often", f"{self.target_ci:g}", remedy)

    def places(self, trainings: int, dies: int) -> Iterable[tuple[int, int, int]]:
        """The training, die and read of each point of a cell of so many trainings and dies."""
        for training, die, read in np.ndindex(trainings, dies, self.reads):
            yield training, training if self.own_dies else die, read


# those that others can stand beside, of the same x and series
AlsoKind = Literal["accuracy_vs_bits", "yield", "dies", "pareto"]
PlotKind = Literal["accuracy_vs_bits", "losses", "alignment", "ladders", "table", "yield", "dies", "pareto"]


@dataclass(frozen=True, kw_only=True)
class PlotSpec(Spec):
    """What the study's figures show: one of `kind`, and with the same x and series one of each kind of `also`.

    "accuracy_vs_bits": accuracy over the swept path `x`, a line for each value of the path `series`. "losses": how much
    lower the accuracy of each value of `x` lies than that of the first, replicate by replicate. "alignment": cosines
    and signal-to-noise ratios of a study of alignment, a line for each value of `x`, a panel for each path that some
    cells alone have, as those of a list do. "ladders", with x = "level" and series = "variant": where each variant has
    lost two points on each ladder, how accuracies fall, at which cost, and beside which cosine. "table": the mean
    accuracy of each value of `series` at each value of x. "yield": the share of dies that [yield] calls good over x, a
    line for each value of `series`. "dies": the accuracy of every die over x. "pareto": `y` against `x`, a dot a cell,
    each a swept path of numbers, an accuracy or another number of the study, and the front of those that no other cell
    beats, `better` saying which end of each is (low x and high y).
    """

    kind: PlotKind
    x: str
    series: str | None = None
    y: str | None = None
    better: tuple[Literal["low", "high"], ...] | None = None
    also: tuple[AlsoKind, ...] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of figure that is asked for, each once."""
        return tuple(dict.fromkeys((self.kind, *(self.also or ()))))

    def problems(self) -> Iterable[Problem]:
        if self.kind in ("losses", "alignment") and self.series is not None:
            allowed = f'has no meaning where kind = "{self.kind}"'
            yield Problem(("series",), allowed, f'"{self.series}"', "leave it out")
        if self.kind == "table" and self.series is None:
            yield Problem(("series",), "is needed: its values are the rows of the table")
        if self.kind == "ladders" and (self.x, self.series) != ("level", "variant"):
            remedy = 'set x = "level" and series = "variant"'
            yield Problem((), "of ladders shows variants level by level", remedy=remedy)
        if self.also is not None and self.kind not in get_args(AlsoKind):
            allowed = f'has no meaning where kind = "{self.kind}", which has figures of its own'
            yield Problem(("also",), allowed, remedy="leave it out")
        if "pareto" not in self.kinds:
            for key in ("y", "better"):
                if getattr(self, key) is not None:
                    yield Problem((key,), 'has no meaning where no kind is "pareto"', remedy="leave it out")
        if self.better is not None and len(self.better) != 2:
            allowed = "must say of x and of y which end is better"
            yield Problem(("better",), allowed, str(list(self.better)), 'for one, ["low", "high"]')


@dataclass(frozen=True, kw_only=True)
class YieldSpec(Spec):
    """A die is good that reaches `accuracy`, averaged over its reads; a share `target` of dies is to be good."""

    accuracy: float = limited(low=0, high=1)
    target: float | None = limited(None, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class SearchSpec(Spec):
    """The smallest value of the swept path `along` from which on the accuracy stays `within` so much of that in float.

    With better = "low" the largest one. Only cells that it takes to find it are evaluated.
    """

    along: str
    within: float = limited(0.01, low=0, high=1)
    better: Literal["low", "high"] = "high"


class Searched(NamedTuple):
    """A search that was made: among so many cells, which the paths `others` tell apart beside the one it went along."""

    asked: SearchSpec
    cells: int
    others: tuple[str, ...]


@dataclass(frozen=True)
class Axis:
    """A swept path ("chip.adc.bits") and its values, plain TOML values, each different."""

    path: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError.of(("grid", self.path), "needs at least one value", given="[]")
        labels = self.coordinates().tolist()
        if len(set(labels)) < len(labels):
            twice = next(label for label, count in Counter(labels).items() if count > 1)
            raise SpecError.of(("grid", self.path), f"has a value twice: {twice}")

    def coordinates(self) -> NDArray[Any]:
        """The values as a column (n,): int64, float64, or a text for each."""
        return column(self.values)


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Values of a path as a column (n,): int64, float64, or a text for each; None, where it has none, is NaN or ""."""
    given = [value for value in values if value is not None]
    if all(_is_number(value) for value in given):
        whole = len(given) == len(values) and all(isinstance(value, int) for value in given)
        return np.array([np.nan if v is None else v for v in values], dtype=np.int64 if whole else np.float64)
    labels = ["" if value is None else _label(value) for value in values]
    if len(set(labels)) < len({canonical_json(value) for value in values}):  # the text "6" beside the number 6
        labels = ["" if value is None else canonical_json(value) for value in values]
    return np.array(labels, dtype=np.str_)


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: the swept values that apply to it, by path, and all that determines its results.

    `text` is the canonical JSON of the configuration, which leaves out the replicates alone. It is kept as text: the
    configurations of a hundred thousand cells are gigabytes of tables. `trainings` and `dies` are its own, None: as all
    have them.
    """

    coordinates: Mapping[str, Any]
    text: str
    trainings: int | None = None
    dies: int | None = None

    @classmethod
    def of(cls, coordinates: Mapping[str, Any], config: Mapping[str, Any]) -> Cell:
        """The cell at `coordinates` whose results `config` determines."""
        return cls(coordinates, canonical_json(config))

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration as a table."""
        table: Mapping[str, Any] = json.loads(self.text)
        return table


class Gap(NamedTuple):
    """A cell that cannot be: its chip lacks what its learning rule needs. It stands before the cell of `place`."""

    place: int
    coordinates: Mapping[str, Any]
    reason: str


def plot_problems(plot: PlotSpec | None, paths: Sequence[str]) -> Iterable[Problem]:
    """What is wrong with a plot of a study that sweeps `paths`, the columns of "pareto" apart."""
    if plot is None:
        return
    over = () if plot.kind == "pareto" else (("x", plot.x),)
    for key, shown in (*over, ("series", plot.series)):
        if shown is not None and shown not in paths:
            yield Problem(("plot", key), "must be a swept path", f'"{shown}"', did_you_mean(shown, paths))
    if plot.x == plot.series:
        yield Problem(("plot", "series"), "must differ from x", f'"{plot.series}"', "leave it out")


def _pareto_problems(plot: PlotSpec | None, axes: Sequence[Axis], quantities: Sequence[Quantity]) -> Iterable[Problem]:
    """What is wrong with the columns that "pareto" sets against each other."""
    if plot is None or "pareto" not in plot.kinds:
        return
    known = [axis.path for axis in axes if axis.coordinates().dtype.kind != "U"]
    known += ["accuracy", "accuracy_float", *(one.name for one in quantities if one.along is None)]
    for key, name in (("x", plot.x), ("y", plot.y or "accuracy")):
        if name not in known:
            told = "must be a swept path of numbers, an accuracy or another number of the study"
            yield Problem(("plot", key), told, f'"{name}"', did_you_mean(name, known))
    if plot.x == (plot.y or "accuracy"):
        yield Problem(("plot", "y"), "must differ from x", f'"{plot.x}"')


def _yield_problems(
    asked: YieldSpec | None, plot: PlotSpec | None, replicates: Replicates, cells: Sequence[Cell]
) -> Iterable[Problem]:
    """What is wrong with [yield], or with a figure of it."""
    if asked is None:
        if plot is not None and "yield" in plot.kinds:
            remedy = "add it, for one with accuracy = 0.95"
            yield Problem(("plot", "kind"), "is of dies that [yield] calls good", '"yield"', remedy)
        return
    trainings = max(cell.trainings or replicates.trainings for cell in cells)
    trainings = max(trainings, replicates.most_trainings or 1)
    if trainings > 1 and not replicates.own_dies:
        told = f"must be 1 with [yield], which {SEPARATE_DIES}"
        yield Problem(("replicates", "trainings"), told, str(trainings), SEPARATED)


def _follows(path: str, along: str, cells: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a path has several values, and one for each value of `along`."""
    pairs = {(repr(cell[along]), repr(cell.get(path))) for cell in cells}
    return len({value for _, value in pairs}) > 1 and len(pairs) == len({key for key, _ in pairs})


def _search_problems(plan: Plan, axes: Sequence[Axis]) -> Iterable[Problem]:
    """What is wrong with [search]."""
    search = plan.search
    if search is None:
        return
    known = [axis.path for axis in axes if axis.coordinates().dtype.kind != "U"]
    if search.along not in known:
        told = "must be a swept path of numbers"
        yield Problem(("search", "along"), told, f'"{search.along}"', did_you_mean(search.along, known))


def along_of(plot: PlotSpec | None, paths: Sequence[str]) -> str:
    """The swept path along which a target is told: the plot's x, else the axis that varies fastest."""
    return plot.x if plot is not None and plot.x in paths else paths[-1]


def _target_problems(along: str, axes: Sequence[Axis]) -> Iterable[Problem]:
    """What is wrong with a target of yield along a path."""
    if any(axis.path == along and axis.coordinates().dtype.kind == "U" for axis in axes):
        told = "is told along numbers: the x of [plot], or else the last axis of [grid]"
        yield Problem(("yield", "target"), told, f'"{along}"', "give [plot] an x of numbers, or leave target out")


def _unplottable(plot: PlotSpec | None, cells: Sequence[Cell]) -> Iterable[Problem]:
    """What is wrong with a plot of these cells, along paths that are swept."""
    lacking = False
    if plot is not None and plot.kind == "pareto":
        return
    for key, path in (("x", plot.x), ("series", plot.series)) if plot is not None else ():
        if path is not None and any(path not in cell.coordinates for cell in cells):
            lacking = True
            told, remedy = "must be swept in every cell of the grid", "this one is there in some of them only"
            yield Problem(("plot", key), told, f'"{path}"', remedy)
    if plot is not None and plot.kind != "ladders" and not lacking and _is_scattered(plot, cells):
        told = "every cell would have a figure to itself, since other paths change wherever this one does"
        yield Problem(("plot", "x"), told, f'"{plot.x}"', "plot a path that sets the others, or sweep this one apart")


def _is_scattered(plot: PlotSpec, cells: Sequence[Cell]) -> bool:
    """Whether x has several values, and still no two cells agree in all that a figure holds fixed."""

    def different(*paths: str) -> int:
        return len({tuple(repr(cell.coordinates.get(path)) for path in paths) for cell in cells})

    kept = [plot.x] if plot.series is None else [plot.x, plot.series]
    others = dict.fromkeys(path for cell in cells for path in cell.coordinates if path not in kept)
    shown = different(*kept)
    fixed = [path for path in others if different(*kept, path) > shown]  # the rest is linked to what is shown
    return different(plot.x) > 1 and different(*fixed) == len(cells)


class Point(NamedTuple):
    """One result of a study: a cell of the grid (its place in `Plan.cells`) with one training, die and read."""

    id: str
    cell: int
    training: int
    die: int
    read: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, ready to run: its `cells`, each repeated as `replicates` say.

    Of a `search`, the places of the cells that are `asked` for so far; None: all are.

    `axes` are the swept paths with their different values; a cell need not have a value of every axis. `tuned` are the
    paths whose value each cell finds by itself. `yields` says which dies are good, where anybody asked. `chance` is the
    accuracy of guessing, `test_samples` are how many an accuracy is counted over. `quantities` are what points have
    beside accuracies, `gaps` the cells that cannot be.
    """

    name: str
    config: Mapping[str, Any]
    toml: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    replicates: Replicates
    dataset_sha256: str
    chance: float
    test_samples: int
    plot: PlotSpec | None
    yields: YieldSpec | None = None
    search: SearchSpec | None = None
    asked: tuple[int, ...] | None = None
    question: str = ""  # in words, as the head of the study's file has it
    tuned: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()  # what it spends beside its points
    warnings: tuple[str, ...] = ()  # what whoever runs it should know

    def __post_init__(self) -> None:
        if found := list(self._problems()):
            raise SpecError(found)

    def _problems(self) -> Iterable[Problem]:
        paths = [axis.path for axis in self.axes]
        for path in paths:
            if path in RESERVED or paths.count(path) > 1:
                yield Problem(("grid", path), "cannot be swept: the results have a column of this name")
        yield from quantity_problems(self.quantities, (*RESERVED, *dict.fromkeys(paths)))
        wrong = list(plot_problems(self.plot, paths))
        wrong += _pareto_problems(self.plot, self.axes, self.quantities)
        wrong += list(_search_problems(self, self.axes))
        wrong += _yield_problems(self.yields, self.plot, self.replicates, self.cells)
        if self.yields is not None and self.yields.target is not None and not wrong:
            wrong += _target_problems(along_of(self.plot, paths), self.axes)
        yield from wrong or _unplottable(self.plot, self.cells)

    @functools.cached_property
    def is_product(self) -> bool:
        """Whether the cells are the full product of the axes, in C order, and repeated alike."""
        if self.asked is not None or self.replicates.own_dies:
            return False
        if any((cell.trainings, cell.dies) != (None, None) for cell in self.cells):
            return False
        if len(self.cells) != math.prod(len(axis.values) for axis in self.axes):
            return False
        paths = [axis.path for axis in self.axes]
        everything = itertools.product(*(axis.values for axis in self.axes))
        return all(
            cell.coordinates == dict(zip(paths, values, strict=True))
            for cell, values in zip(self.cells, everything, strict=True)
        )

    @functools.cached_property
    def points(self) -> tuple[Point, ...]:
        """Every point: cells in order, and in each trainings, dies, reads in C order.

        Cells that resolve to the same configuration share their ids.
        """
        return tuple(self._points())

    @property
    def possible_ids(self) -> frozenset[str]:
        """The ids of all points that the study may come to have, whatever its results."""
        count = self.replicates
        cells = tuple(
            dataclasses.replace(one, trainings=count.most_trainings or one.trainings, dies=count.most_dies or one.dies)
            for one in self.cells
        )
        return frozenset(point.id for point in dataclasses.replace(self, cells=cells, asked=None)._points())

    @functools.cached_property
    def searched_apart(self) -> tuple[str, ...]:
        """The paths that tell the cells of a search apart, beside the one that it goes along and what follows that."""
        assert self.search is not None
        along = self.search.along
        cells = [cell.coordinates for cell in self.cells if along in cell.coordinates]
        paths = dict.fromkeys(path for cell in cells for path in cell if path != along)
        return tuple(path for path in paths if not _follows(path, along, cells))

    def _points(self) -> Iterator[Point]:
        count = self.replicates
        for number in range(len(self.cells)) if self.asked is None else self.asked:
            cell = self.cells[number]
            config = hashlib.sha256(cell.text.encode()).hexdigest()
            for replicate in count.places(cell.trainings or count.trainings, cell.dies or count.dies):
                yield Point(_id(config, *replicate), number, *replicate)


def _id(config_sha256: str, training: int, die: int, read: int) -> str:
    """The id of a point, 32 hexadecimal digits: of all that determines its result, MODEL_VERSION included."""
    determines = {"config": config_sha256, "training": training, "die": die, "read": read}
    return digest({**determines, "model_version": MODEL_VERSION})[:32]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _label(value: Any) -> str:
    """A swept value in a word or two: `uniform bits=6` for {kind = "uniform", bits = 6}."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        kind = [_label(value["kind"])] if "kind" in value else []
        return " ".join(kind + [f"{key}={_nested(value[key])}" for key in sorted(value) if key != "kind"])
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_nested(item) for item in value)}]"
    return str(value)


def _nested(value: Any) -> str:
    return f"({_label(value)})" if isinstance(value, Mapping) else _label(value)
