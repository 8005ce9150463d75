"""The summary of a study: a row for each cell of the grid, as numbers, as text, as CSV and as plain data."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.study.plan import PlotSpec
from imcsim.study.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Row:
    """One cell of the grid: its swept values, the accuracy on the chip and in float, each value behind the mean.

    `replicates` holds the accuracy of every training on every die, averaged over reads; `ok`, `failed` and `missing`
    count points.
    """

    coordinates: Mapping[str, Any]
    accuracy: Interval
    accuracy_float: Interval
    replicates: tuple[float, ...]
    ok: int
    failed: int
    missing: int


@dataclass(frozen=True)
class Summary:
    """The rows of a study. `axes` are the swept paths; `fixed` the values at which `at` holds others of them."""

    name: str
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    chance: float
    plot: PlotSpec | None
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def values(self, path: str) -> list[Any]:
        """The different values of the swept `path`, in the study's order."""
        return list(dict.fromkeys(row.coordinates[path] for row in self.rows))

    def at(self, fixed: Mapping[str, Any]) -> Summary:
        """The rows where each of these paths has the value given: `at({"chip.adc.bits": 6})`."""
        rows = tuple(row for row in self.rows if all(row.coordinates[path] == fixed[path] for path in fixed))
        axes = tuple(path for path in self.axes if path not in fixed)
        return dataclasses.replace(self, rows=rows, axes=axes, fixed={**self.fixed, **fixed})

    def slices(self, *kept: str) -> list[Summary]:
        """One summary for each combination of the values of all axes but `kept`."""
        others = [path for path in self.axes if path not in kept]
        combinations = itertools.product(*(self.values(path) for path in others))
        return [self.at(dict(zip(others, values, strict=True))) for values in combinations]

    def losses(self, path: str) -> Mapping[Any, Interval]:
        """How much lower the accuracy lies at each value of `path` than at the first, paired by training and die.

        Empty where the results of the first are incomplete; a value with incomplete results is left out.
        """
        first, *others = self.values(path)
        tables = {row.coordinates[path]: _table(row) for row in self.rows}
        reference = tables[first]
        if reference is None:
            return {}
        complete = {value: tables[value] for value in others}
        return {
            value: mean_interval(reference - table)
            for value, table in complete.items()
            if table is not None and table.shape == reference.shape
        }

    def csv(self) -> str:
        """Comma-separated values, a line a row; empty where there is no number."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        table = [_flat(row) for row in self.rows]
        if self.plot is not None and self.plot.kind == "losses":
            x = self.plot.x
            lost = {id(row): part.losses(x).get(row.coordinates[x]) for part in self.slices(x) for row in part.rows}
            for line, row in zip(table, self.rows, strict=True):
                line |= {f"lost{end}": value for end, value in _ends(lost[id(row)])}
        writer.writerow(table[0])
        writer.writerows([_csv_field(value) for value in line.values()] for line in table)
        return text.getvalue()

    def plain(self) -> dict[str, Any]:
        """The summary as JSON-able data, None where there is no number."""
        return {
            "name": self.name,
            "chance": self.chance,
            "axes": list(self.axes),
            "rows": [_without_nan(dataclasses.asdict(row)) for row in self.rows],
        }


def format_summary(summary: Summary) -> str:
    """The summary as a table to read: percent, the 95 % interval, how many trainings and dies."""
    heads = [*summary.axes, "accuracy %", "95 % interval", "float %", "trainings x dies"]
    lines = [[*(str(row.coordinates[path]) for path in summary.axes), *_percentages(row)] for row in summary.rows]
    if summary.plot is not None and summary.plot.kind == "losses" and len(summary.axes) == 1:
        lost = summary.losses(summary.plot.x)
        heads.append("points lost, 95 % interval")
        for line, row in zip(lines, summary.rows, strict=True):
            line.append(_points(lost.get(row.coordinates[summary.plot.x])))
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    table = [
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *lines]
    ]
    methods = "; ".join(dict.fromkeys(row.accuracy.method for row in summary.rows if not math.isnan(row.accuracy.mean)))
    notes = [f"chance: {100 * summary.chance:.2f} %; interval of the mean: {methods}"]
    failed, missing = sum(row.failed for row in summary.rows), sum(row.missing for row in summary.rows)
    if failed or missing:
        notes.append(f"incomplete: points failed: {failed}, missing: {missing}; the means leave them out")
    return "\n".join([summary.name, *table, *notes]) + "\n"


def _table(row: Row) -> NDArray[np.float64] | None:
    """The replicates (trainings, dies) of a row; None where some are missing."""
    count = row.accuracy.n_trainings, row.accuracy.n_dies
    whole = len(row.replicates) == math.prod(count) and not (row.failed or row.missing)
    return np.array(row.replicates).reshape(count) if whole else None


def _percentages(row: Row) -> list[str]:
    interval = row.accuracy
    bounds = "" if math.isnan(interval.low) else f"{100 * interval.low:.2f} ... {100 * interval.high:.2f}"
    count = f"{interval.n_trainings} x {interval.n_dies}"
    return [_percent(interval.mean), bounds, _percent(row.accuracy_float.mean), count]


def _points(lost: Interval | None) -> str:
    if lost is None:
        return "-"
    bounds = "" if math.isnan(lost.low) else f"  ({100 * lost.low:+.2f} ... {100 * lost.high:+.2f})"
    return f"{100 * lost.mean:+.2f}{bounds}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _flat(row: Row) -> dict[str, Any]:
    """A row of the CSV: the swept values, then mean, bounds and counts of each quantity."""
    flat = dict(row.coordinates)
    for name, interval in (("accuracy", row.accuracy), ("accuracy_float", row.accuracy_float)):
        flat |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    interval = row.accuracy
    flat |= {"trainings": interval.n_trainings, "dies": interval.n_dies, "method": interval.method}
    return flat | {"points_ok": row.ok, "points_failed": row.failed, "points_missing": row.missing}


def _ends(loss: Interval | None) -> list[tuple[str, float]]:
    if loss is None:
        return [(end, math.nan) for end in ("", "_low", "_high")]
    return [("", loss.mean), ("_low", loss.low), ("_high", loss.high)]


def _csv_field(value: Any) -> Any:
    return "" if _is_nan(value) else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_without_nan(item) for item in value]
    return None if _is_nan(value) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
