"""How sure a mean is when every training runs on every die: the two share their luck along rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
NO_SPREAD = "no spread"

# Accuracies are whole numbers of test samples over their count: what differs by less is equal but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, from `n_trainings` x `n_dies` values; NaN bounds where one value has no spread.

    `freedom` counts the degrees of freedom of the t distribution; NaN where none was used.
    """

    mean: float
    low: float
    high: float
    n_trainings: int
    n_dies: int
    method: str
    freedom: float


@dataclass(frozen=True)
class MeanEstimate:
    """A mean, its standard error and its degrees of freedom; NaN where the values do not tell."""

    mean: float
    standard_error: float
    freedom: float
    n_trainings: int
    n_dies: int
    method: str

    def interval(self) -> Interval:
        """The mean with its 95 % interval; of no width where the values show no spread."""
        no_spread = self.standard_error == 0
        half = 0.0 if no_spread else float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.standard_error
        bounds = self.mean - half, self.mean + half
        return Interval(self.mean, *bounds, self.n_trainings, self.n_dies, self.method, self.freedom)

    def p_of_zero(self) -> float:
        """The two-sided p of a true mean of zero: below 5 % where the interval leaves zero out.

        NaN where no test can be made, for want of values or of spread: equal values would prove anything.
        """
        if not self.standard_error > 0:
            return math.nan
        return 2 * float(stdtr(self.freedom, -abs(self.mean) / self.standard_error))


def mean_interval(values: Floats) -> Interval:
    """The mean of `values` (trainings, dies) and its 95 % interval, for trainings and dies yet to be drawn."""
    return estimate_mean(values).interval()


def estimate_mean(values: Floats) -> MeanEstimate:
    """The mean of `values` (trainings, dies) and how sure it is, for trainings and dies yet to be drawn.

    Crossed random effects, y_td = mu + T_t + D_d + E_td, over a trainings and b dies:

        Var(mean) = (b var_T + a var_D + var_E) / (a b),
        E[MS_T] = var_E + b var_T,   E[MS_D] = var_E + a var_D,   E[MS_E] = var_E,

    so (MS_T + MS_D - MS_E) / (a b) estimates it without bias; a component whose estimate is negative counts as zero,
    and its mean square drops out. Degrees of freedom after Satterthwaite (1946), but one alone where two trainings, or
    two dies, are found to agree: they often do by luck. With one die it is the t interval over trainings, with one
    training that over dies. NaN marks what failed: rows and columns with gaps are left out, emptiest first.
    """
    values = complete(np.asarray(values, dtype=np.float64))
    a, b = values.shape
    if values.size == 0:
        return MeanEstimate(math.nan, math.nan, math.nan, 0, 0, "no value")
    mean = float(values.mean())
    if a == b == 1:
        return MeanEstimate(mean, math.nan, math.nan, a, b, "one value")
    if np.ptp(values) <= _ROUNDING:
        return MeanEstimate(mean, 0.0, math.nan, a, b, NO_SPREAD)
    if b == 1:
        variance, freedom, method = values.var(ddof=1) / a, a - 1.0, "t over trainings"
    elif a == 1:
        variance, freedom, method = values.var(ddof=1) / b, b - 1.0, "t over dies"
    else:
        variance, freedom = _crossed(values)
        method = "crossed random effects of trainings and dies, Satterthwaite t"
    return MeanEstimate(mean, math.sqrt(variance), freedom, a, b, method)


def complete(values: Floats) -> Floats:
    """`values` (trainings, dies, ...) without the trainings or dies with the largest share of NaN, until none is left.

    A die of a training counts as a gap where any of its values is NaN.
    """
    gaps = np.isnan(values).any(axis=tuple(range(2, values.ndim)))
    while gaps.any():
        per_row, per_column = gaps.mean(axis=1), gaps.mean(axis=0)
        axis = 0 if per_row.max() >= per_column.max() else 1
        emptiest = int(np.argmax((per_row, per_column)[axis]))
        values, gaps = np.delete(values, emptiest, axis), np.delete(gaps, emptiest, axis)
    return values


def mean_squares(values: Floats) -> tuple[float, float, float]:
    """The mean squares of trainings, of dies and of what is left, of `values` (a, b), a and b >= 2, without gaps."""
    a, b = values.shape
    mean = values.mean()
    rows = values.mean(axis=1, keepdims=True) - mean
    columns = values.mean(axis=0, keepdims=True) - mean
    ms_t = b * float(np.sum(rows**2)) / (a - 1)
    ms_d = a * float(np.sum(columns**2)) / (b - 1)
    ms_e = float(np.sum((values - mean - rows - columns) ** 2)) / ((a - 1) * (b - 1))
    return ms_t, ms_d, ms_e


def _crossed(values: Floats) -> tuple[float, float]:
    """Var(mean) and its degrees of freedom for `values` (a, b), a and b >= 2."""
    a, b = values.shape
    ms_t, ms_d, ms_e = mean_squares(values)
    has_t, has_d = ms_t >= ms_e, ms_d >= ms_e
    # (mean square, its sign in the sum, its degrees of freedom)
    terms = [(ms_t, 1, a - 1)] * has_t + [(ms_d, 1, b - 1)] * has_d
    if has_t == has_d:
        terms += [(ms_e, -1 if has_t else 1, (a - 1) * (b - 1))]
    total = sum(sign * square for square, sign, _ in terms)
    freedom = total**2 / sum(square**2 / freedom for square, _, freedom in terms)
    if has_t != has_d and (b if has_t else a) == 2:
        freedom = min(freedom, 1.0)
    return total / (a * b), freedom
