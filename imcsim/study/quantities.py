"""What the points of a study have beside their accuracies: numbers, and series of numbers along a dimension.

An experiment declares them: it gives the Plan its `quantities`, and its `evaluate` puts a number, or an array of at
most as many numbers as the dimension has places, under the name of each into the values of a point:

    layers = Dimension("layer", (0, 1), "layer of the network")
    Plan(..., quantities=(Quantity("cosine", "cosine to the gradient", along=layers),))
    yield {"accuracy": 0.9, "accuracy_float": None, "cosine": np.array([0.99, 0.97])}

study.h5 holds a number as a column (point,) and a series as a dataset (point, dimension), float64, NaN where a point
has none or its series ended earlier. read_table gives both back as `columns`; a Row of its summary has the means of
numbers in `numbers`, and series in `series`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem
from imcsim.study.store import Values

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dimension:
    """What series run along: a name, and the number of each of their places."""

    name: str
    places: tuple[int, ...]
    long_name: str


@dataclass(frozen=True)
class Quantity:
    """A number of every point, or with `along` a series of them."""

    name: str
    long_name: str
    units: str = "1"
    along: Dimension | None = None


def dimensions(quantities: Iterable[Quantity]) -> list[Dimension]:
    """The different dimensions of series."""
    return list(dict.fromkeys(quantity.along for quantity in quantities if quantity.along is not None))


def column_of(quantity: Quantity, found: Sequence[Values | None]) -> Floats:
    """The quantity of points whose values are `found`: (points,), of a series (points, places).

    Raises ValueError for what is neither a number nor a series that fits.
    """
    if quantity.along is None:
        return np.array([_number(quantity, values) for values in found], dtype=np.float64)
    column = np.full((len(found), len(quantity.along.places)), np.nan)
    for row, values in zip(column, found, strict=True):
        series = np.asarray([] if values is None else values.get(quantity.name, []), dtype=np.float64)
        if series.ndim != 1 or len(series) > len(row):
            raise ValueError(f"{quantity.name}: must be at most {len(row)} numbers, not of shape {series.shape}")
        row[: len(series)] = series
    return column


def _number(quantity: Quantity, values: Values | None) -> float:
    value = None if values is None else values.get(quantity.name)
    return np.nan if value is None else float(value)


def quantity_problems(quantities: Sequence[Quantity], taken: Iterable[str]) -> Iterable[Problem]:
    """What is wrong with `quantities` beside columns whose names are `taken`."""
    own = [*(quantity.name for quantity in quantities), *(dimension.name for dimension in dimensions(quantities))]
    names = [*taken, *own]
    for name in dict.fromkeys(name for name in own if names.count(name) > 1):
        yield Problem(("quantities", name), "the results have a column of this name already")


def plain_quantities(quantities: Iterable[Quantity]) -> list[Any]:
    """The quantities as study.h5 tells of them: [name, dimension or ""] each."""
    return [[one.name, "" if one.along is None else one.along.name] for one in quantities]
