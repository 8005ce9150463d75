"""A study before it is run: the axes it sweeps, the cells of their grid, the replicates of each, the id of a point."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.specs.fields import Spec, limited
from imcsim.study.canonical import canonical_json, digest
from imcsim.version import MODEL_VERSION

# the columns that every study has: no swept path may be called like one of them
RESERVED = ("point", "training", "die", "read", "accuracy", "accuracy_float", "status")


@dataclass(frozen=True, kw_only=True)
class Replicates(Spec):
    """How often each cell of the grid is repeated: trainings x dies x reads."""

    trainings: int = limited(1, low=1, high=100_000)
    dies: int = limited(1, low=1, high=100_000)
    reads: int = limited(1, low=1, high=100_000)


@dataclass(frozen=True, kw_only=True)
class PlotSpec(Spec):
    """What the study's figure shows.

    "accuracy_vs_bits": accuracy over the swept path `x`, a line for each value of the path `series`. "losses": how much
    lower the accuracy of each value of `x` lies than that of the first, replicate by replicate.
    """

    kind: Literal["accuracy_vs_bits", "losses"]
    x: str
    series: str | None = None

    def problems(self) -> Iterable[Problem]:
        if self.kind == "losses" and self.series is not None:
            yield Problem(("series",), 'has no meaning where kind = "losses"', f'"{self.series}"', "leave it out")


@dataclass(frozen=True)
class Axis:
    """A swept path ("chip.adc.bits") and its values, plain TOML values, each different."""

    path: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError.of(("grid", self.path), "needs at least one value", given="[]")
        labels = self.coordinates().tolist()
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise SpecError.of(("grid", self.path), f"has a value twice: {twice}")

    def coordinates(self) -> NDArray[Any]:
        """The values as a column (n,): int64, float64, or a text for each."""
        if all(_is_number(value) for value in self.values):
            whole = all(isinstance(value, int) for value in self.values)
            return np.array(self.values, dtype=np.int64 if whole else np.float64)
        labels = [_label(value) for value in self.values]
        if len(set(labels)) < len(labels):  # the text "6" beside the number 6
            labels = [canonical_json(value) for value in self.values]
        return np.array(labels, dtype=np.str_)


@dataclass(frozen=True)
class Cell:
    """One combination of the swept values: its position on each axis, and all that determines its results.

    `config` is JSON-able and leaves out the replicates alone.
    """

    index: tuple[int, ...]
    config: Mapping[str, Any]


def plot_problems(plot: PlotSpec | None, paths: Sequence[str]) -> Iterable[Problem]:
    """What is wrong with a plot of a study that sweeps `paths`."""
    if plot is None:
        return
    for key, shown in (("x", plot.x), ("series", plot.series)):
        if shown is not None and shown not in paths:
            yield Problem(("plot", key), "must be a swept path", f'"{shown}"', did_you_mean(shown, paths))
    if plot.x == plot.series:
        yield Problem(("plot", "series"), "must differ from x", f'"{plot.series}"', "leave it out")


class Point(NamedTuple):
    """One result of a study: a cell of the grid (its place in `Plan.cells`) with one training, die and read."""

    id: str
    cell: int
    training: int
    die: int
    read: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, ready to run. `cells` is the full product of `axes` in C order; `chance` the accuracy of guessing."""

    name: str
    config: Mapping[str, Any]
    toml: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    replicates: Replicates
    dataset_sha256: str
    chance: float
    plot: PlotSpec | None
    warnings: tuple[str, ...] = ()  # what whoever runs it should know

    def __post_init__(self) -> None:
        if found := list(self._problems()):
            raise SpecError(found)
        if [cell.index for cell in self.cells] != list(np.ndindex(self.shape[:-3])):
            raise ValueError("Plan: cells must be the full product of the axes in C order")

    def _problems(self) -> Iterable[Problem]:
        paths = [axis.path for axis in self.axes]
        for path in paths:
            if path in RESERVED or paths.count(path) > 1:
                yield Problem(("grid", path), "cannot be swept: the results have a column of this name")
        yield from plot_problems(self.plot, paths)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, then trainings, dies and reads."""
        count = self.replicates
        return (*(len(axis.values) for axis in self.axes), count.trainings, count.dies, count.reads)

    @functools.cached_property
    def points(self) -> tuple[Point, ...]:
        """Every point, in C order over `shape`; cells that resolve to the same configuration share their ids."""
        replicates = list(np.ndindex(self.shape[-3:]))
        digests = [digest(cell.config) for cell in self.cells]
        return tuple(
            Point(_id(config, *replicate), cell, *replicate)
            for cell, config in enumerate(digests)
            for replicate in replicates
        )


def point_id(config: Mapping[str, Any], training: int, die: int, read: int) -> str:
    """The id of a point, 32 hexadecimal digits: of all that determines its result, MODEL_VERSION included."""
    return _id(digest(config), training, die, read)


def _id(config_sha256: str, training: int, die: int, read: int) -> str:
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
