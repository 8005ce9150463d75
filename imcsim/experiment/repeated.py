"""[[replicates.more]]: cells that are trained more often than the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from imcsim.errors import Problem
from imcsim.experiment.conditions import Condition, fulfils, read_condition
from imcsim.specs.codec import build, format_value
from imcsim.specs.fields import Spec, limited
from imcsim.study.axes import Cell


@dataclass(frozen=True, kw_only=True)
class _Trainings(Spec):
    trainings: int = limited(low=1, high=100_000)


class More(NamedTuple):
    """So many trainings where a cell fulfils the condition."""

    condition: Condition
    trainings: int


def read_more(tables: Any, swept: Mapping[str, Sequence[Any]], problems: list[Problem]) -> list[More]:
    """What [[replicates.more]] asks for beside the values of swept paths; `problems` gathers what is wrong."""
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        told = "must be tables, each under [[replicates.more]]"
        problems.append(Problem(("replicates", "more"), told, format_value(tables)))
        return []
    found = []
    for number, table in enumerate(tables):
        where = ("replicates", f"more[{number}]")
        built = build(_Trainings, {key: value for key, value in table.items() if key != "if"}, where, problems)
        condition = read_condition(table.get("if"), (*where, "if"), swept, problems)
        if built is not None:
            found.append(More(condition, built.trainings))
    return found


def repeated(cells: Iterable[Cell], more: Sequence[More]) -> list[Cell]:
    """The cells with the trainings that the last of `more` gives them that applies."""
    found = []
    for cell in cells:
        trainings = [one.trainings for one in more if fulfils(cell.coordinates, one.condition)]
        found.append(dataclasses.replace(cell, trainings=trainings[-1]) if trainings else cell)
    return found
