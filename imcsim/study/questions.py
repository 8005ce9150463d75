"""What a study asks of its results: figures, how many dies are good, how much of something is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from imcsim.errors import Problem, did_you_mean
from imcsim.specs.fields import Spec, limited
from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.quantities import Quantity

# what a binomial interval wants, and how a study has it
SEPARATE_DIES = "counts independent dies: of one training, or a die for each training"
SEPARATED = "set it to 1, or replicates.own_dies = true with dies = 1"


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


def question_problems(
    plot: PlotSpec | None,
    yields: YieldSpec | None,
    search: SearchSpec | None,
    axes: Sequence[Axis],
    cells: Sequence[Cell],
    replicates: Replicates,
    quantities: Sequence[Quantity],
) -> Iterable[Problem]:
    """What is wrong with what a study of these cells asks."""
    paths = [axis.path for axis in axes]
    wrong = list(plot_problems(plot, paths))
    wrong += _pareto_problems(plot, axes, quantities)
    wrong += _search_problems(search, axes)
    wrong += _yield_problems(yields, plot, replicates, cells)
    if yields is not None and yields.target is not None and not wrong:
        wrong += _target_problems(along_of(plot, paths), axes)
    yield from wrong or _unplottable(plot, cells)


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


def searched_apart(search: SearchSpec, cells: Sequence[Cell]) -> tuple[str, ...]:
    """The paths that tell the cells of a search apart, beside the one that it goes along and what follows that."""
    swept = [cell.coordinates for cell in cells if search.along in cell.coordinates]
    paths = dict.fromkeys(path for cell in swept for path in cell if path != search.along)
    return tuple(path for path in paths if not _follows(path, search.along, swept))


def _follows(path: str, along: str, cells: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a path has several values, and one for each value of `along`."""
    pairs = {(repr(cell[along]), repr(cell.get(path))) for cell in cells}
    return len({value for _, value in pairs}) > 1 and len(pairs) == len({key for key, _ in pairs})


def _search_problems(search: SearchSpec | None, axes: Sequence[Axis]) -> Iterable[Problem]:
    """What is wrong with [search]."""
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
