"""How sure a mean is when every training runs on every die: the two share their luck along rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, from `n_trainings` x `n_dies` values; NaN bounds where one value has no spread."""

    mean: float
    low: float
    high: float
    n_trainings: int
    n_dies: int
    method: str


def mean_interval(values: Floats) -> Interval:
    """The mean of `values` (trainings, dies) and its 95 % interval, for trainings and dies yet to be drawn.

    Crossed random effects, y_td = mu + T_t + D_d + E_td, over a trainings and b dies:

        Var(mean) = (b var_T + a var_D + var_E) / (a b),
        E[MS_T] = var_E + b var_T,   E[MS_D] = var_E + a var_D,   E[MS_E] = var_E,

    so (MS_T + MS_D - MS_E) / (a b) estimates it without bias; a component whose estimate is negative counts as zero,
    and its mean square drops out. Degrees of freedom after Satterthwaite (1946); with one die the t interval over
    trainings, with one training that over dies. NaN marks what failed: rows and columns with gaps are left out,
    emptiest first.
    """
    values = _without_gaps(np.asarray(values, dtype=np.float64))
    a, b = values.shape
    if values.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0, "no value")
    mean = float(values.mean())
    if a == b == 1:
        return Interval(mean, math.nan, math.nan, a, b, "one value")
    if b == 1:
        variance, freedom, method = values.var(ddof=1) / a, a - 1.0, "t over trainings"
    elif a == 1:
        variance, freedom, method = values.var(ddof=1) / b, b - 1.0, "t over dies"
    else:
        variance, freedom = _crossed(values)
        method = "crossed random effects of trainings and dies, Satterthwaite t"
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2) * math.sqrt(variance)) if variance > 0 else 0.0
    return Interval(mean, mean - half, mean + half, a, b, method)


def _crossed(values: Floats) -> tuple[float, float]:
    """Var(mean) and its degrees of freedom for `values` (a, b), a and b >= 2."""
    a, b = values.shape
    mean = values.mean()
    rows = values.mean(axis=1, keepdims=True) - mean
    columns = values.mean(axis=0, keepdims=True) - mean
    ms_t = b * float(np.sum(rows**2)) / (a - 1)
    ms_d = a * float(np.sum(columns**2)) / (b - 1)
    ms_e = float(np.sum((values - mean - rows - columns) ** 2)) / ((a - 1) * (b - 1))
    has_t, has_d = ms_t >= ms_e, ms_d >= ms_e
    # (mean square, its sign in the sum, its degrees of freedom)
    terms = [(ms_t, 1, a - 1)] * has_t + [(ms_d, 1, b - 1)] * has_d
    if has_t == has_d:
        terms += [(ms_e, -1 if has_t else 1, (a - 1) * (b - 1))]
    total = sum(sign * square for square, sign, _ in terms)
    spread = sum(square**2 / freedom for square, _, freedom in terms)
    return total / (a * b), total**2 / spread if spread > 0 else math.inf


def _without_gaps(values: Floats) -> Floats:
    """The complete table left when the row or column with the largest share of NaN goes, again and again."""
    gaps = np.isnan(values)
    while gaps.any():
        per_row, per_column = gaps.mean(axis=1), gaps.mean(axis=0)
        axis = 0 if per_row.max() >= per_column.max() else 1
        emptiest = int(np.argmax((per_row, per_column)[axis]))
        values, gaps = np.delete(values, emptiest, axis), np.delete(gaps, emptiest, axis)
    return values
