"""The summary of a study: a row for each cell of the grid, as numbers, as text, as CSV and as plain data."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.study.merge import tuned_name
from imcsim.study.questions import PlotSpec, Searched, YieldSpec
from imcsim.study.statistics import NO_SPREAD, Interval, mean_interval
from imcsim.study.text import (
    LADDER,
    aligned,
    bounds,
    coordinates,
    percent,
    points,
    replicates,
    short,
    together,
    without_nan,
)

BEYOND = "beyond the states or times that the device model was measured for"


@dataclass(frozen=True, eq=False)
class Row:
    """One cell of the grid: its swept values, the accuracy on the chip and in float, each value behind the mean.

    `coordinates` lacks the paths that do not apply here. `values` holds the accuracy of every training on every die at
    every read, (trainings, dies, reads), NaN where there is none; `ok`, `failed` and `missing` count points, `stopped`
    those of the `ok` whose training was stopped early, `diverged` those whose learning diverged, `extrapolated` those
    with a device model beyond the states or times that it was measured for. `refused` counts points whose rule could
    not begin, `refusals` (trainings, dies) tells where some are, `gap` says why a whole cell could not. `tuned` are the
    values that the cell found by itself, by path; None where none of its points did. `values_float` (trainings, 1) are
    the accuracies of the same weights in float, (trainings, dies) where each die has weights of its own. Of what a
    study has beside accuracies, `numbers` are means, `series` (trainings, dies, places).
    """

    coordinates: Mapping[str, Any]
    accuracy: Interval
    accuracy_float: Interval
    values: NDArray[np.float64]
    ok: int
    failed: int
    missing: int
    stopped: int = 0
    diverged: int = 0
    extrapolated: int = 0
    refused: int = 0
    refusals: NDArray[np.bool_] | None = None
    gap: str = ""
    tuned: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    values_float: NDArray[np.float64] | None = None
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    series: Mapping[str, NDArray[np.float64]] = dataclasses.field(default_factory=dict)

    def curve(self, name: str) -> NDArray[np.float64]:
        """The mean of a series over trainings and dies, (places,); it ends where the first of them does."""
        ran = self.series[name].reshape(-1, self.series[name].shape[-1])
        ran = ran[~np.isnan(ran).all(axis=1)]  # what failed, or is missing
        return np.asarray(ran.mean(axis=0)) if len(ran) else np.full(ran.shape[1], np.nan)

    @property
    def replicates(self) -> tuple[float, ...]:
        """The accuracy of every training on every die, averaged over reads, without gaps."""
        averaged = self.values.mean(axis=2)
        return tuple(averaged[~np.isnan(averaged)].tolist())

    def interval(self, name: str, place: int) -> Interval:
        """The mean of the series `name` at one of its places, infinities left out as gaps are."""
        values = self.series[name][:, :, place]
        return mean_interval(np.where(np.isinf(values), np.nan, values))


@dataclass(frozen=True)
class Summary:
    """The rows of a study. `axes` are the swept paths; `fixed` the values at which `at` holds others of them.

    `along` are the places that each series of the rows has values for: of learning curves, the epochs. With `own_dies`
    each training has a die of its own. `yields` says which dies are good, `target_ci` how far 95 % intervals were to
    reach to either side, `searched` among which cells some were looked for; None where the study does not.
    """

    name: str
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    chance: float
    plot: PlotSpec | None
    test_samples: int | None = None
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    along: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    own_dies: bool = False
    yields: YieldSpec | None = None
    target_ci: float | None = None
    searched: Searched | None = None

    def values(self, path: str) -> list[Any]:
        """The different values of the swept `path`, in the study's order; None is that of rows it does not apply to."""
        return list(dict.fromkeys(row.coordinates.get(path) for row in self.rows))

    def at(self, fixed: Mapping[str, Any]) -> Summary:
        """The rows where each of these paths has the value given: `at({"chip.adc.bits": 6})`."""
        rows = tuple(row for row in self.rows if all(row.coordinates.get(path) == fixed[path] for path in fixed))
        axes = tuple(path for path in self.axes if path not in fixed)
        return dataclasses.replace(self, rows=rows, axes=axes, fixed={**self.fixed, **fixed})

    def linked(self, *kept: str) -> list[str]:
        """The axes that advance together with `kept`: each combination of those has one value of theirs."""
        return [path for path in self.axes if path not in kept and self._follows(path, kept)]

    def are_equal(self, path: str, other: str) -> bool:
        """Whether two axes have the same value in every row: one quantity under two names."""
        return all(row.coordinates.get(path) == row.coordinates.get(other) for row in self.rows)

    def slices(self, *kept: str) -> list[Summary]:
        """One summary for each combination that occurs of all axes but `kept` and what is linked to them."""
        linked = self.linked(*kept)
        others = [path for path in self.axes if path not in kept and path not in linked]
        combinations = dict.fromkeys(tuple(row.coordinates.get(path) for path in others) for row in self.rows)
        return [self.at(dict(zip(others, values, strict=True))) for values in combinations]

    def _follows(self, path: str, kept: tuple[str, ...]) -> bool:
        values: dict[tuple[Any, ...], Any] = {}
        several = len(self.values(path)) > 1  # a single value stands in the title
        return several and all(
            values.setdefault(tuple(row.coordinates.get(one) for one in kept), value) == value
            for row in self.rows
            for value in [row.coordinates.get(path)]
        )

    def losses(self, path: str) -> Mapping[Any, Interval]:
        """How much lower the accuracy lies at each value of `path` than at the first, paired by training and die.

        Empty where the results of the first are incomplete; a value with incomplete results is left out.
        """
        first, *others = self.values(path)
        complete = {
            row.coordinates[path]: row.values.mean(axis=2)
            for row in self.rows
            if path in row.coordinates and not (row.failed or row.missing)
        }
        if first not in complete:
            return {}
        return {value: mean_interval(complete[first] - complete[value]) for value in others if value in complete}

    def csv(self) -> str:
        """Comma-separated values, a line a row; empty where there is no number."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        table = [_flat(row, self.axes) for row in self.rows]
        for name in ("extrapolated", "diverged", "refused"):
            if any(getattr(row, name) for row in self.rows):
                for line, row in zip(table, self.rows, strict=True):
                    line[f"points_{name}"] = getattr(row, name)
        if self.plot is not None and self.plot.kind == "losses":
            x = self.plot.x
            lost = {id(row): part.losses(x).get(row.coordinates.get(x)) for part in self.slices(x) for row in part.rows}
            for line, row in zip(table, self.rows, strict=True):
                line |= {f"lost{end}": value for end, value in _ends(lost[id(row)])}
        if self.plot is not None and self.plot.kind == "alignment":
            for line, row in zip(table, self.rows, strict=True):
                for name, layers in self.along.items():
                    for place, layer in enumerate(layers):
                        line |= {f"{name}_{layer}{end}": value for end, value in _ends(row.interval(name, place))}
        writer.writerow(table[0])
        writer.writerows([_csv_field(value) for value in line.values()] for line in table)
        return text.getvalue()

    def plain(self) -> dict[str, Any]:
        """The summary as JSON-able data, None where there is no number."""
        return {
            "name": self.name,
            "chance": self.chance,
            "axes": list(self.axes),
            "rows": [without_nan(_plain(row)) for row in self.rows],
        }


def format_summary(summary: Summary) -> str:
    """The summary as a table to read: percent, the 95 % interval, how many trainings and dies."""
    tuned = list(dict.fromkeys(path for row in summary.rows for path in row.tuned))
    places, lines = coordinates(summary.axes, [row.coordinates for row in summary.rows])
    # beside a ladder too many for a column each
    several = LADDER in summary.axes and len(tuned) > 1
    heads = [*places, *(["tuned"] if several else map(tuned_name, tuned))]
    heads += ["accuracy %", "95 % interval", "float %", "trainings x dies"]
    for line, row in zip(lines, summary.rows, strict=True):
        line.extend([together(row.tuned, tuned)] if several else [short(row.tuned[path]) for path in tuned])
        line.extend(_percentages(row))
    if summary.plot is not None and summary.plot.kind == "losses" and len(summary.axes) == 1:
        lost = summary.losses(summary.plot.x)
        heads.append("points lost, 95 % interval")
        for line, row in zip(lines, summary.rows, strict=True):
            line.append(_points_lost(lost.get(row.coordinates[summary.plot.x])))
    beyond = [row for row in summary.rows if row.extrapolated]
    if beyond:
        heads.append("extrapolated")
        for line, row in zip(lines, summary.rows, strict=True):
            line.append("yes" if row.extrapolated else "")
    if summary.plot is not None and summary.plot.kind == "alignment":
        heads.append("cosine, a layer")
        for line, row in zip(lines, summary.rows, strict=True):
            line.append(
                "  ".join(f"{row.interval('cosine', k).mean:+.3f}" for k in range(len(summary.along["cosine"])))
            )
    known = [row.accuracy for row in summary.rows if not math.isnan(row.accuracy.mean)]
    notes = [
        f"chance: {100 * summary.chance:.2f} %; interval of the mean: {methods(known)}",
        *interval_notes(known, own_dies=summary.own_dies),
    ]
    if summary.target_ci is not None:
        wide = sum(one.high - one.low > 2 * summary.target_ci for one in known)
        told = f"{wide} are wider, with as many replicates as the study allows" if wide else "none is wider"
        notes.append(f"asked for: {100 * summary.target_ci:g} points to either side of {len(known)} means; {told}")
    failed, missing = sum(row.failed for row in summary.rows), sum(row.missing for row in summary.rows)
    if failed or missing:
        notes.append(f"incomplete: points failed: {failed}, missing: {missing}; the means leave them out")
    if stopped := sum(row.stopped for row in summary.rows):
        notes.append(f"stopped early: {stopped} points, whose trainings were given up; the means hold them")
    if diverged := sum(row.diverged for row in summary.rows):
        notes.append(f"diverged: {diverged} points, with the weights as they last were finite; the means hold them")
    if refused := sum(row.refused for row in summary.rows):
        notes.append(f"could not begin: {refused} points, whose rules refused the chip or its loss ADC; in no mean")
    gaps = Counter(row.gap for row in summary.rows if row.gap)
    notes += [f"gap, in {count} of {len(summary.rows)} rows: {reason}" for reason, count in gaps.items()]
    if beyond:
        count = f"{sum(row.extrapolated for row in beyond)} points, in {len(beyond)} of {len(summary.rows)} rows"
        notes.append(f"extrapolated: {count}, {BEYOND}")
    return "\n".join([summary.name, *aligned(heads, lines), *notes, *_test_set_note(summary)]) + "\n"


def _test_set_note(summary: Summary) -> list[str]:
    """What another test set of the same size would change: the binomial standard error, of the most uncertain cell."""
    known = [row.accuracy.mean for row in summary.rows if not math.isnan(row.accuracy.mean)]
    if not known or not summary.test_samples:
        return []
    p = min(known, key=lambda mean: abs(mean - 0.5))
    error = math.sqrt(p * (1 - p) / summary.test_samples)
    moved = (
        f"the least certain accuracy, {percent(p)} %, by {100 * error:.2f} points (standard error), differences by less"
    )
    return [f"test set: {summary.test_samples} samples, the same for all cells; another would move {moved}"]


def methods(intervals: Iterable[Interval]) -> str:
    """The different methods behind `intervals`."""
    return "; ".join(dict.fromkeys(interval.method for interval in intervals)) or "no value"


def interval_notes(intervals: Sequence[Interval], *, own_dies: bool = False) -> list[str]:
    """What a reader of `intervals` must know to believe none of them too much."""
    notes = (
        ["each training is on a die of its own: the interval is for other trainings, on other dies"] if own_dies else []
    )
    for count, single, other in (("n_dies", "die", "trainings"), ("n_trainings", "training", "dies")):
        if own_dies:
            break
        if any(getattr(one, count) == 1 and one.n_trainings * one.n_dies > 1 for one in intervals):
            notes.append(f"one {single}: the interval is for other {other} with this {single}, not for other {single}s")
    if equal := sum(interval.method == NO_SPREAD for interval in intervals):
        notes.append(f"{NO_SPREAD}, in {equal} of {len(intervals)}: all values are equal; it proves no certainty")
    # one degree of freedom from two values, hardly more where two trainings or two dies make up all the spread
    if few := sum(interval.freedom < 2 for interval in intervals):
        notes.append(
            f"fewer than 2 degrees of freedom, in {few} of {len(intervals)}: the t interval is wide"
            " (12.7 standard errors to each side of the mean of two values); more trainings or dies narrow it"
        )
    return notes


def _percentages(row: Row) -> list[str]:
    interval = row.accuracy
    return [percent(interval.mean), bounds(interval), percent(row.accuracy_float.mean), replicates(interval)]


def _points_lost(lost: Interval | None) -> str:
    if lost is None:
        return "-"
    around = f"  ({bounds(lost, '+')})" if bounds(lost) else ""
    return f"{points(lost.mean)}{around}"


def _plain(row: Row) -> dict[str, Any]:
    fields = {
        field.name: getattr(row, field.name)
        for field in dataclasses.fields(row)
        if field.name not in ("values", "values_float", "series", "refusals")
    }
    intervals = {name: dataclasses.asdict(fields[name]) for name in ("accuracy", "accuracy_float")}
    return {**fields, **intervals, "coordinates": dict(row.coordinates), "replicates": row.replicates}


def _flat(row: Row, axes: tuple[str, ...]) -> dict[str, Any]:
    """A row of the CSV: the swept values, then mean, bounds and counts of each quantity."""
    flat: dict[str, Any] = {path: row.coordinates.get(path, "") for path in axes}
    flat |= {tuned_name(path): value for path, value in row.tuned.items()}
    for name, interval in (("accuracy", row.accuracy), ("accuracy_float", row.accuracy_float)):
        flat |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    interval = row.accuracy
    flat |= {"trainings": interval.n_trainings, "dies": interval.n_dies, "method": interval.method}
    counts = {"points_ok": row.ok, "points_failed": row.failed, "points_missing": row.missing}
    return flat | counts | dict(row.numbers)


def _ends(loss: Interval | None) -> list[tuple[str, float]]:
    if loss is None:
        return [(end, math.nan) for end in ("", "_low", "_high")]
    return [("", loss.mean), ("_low", loss.low), ("_high", loss.high)]


def _csv_field(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
