"""Where the spread of an accuracy comes from: trainings, dies and read noise apart; and what the worst die gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.study.statistics import Floats, complete, mean_squares
from imcsim.study.summary import Summary
from imcsim.study.text import aligned, coordinates, percent, without_nan

QUANTILE = 0.05
QUANTILE_DIES = 20  # of fewer, the quantile would be an extrapolation from the worst


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the accuracy of one cell, one for each thing that is drawn, and its dies.

    `training_x_die` is what a training does on one die and not on others. `die_*` are over dies, each averaged over
    trainings and reads; the 5 % quantile from 20 dies on. NaN where the replicates do not tell: of what has one level,
    and of dies where there is one.
    """

    training: float
    die: float
    training_x_die: float
    read: float
    die_worst: float
    die_quantile_5: float
    die_median: float
    n_trainings: int
    n_dies: int
    n_reads: int


def spread(values: Floats) -> Spread:
    """What `values` (trainings, dies, reads) tell of their spread; trainings and dies with gaps (NaN) are left out.

    y_tdr = mu + T_t + D_d + C_td + R_tdr, reads within a training on a die. Over r reads each, the means of a
    trainings on b dies have

        E[MS_T] = v + b var_T,   E[MS_D] = v + a var_D,   E[MS_E] = v = var_C + var_R / r,

    each solved for its variance (ANOVA estimators), a negative one zero. What the replicates cannot tell apart stays
    with the first of them: with one read, C holds read noise; with one training, D holds C; with one die, T does.
    """
    values = complete(np.asarray(values, dtype=np.float64))
    a, b, r = values.shape
    if values.size == 0:
        nan = math.nan
        return Spread(nan, nan, nan, nan, nan, nan, nan, 0, 0, 0)
    means = values.mean(axis=2)
    var_r = float(values.var(axis=2, ddof=1).mean()) if r > 1 else math.nan
    of_reads = var_r / r if r > 1 else 0.0
    var_t = var_d = var_c = math.nan
    if a > 1 and b > 1:
        ms_t, ms_d, ms_e = mean_squares(means)
        var_t, var_d, var_c = (ms_t - ms_e) / b, (ms_d - ms_e) / a, ms_e - of_reads
    elif a > 1:
        var_t = float(means.var(ddof=1)) - of_reads
    elif b > 1:
        var_d = float(means.var(ddof=1)) - of_reads
    dies = means.mean(axis=0)
    return Spread(
        training=_root(var_t),
        die=_root(var_d),
        training_x_die=_root(var_c),
        read=_root(var_r),
        die_worst=float(dies.min()) if b > 1 else math.nan,
        die_quantile_5=float(np.quantile(dies, QUANTILE)) if b >= QUANTILE_DIES else math.nan,
        die_median=float(np.median(dies)) if b > 1 else math.nan,
        n_trainings=a,
        n_dies=b,
        n_reads=r,
    )


def plain_spread(summary: Summary) -> list[dict[str, Any]]:
    """The spread of each row as JSON-able data, None where there is no number."""
    found = [(row, dataclasses.asdict(spread(row.values))) for row in summary.rows]
    return [{"coordinates": dict(row.coordinates), **without_nan(fields)} for row, fields in found]


def format_spread(summary: Summary) -> str:
    """The spread of each row as a table to read: standard deviations in percentage points, dies in percent."""
    found = [spread(row.values) for row in summary.rows]
    places, at = coordinates(summary.axes, [row.coordinates for row in summary.rows])
    heads = ["trainings", "dies", "trainings x dies", "reads", "worst die %", "5 % of dies %", "median die %", "n"]
    lines = [
        [
            *where,
            *map(percent, (one.training, one.die, one.training_x_die, one.read)),
            *map(percent, (one.die_worst, one.die_quantile_5, one.die_median)),
            f"{one.n_trainings} x {one.n_dies} x {one.n_reads}",
        ]
        for where, one in zip(at, found, strict=True)
    ]
    notes = [
        "standard deviations in percentage points, of each by itself (ANOVA estimators, negative variances zero)",
        "n: trainings x dies x reads",
        f"a die is averaged over trainings and reads; 5 % quantile from {QUANTILE_DIES} dies on",
        *_confounded(found),
    ]
    return "\n".join([f"{summary.name}: spread", *aligned([*places, *heads], lines), *notes]) + "\n"


def _root(variance: float) -> float:
    """The standard deviation; 0 where the estimate of a variance is negative."""
    return math.nan if math.isnan(variance) else math.sqrt(max(variance, 0.0))


def _confounded(found: Sequence[Spread]) -> list[str]:
    """What the replicates of these rows cannot tell apart, in words."""
    notes = []
    single_read = any(one.n_reads == 1 for one in found)
    if single_read and any(one.n_trainings > 1 and one.n_dies > 1 for one in found):
        notes.append("one read each: trainings x dies holds the read noise, too")
    for count, single, other in (("n_trainings", "training", "dies"), ("n_dies", "die", "trainings")):
        if any(getattr(one, count) == 1 and one.n_trainings * one.n_dies > 1 for one in found):
            noise = " and the read noise" if single_read else ""
            notes.append(f"one {single}: {other} hold what differs between trainings x dies{noise}, too")
    return notes
