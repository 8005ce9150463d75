"""Each cell of a study against its counterpart at a reference value: paired differences, Holm's correction."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import SpecError, did_you_mean
from imcsim.study.selection import value_of
from imcsim.study.statistics import Interval, estimate_mean
from imcsim.study.summary import Row, Summary, interval_notes, methods
from imcsim.study.text import aligned, bounds, coordinates, p_value, points, replicates, without_nan

FLOAT = "float"  # stands for the same weights in float, where a swept path would stand


@dataclass(frozen=True)
class Comparison:
    """A cell less its counterpart: the mean difference of their accuracies, its p and its p after Holm.

    `p` is two-sided, of no difference; NaN where no test can be made.
    """

    coordinates: Mapping[str, Any]
    difference: Interval
    p: float
    p_holm: float


@dataclass(frozen=True)
class Comparisons:
    """All cells of a study that have a counterpart at `path` = `reference`; `left_out` counts those without one.

    `gaps` says why cells that cannot be are no part of it. With `own_dies` each training has a die of its own.
    """

    name: str
    axes: tuple[str, ...]
    path: str
    reference: Any
    rows: tuple[Comparison, ...]
    left_out: int
    gaps: tuple[str, ...] = ()
    own_dies: bool = False

    def plain(self) -> dict[str, Any]:
        """The comparisons as JSON-able data, None where there is no number."""
        rows = [without_nan(dataclasses.asdict(row)) for row in self.rows]
        return {"path": self.path, "reference": self.reference, "left_out": self.left_out, "rows": rows}


def compare(summary: Summary, path: str, reference: Any = None) -> Comparisons:
    """Every cell of `summary` less the cell that has `reference` on the swept `path` and agrees with it in all else.

    The difference is taken training by training, die by die and read by read, as far as both have them: what they share
    cancels. `reference` is a value of the path or its text; the first by default. Where a path applies to one of two
    cells alone, they agree if no other cell at the reference does. The path "float" compares every cell with the same
    weights in float. Raises SpecError where nothing can be compared.
    """
    if path == FLOAT and reference is None:
        cells = [
            (row, row.values.mean(axis=2) - row.values_float) for row in summary.rows if row.values_float is not None
        ]
        return Comparisons(summary.name, summary.axes, path, None, compared(cells), 0, own_dies=summary.own_dies)
    if path not in summary.axes:
        remedy = did_you_mean(path, (*summary.axes, FLOAT))
        raise SpecError.of("compare", "is not a swept path", f'"{path}"', remedy)
    value = _value(summary, path, reference)
    rows = [row for row in summary.rows if not row.gap]
    pairs = [(cell, differences(cell, other)) for cell, other in counterparts(rows, path, value)]
    if not pairs:
        allowed = f"no cell differs in it alone from one at {value}"
        remedy = "sweep it as an axis of its own, with another value"
        raise SpecError.of("compare", allowed, f'"{path}"', remedy)
    at_reference = sum(row.coordinates.get(path) == value for row in rows)
    left_out = len(rows) - at_reference - len(pairs)
    gaps = tuple(row.gap for row in summary.rows if row.gap)
    return Comparisons(summary.name, summary.axes, path, value, compared(pairs), left_out, gaps, summary.own_dies)


def differences(cell: Row, other: Row) -> NDArray[np.float64]:
    """A cell less another, one of which may have been repeated more often: (trainings, dies), averaged over reads."""
    both = tuple(slice(min(n, m)) for n, m in zip(cell.values.shape, other.values.shape, strict=True))
    return np.asarray((cell.values[both] - other.values[both]).mean(axis=2))


def compared(cells: Sequence[tuple[Row, NDArray[np.float64]]]) -> tuple[Comparison, ...]:
    """The comparison of each cell, of its differences (trainings, dies); all of them are one family."""
    estimates = [estimate_mean(differences) for _, differences in cells]
    p = [found.p_of_zero() for found in estimates]
    return tuple(
        Comparison(cell.coordinates, _of_differences(found.interval()), single, corrected)
        for (cell, _), found, single, corrected in zip(cells, estimates, p, holm(p), strict=True)
    )


def _of_differences(interval: Interval) -> Interval:
    """The interval cut to -1 ... 1, where a difference of accuracies lies."""
    low, high = (float(np.clip(bound, -1.0, 1.0)) for bound in (interval.low, interval.high))
    return dataclasses.replace(interval, low=low, high=high)


def holm(p: Sequence[float]) -> list[float]:
    """The p-values of one family after Holm (1979): at most a share x of families has a false one below x.

    NaN, a test that could not be made, stays NaN and counts as one of the family: its size must not hang on the data.
    """
    corrected, highest = [math.nan] * len(p), 0.0
    tested = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    for rank, (value, place) in enumerate(tested):
        # Holm 1979: the smallest against alpha / m, the next against alpha / (m - 1), until one is not rejected
        highest = max(highest, min(1.0, (len(p) - rank) * value))
        corrected[place] = highest
    return corrected


def difference_lines(axes: Sequence[str], rows: Sequence[Comparison]) -> list[str]:
    """A table of differences to read, a line each, in percentage points."""
    places, at = coordinates(axes, [row.coordinates for row in rows])
    heads = [*places, "difference, points", "95 % interval", "p", "p (Holm)", "trainings x dies"]
    lines = [
        [
            *where,
            points(row.difference.mean),
            bounds(row.difference, "+"),
            p_value(row.p),
            p_value(row.p_holm),
            replicates(row.difference),
        ]
        for where, row in zip(at, rows, strict=True)
    ]
    return aligned(heads, lines)


def format_comparisons(found: Comparisons) -> str:
    """The comparisons as a table to read, in percentage points."""
    known = [row.difference for row in found.rows if not math.isnan(row.difference.mean)]
    family = f"the {len(found.rows)} comparisons of this table" if len(found.rows) > 1 else "this one comparison"
    counterpart = f"its counterpart at {found.path} = {found.reference}, read by read"
    notes = [
        f"difference: a cell less {'the same weights in float' if found.path == FLOAT else counterpart}",
        f"interval of the mean difference: {methods(known)}; each stands by itself",
        f"p: two-sided, of no difference; Holm (1979) over {family}",
        *interval_notes(known, own_dies=found.own_dies),
    ]
    if untested := sum(math.isnan(row.p) for row in found.rows):
        notes.append(f"no p, in {untested} of {len(found.rows)}: a test needs two values that differ")
    if found.left_out:
        notes.append(
            f"left out: {found.left_out} cells that {found.path} does not apply to or that have no single counterpart"
        )
    notes += [f"gaps: {count} cells: {reason}" for reason, count in Counter(found.gaps).items()]
    against = "on the chip against in float" if found.path == FLOAT else f"{found.path} against {found.reference}"
    return "\n".join([f"{found.name}: {against}", *difference_lines(found.axes, found.rows), *notes]) + "\n"


def _value(summary: Summary, path: str, reference: Any) -> Any:
    """The value of `path` that `reference` means."""
    if reference is None:
        return next(value for value in summary.values(path) if value is not None)
    return value_of(summary, path, str(reference), "compare")


def counterparts(rows: Sequence[Row], path: str, value: Any) -> Iterator[tuple[Row, Row]]:
    """Every row that has another value on `path`, with its counterpart at `value`."""
    references = [row for row in rows if row.coordinates.get(path) == value]
    exact = {frozenset(_others(row, path).items()): row for row in references}
    for row in rows:
        if path not in row.coordinates or row.coordinates[path] == value:
            continue
        others = _others(row, path)
        counterpart = exact.get(frozenset(others.items()))
        if counterpart is None:
            agreeing = [reference for reference in references if _agree(others, reference.coordinates)]
            counterpart = agreeing[0] if len(agreeing) == 1 else None
        if counterpart is not None:
            yield row, counterpart


def _others(row: Row, path: str) -> dict[str, Any]:
    return {key: value for key, value in row.coordinates.items() if key != path}


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether they have the same value wherever both have one."""
    return all(other[key] == value for key, value in one.items() if key in other)
