"""The combinatorics of a grid: factors of combinations, multiplied where their conditions hold. It knows no fields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from imcsim.study.axes import Axis
from imcsim.study.canonical import canonical_json

Combination = Mapping[str, Any]  # values by swept path
Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Factor:
    """What a grid is multiplied by: one cell becomes as many as there are `combinations`.

    It applies where every path of `condition` has one of the values given there, and leaves other cells as they are.
    """

    combinations: tuple[Combination, ...]
    condition: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def everywhere(self) -> set[str]:
        """The paths of which every cell has a value."""
        return set() if self.condition else set.intersection(*(set(one) for one in self.combinations))

    def applies(self, cell: Combination) -> bool:
        """Whether `cell` fulfils the condition."""
        return all(path in cell and cell[path] in values for path, values in self.condition.items())

    def excludes(self, other: Factor) -> bool:
        """Whether the conditions of the two ask different values of one path, so that no cell has both."""
        return any(
            not any(value in other.condition[path] for value in values)
            for path, values in self.condition.items()
            if path in other.condition
        )


class Multiplied(NamedTuple):
    """The cells of a product; `idle` are the places of factors that applied to none; `whole`: none is left out."""

    cells: list[Combination]
    idle: list[int]
    whole: bool


def multiplied(factors: Sequence[Factor], most: int) -> Multiplied:
    """The cells of the product of `factors`, in C order: the last varies fastest.

    A condition sees the factors before its own. Ends early where the cells would be more than `most`.
    """
    cells: list[Combination] = [{}]
    idle: list[int] = []
    for place, factor in enumerate(factors):
        applying = [factor.applies(cell) for cell in cells]
        if sum(applying) * len(factor.combinations) + applying.count(False) > most:
            return Multiplied(cells, idle, whole=False)
        if not any(applying):
            idle.append(place)
            continue
        cells = [
            {**cell, **combination}
            for cell, applies in zip(cells, applying, strict=True)
            for combination in (factor.combinations if applies else ({},))
        ]
    return Multiplied(cells, idle, whole=True)


def axes_of(factors: Iterable[Factor]) -> tuple[Axis, ...]:
    """Every path of the factors with its different values, both in the order in which they come first."""
    values: dict[str, dict[str, Any]] = {}
    for factor in factors:
        for combination in factor.combinations:
            for path, value in combination.items():
                values.setdefault(path, {}).setdefault(canonical_json(value), value)
    return tuple(Axis(path, tuple(found.values())) for path, found in values.items())


def distinct(combinations: Iterable[Combination]) -> tuple[Combination, ...]:
    """The combinations without those that were there before."""
    return tuple({canonical_json(combination): combination for combination in combinations}.values())


def spread(scale: Scale, low: float, high: float, points: int) -> list[int | float]:
    """`points` values from `low` to `high`, at equal steps of the value or of its logarithm.

    Whole ones are integers where both ends are.
    """
    inner = [between(scale, low, high, step / (points - 1)) for step in range(1, points - 1)]
    whole = isinstance(low, int) and isinstance(high, int)
    return [low, *(int(value) if whole and value.is_integer() else value for value in inner), high]


def between(scale: Scale, low: float, high: float, share: float) -> float:
    """The value at `share`, 0 ... 1, of the way from `low` to `high`."""
    if scale == "log":
        value = math.exp((1 - share) * math.log(low) + share * math.log(high))
    else:
        value = (1 - share) * low + share * high
    # twelve digits: the last place of one machine's logarithm must not decide which points a study has
    return min(max(float(f"{value:.12g}"), float(low)), float(high))


def whole_between(scale: Scale, low: int, high: int, share: float) -> int:
    """The integer at `share`, 0 ... 1 without 1, of the range: each has the share of the interval up to the next."""
    return min(int(between(scale, low, high + 1, share)), high)
