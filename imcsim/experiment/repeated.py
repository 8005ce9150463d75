"""[[replicates.more]]: cells that are trained more often than the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imcsim.errors import Problem, did_you_mean
from imcsim.specs.codec import build, format_value
from imcsim.specs.fields import Spec, limited
from imcsim.study.plan import Axis, Cell


@dataclass(frozen=True, kw_only=True)
class _Trainings(Spec):
    trainings: int = limited(low=1, high=100_000)


@dataclass(frozen=True)
class More:
    """So many `trainings` where each path of `condition` has one of the values given there."""

    condition: Mapping[str, Sequence[Any]]
    trainings: int

    def applies(self, cell: Cell) -> bool:
        """Whether the cell fulfils the condition."""
        has = cell.coordinates
        return all(path in has and has[path] in values for path, values in self.condition.items())


def read_more(tables: Any, axes: Sequence[Axis], problems: list[Problem]) -> list[More]:
    """What [[replicates.more]] asks for in a study of these axes; `problems` gathers what is wrong."""
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        told = "must be tables, each under [[replicates.more]]"
        problems.append(Problem(("replicates", "more"), told, format_value(tables)))
        return []
    found = []
    swept = {axis.path: axis.values for axis in axes}
    for number, table in enumerate(tables):
        where = ("replicates", f"more[{number}]")
        built = build(_Trainings, {key: value for key, value in table.items() if key != "if"}, where, problems)
        asked = table.get("if")
        if not isinstance(asked, Mapping) or not asked:
            remedy = "as in if = { level = [0, 2] }"
            told = "must be a table of paths and the values they must have"
            problems.append(Problem((*where, "if"), told, "" if asked is None else format_value(asked), remedy))
            continue
        condition = {path: value if isinstance(value, list) else [value] for path, value in asked.items()}
        wrong = list(_unmet(condition, swept))
        problems.extend(problem.within(*where, "if") for problem in wrong)
        if built is not None and not wrong:
            found.append(More(condition, built.trainings))
    return found


def _unmet(condition: Mapping[str, Sequence[Any]], swept: Mapping[str, Sequence[Any]]) -> Iterable[Problem]:
    for path, values in condition.items():
        if path not in swept:
            yield Problem((path,), "names no swept path", remedy=did_you_mean(path, list(swept)))
        for value in values:
            if path in swept and value not in swept[path]:
                yield Problem((path,), "is no value of this path", format_value(value))


def repeated(cells: Iterable[Cell], more: Sequence[More]) -> list[Cell]:
    """The cells with the trainings that the last of `more` gives them that applies."""
    found = []
    for cell in cells:
        trainings = [one.trainings for one in more if one.applies(cell)]
        found.append(dataclasses.replace(cell, trainings=trainings[-1]) if trainings else cell)
    return found
