"""The points of a study for other programs: as comma-separated values, and as an xarray.Dataset."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import SpecError
from imcsim.study.merge import DIVERGED, FAILED, MISSING, OK, REFUSED, STOPPED, tuned_name

if TYPE_CHECKING:
    import xarray

STATUS = {
    MISSING: "missing",
    OK: "ok",
    FAILED: "failed",
    STOPPED: "stopped early",
    DIVERGED: "diverged",
    REFUSED: "could not begin",
}
REPLICATES = ("training", "die", "read")


class Points(Protocol):
    """The points of a study by columns, as study.table.StudyTable has them."""

    @property
    def axes(self) -> tuple[str, ...]: ...
    @property
    def tuned(self) -> tuple[str, ...]: ...
    @property
    def numbers(self) -> tuple[str, ...]: ...
    @property
    def series(self) -> Mapping[str, str]: ...
    @property
    def places(self) -> Mapping[str, NDArray[Any]]: ...
    @property
    def columns(self) -> Mapping[str, NDArray[Any]]: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def numbers_of(table: Points) -> tuple[str, ...]:
    """The columns that say what came of a point, one value each."""
    return ("accuracy", "accuracy_float", *map(tuned_name, table.tuned), *table.numbers)


def points_csv(table: Points) -> str:
    """A line a point: swept values, training, die, read, results, what became of it; empty where there is nothing."""
    names = (*table.axes, *REPLICATES, *numbers_of(table), "extrapolated")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "status"])
    columns = [table.columns[name].tolist() for name in names]
    for *values, status in zip(*columns, table.columns["status"].tolist(), strict=True):
        writer.writerow([*map(_field, values), STATUS[status]])
    return text.getvalue()


def _field(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def to_xarray(table: Points) -> xarray.Dataset:
    """The points as a Dataset: a dimension for each axis, training, die and read where the grid is a full product.

    Else one dimension `point`, with those as coordinates along it. Series have a dimension of their own. Raises
    SpecError without the package xarray.
    """
    try:
        import xarray
    except ImportError as error:
        raise SpecError.of("to_xarray", "needs the package xarray", remedy="pip install 'imcsim[xarray]'") from error
    names = ("accuracy", "accuracy_float", "status", "extrapolated", *map(tuned_name, table.tuned))
    names += (*table.numbers, *table.series)
    along = {name: (table.series[name],) if name in table.series else () for name in names}
    coordinates: dict[str, Any] = {dimension: (dimension, places) for dimension, places in table.places.items()}
    shape = _product(table)
    if shape is None:
        coordinates |= {name: ("point", table.columns[name]) for name in (*table.axes, *REPLICATES)}
        variables = {name: (("point", *along[name]), table.columns[name]) for name in names}
    else:
        coordinates |= {name: (name, _different(table.columns[name])) for name in (*table.axes, *REPLICATES)}
        variables = {
            name: (
                (*table.axes, *REPLICATES, *along[name]),
                table.columns[name].reshape(*shape, *table.columns[name].shape[1:]),
            )
            for name in names
        }
    return xarray.Dataset(variables, coordinates, dict(table.attributes))


def _product(table: Points) -> tuple[int, ...] | None:
    """The sides of the full product that the points are, in C order; None where they are none."""
    sides = [_different(table.columns[name]) for name in (*table.axes, *REPLICATES)]
    shape = tuple(len(side) for side in sides)
    if math.prod(shape) != len(table.columns["accuracy"]):
        return None
    for name, side, index in zip((*table.axes, *REPLICATES), sides, np.indices(shape), strict=True):
        if not np.array_equal(table.columns[name], side[index.ravel()]):
            return None
    return shape


def _different(column: NDArray[Any]) -> NDArray[Any]:
    """The different values of a column, in their order."""
    return np.array(list(dict.fromkeys(column.tolist())), dtype=column.dtype)
