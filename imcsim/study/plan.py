"""A study before it is run: the cells of its grid, what it asks of them, the points and their ids."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from imcsim.errors import Problem, SpecError
from imcsim.study.axes import Axis, Cell, Gap, Replicates
from imcsim.study.canonical import digest
from imcsim.study.quantities import Quantity, quantity_problems
from imcsim.study.questions import PlotSpec, SearchSpec, YieldSpec, question_problems
from imcsim.version import MODEL_VERSION

# the columns that every study has: no swept path may be called like one of them
RESERVED = ("point", "training", "die", "read", "accuracy", "accuracy_float", "status", "extrapolated")


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

    `axes` are the swept paths with their different values; a cell need not have a value of every axis. `tuned` are the
    paths whose value each cell finds by itself. `yields` says which dies are good, where anybody asked. `chance` is the
    accuracy of guessing, `test_samples` are how many an accuracy is counted over. `quantities` are what points have
    beside accuracies, `gaps` the cells that cannot be. `asked` are the places of the cells that a `search` has asked
    for so far, None where all of them are.
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
        asked = self.plot, self.yields, self.search
        yield from question_problems(*asked, self.axes, self.cells, self.replicates, self.quantities)

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
            dataclasses.replace(
                one,
                trainings=max(count.most_trainings or 1, one.trainings or count.trainings),
                dies=max(count.most_dies or 1, one.dies or count.dies),
            )
            for one in self.cells
        )
        return frozenset(point.id for point in dataclasses.replace(self, cells=cells, asked=None)._points())

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
