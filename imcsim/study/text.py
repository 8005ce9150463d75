"""Numbers as text: columns that line up, percentages, intervals, p-values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imcsim.study.statistics import Interval

LADDER = "ladder"  # the axis that names the ladder on which a row stands


def aligned(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its columns flush right."""
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    return [
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *lines]
    ]


def coordinates(axes: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The heads and, of each row, the texts of the columns that say where it stands; "-" where an axis does not apply.

    The paths that some ladders have, and others not, share a column.
    """
    everywhere = [path for path in axes if path.startswith("tune.") or all(path in row for row in rows)]
    apart = list(axes) if LADDER not in axes else [path for path in axes if path in everywhere or path == LADDER]
    shared = [path for path in axes if path not in apart]
    lines = [
        [*(str(row.get(path, "-")) for path in apart), *([together(row, shared)] if shared else [])] for row in rows
    ]
    return [*apart, *(["its values"] if shared else [])], lines


def together(values: Mapping[str, Any], paths: Sequence[str]) -> str:
    """What `values` has of `paths`, as one text: under the last parts of their names where these differ."""
    ends = [path.rsplit(".", 1)[-1] for path in paths]
    names = ends if len({*ends}) == len(ends) else [path.removeprefix("chip.") for path in paths]
    known = [(name, values.get(path)) for name, path in zip(names, paths, strict=True)]
    return ", ".join(f"{name} {short(value)}" for name, value in known if value is not None) or "-"


def short(value: Any) -> str:
    """A value as text, a number to four figures; "-" for None."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float) -> str:
    """A share as a percentage of two decimals; "-" for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign; "-" for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:+.2f}"


def bounds(interval: Interval, sign: str = "") -> str:
    """Both ends of an interval in percent, with `sign` as in a format; nothing where there are none."""
    return "" if math.isnan(interval.low) else f"{100 * interval.low:{sign}.2f} ... {100 * interval.high:{sign}.2f}"


def p_value(p: float) -> str:
    """Four decimals, as a p-value is read; "-" for NaN."""
    if math.isnan(p):
        return "-"
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def replicates(interval: Interval) -> str:
    """How many values stand behind an interval: trainings x dies."""
    return f"{interval.n_trainings} x {interval.n_dies}"


def without_nan(value: Any) -> Any:
    """`value` as JSON takes it: None for NaN, lists for tuples."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
