"""Ranges in a grid: { linear = [low, high] } and { log = [low, high] }, of points or to sample from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from imcsim.errors import Problem, did_you_mean
from imcsim.specs.codec import format_value
from imcsim.study.grid import Scale, spread

SCALES: tuple[Scale, ...] = ("linear", "log")
MAX_POINTS = 2_000_000  # of a study: beyond it a plan no longer fits the memory of a laptop


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    scale: Scale
    low: float
    high: float


def read_range(table: Mapping[str, Any], problems: list[Problem]) -> Range | None:
    """The range that `table` describes by its one key "linear" or "log"; None, with `problems`, where it is none."""
    named = [scale for scale in SCALES if scale in table]
    if len(named) != 1:
        problems.append(Problem((), "must be a range: either linear = [low, high] or log = [low, high]", _text(table)))
        return None
    (scale,) = named
    bounds = table[scale]
    where = (scale,)
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(_is_number(bound) for bound in bounds):
        problems.append(Problem(where, "must be two finite numbers, [low, high]", format_value(bounds)))
        return None
    low, high = bounds
    if low >= high:
        remedy = f"write {format_value([high, low])}" if low > high else ""
        problems.append(Problem(where, "must rise from low to high", format_value(bounds), remedy))
        return None
    if scale == "log" and low <= 0:
        remedy = "give 0 in a list, or use linear"
        problems.append(Problem(where, "must start above 0", format_value(bounds), remedy))
        return None
    return Range(scale, low, high)


def read_points(table: Mapping[str, Any], problems: list[Problem]) -> list[Any] | None:
    """The values of an axis { linear = [low, high], points = n }; None, with `problems`, where it is none."""
    before = len(problems)
    unknown = [key for key in table if key not in (*SCALES, "points")]
    problems.extend(
        Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, (*SCALES, "points"))) for key in unknown
    )
    spread_over = read_range(table, problems)
    points = table.get("points")
    if "points" not in table:
        problems.append(Problem(("points",), "is missing; must be the number of values, ends included"))
    elif isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MAX_POINTS:
        problems.append(Problem(("points",), f"must be an integer from 2 to {MAX_POINTS}", format_value(points)))
    if len(problems) > before or spread_over is None or points is None:
        return None
    return spread(*spread_over, points)


def _is_number(value: Any) -> bool:
    # what does not fit a float is no number here
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63 and math.isfinite(value)
    )


def _text(table: Mapping[str, Any]) -> str:
    return format_value(dict(table))
