"""Cells by two of their numbers, and the front of those that no other cell beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imcsim.errors import SpecError, did_you_mean
from imcsim.study.summary import Row, Summary

ACCURACIES = ("accuracy", "accuracy_float")
End = Literal["low", "high"]
BETTER: tuple[End, End] = ("low", "high")  # a small cost, a large gain


@dataclass(frozen=True)
class Measured:
    """A number of a cell and its 95 % interval; NaN bounds where none is known."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Choice:
    """A cell by its x and y; `best` where no other is at least as good in both and better in one."""

    coordinates: Mapping[str, Any]
    x: Measured
    y: Measured
    best: bool


@dataclass(frozen=True)
class Pareto:
    """The cells that have both numbers, those of the front in the order of x; and which end of x and y is better."""

    choices: tuple[Choice, ...]
    better: tuple[End, End]
    left_out: int

    @property
    def front(self) -> list[Choice]:
        """The best, from the smallest x on."""
        return sorted((one for one in self.choices if one.best), key=lambda one: one.x.value)


def pareto(summary: Summary, x: str, y: str, better: tuple[End, End] = BETTER) -> Pareto:
    """Cells of `summary` by columns x and y: a swept path of numbers, an accuracy, or another number of the study.

    Cells that lack one of them, as those without a result, are left out. The front is of means, whatever their
    intervals. Raises SpecError for a column that is none of these.
    """
    known = _columns(summary)
    for key, name in (("x", x), ("y", y)):
        if name not in known:
            allowed = "must be a swept path of numbers, an accuracy or another number of the study"
            raise SpecError.of(f"plot.{key}", allowed, f'"{name}"', did_you_mean(name, known))
    found = [(row, _measured(row, x), _measured(row, y)) for row in summary.rows]
    kept = [(row, a, b) for row, a, b in found if not (math.isnan(a.value) or math.isnan(b.value))]
    signs = [-1.0 if end == "low" else 1.0 for end in better]
    goods = [(signs[0] * a.value, signs[1] * b.value) for _, a, b in kept]
    choices = [
        Choice(dict(row.coordinates), a, b, not _is_beaten(good, goods))
        for (row, a, b), good in zip(kept, goods, strict=True)
    ]
    return Pareto(tuple(choices), better, len(found) - len(kept))


def _is_beaten(good: tuple[float, float], goods: Sequence[tuple[float, float]]) -> bool:
    return any(other[0] >= good[0] and other[1] >= good[1] and other != good for other in goods)


def _columns(summary: Summary) -> list[str]:
    numbers = [path for path in summary.axes if not any(isinstance(value, str) for value in summary.values(path))]
    return [*numbers, *ACCURACIES, *dict.fromkeys(name for row in summary.rows for name in row.numbers)]


def _measured(row: Row, name: str) -> Measured:
    if name in ACCURACIES:
        interval = row.accuracy if name == "accuracy" else row.accuracy_float
        return Measured(interval.mean, interval.low, interval.high)
    value = row.coordinates.get(name) if name in row.coordinates else row.numbers.get(name)
    return Measured(math.nan if value is None else float(value))
