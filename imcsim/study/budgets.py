"""Rules at equal cost: how far each had come when it had spent what another spent in all, in epochs, passes, writes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import SpecError
from imcsim.study.comparison import counterparts, holm
from imcsim.study.statistics import Interval, estimate_mean
from imcsim.study.summary import Row, Summary, methods
from imcsim.study.text import aligned, bounds, coordinates, p_value, percent, points, without_nan

Floats = NDArray[np.float64]

ACCURACY = "epoch_accuracy_test"
COSTS = {"epochs": None, "forward passes": "epoch_forward_passes", "cell writes": "epoch_cell_writes"}


@dataclass(frozen=True)
class AtBudget:
    """A cell at the budget of its counterpart: accuracy, difference to it, p before and after Holm, epochs it took.

    `without` counts trainings that had spent more by the end of their first epoch: of these nothing is known.
    """

    coordinates: Mapping[str, Any]
    accuracy: float
    difference: Interval
    p: float
    p_holm: float
    epochs: float
    without: int


@dataclass(frozen=True)
class Budgets:
    """By cost ("epochs", "forward passes", "cell writes") every cell beside its counterpart at `path` = `reference`."""

    name: str
    axes: tuple[str, ...]
    path: str
    reference: Any
    tables: Mapping[str, tuple[AtBudget, ...]]
    left_out: int

    def plain(self) -> dict[str, Any]:
        """JSON-able data, None where there is no number."""
        tables = {cost: [without_nan(dataclasses.asdict(row)) for row in rows] for cost, rows in self.tables.items()}
        return {"path": self.path, "reference": self.reference, "left_out": self.left_out, **tables}


def at_equal_cost(summary: Summary, path: str, reference: Any) -> Budgets:
    """Every cell of `summary` when it had spent what its counterpart, at `reference` on `path`, spent in all.

    Trainings are paired as `comparison.compare` pairs them. An accuracy is that of the test samples after the last
    epoch that ends within the budget; a rule that comes to its own end before that keeps its last. Raises SpecError
    where the study has no such series.
    """
    if ACCURACY not in summary.along:
        remedy = 'a study of networks that learn on the chip (training.where = "chip") has them'
        raise SpecError.of("budget", "the study has no accuracies after each epoch", summary.name, remedy)
    learnt = [row for row in summary.rows if np.isfinite(row.series[ACCURACY]).any()]
    pairs = list(counterparts(learnt, path, reference))
    if not pairs:
        raise SpecError.of("budget", "no cell has a counterpart there", f'"{path}={reference}"')
    tables = {cost: _table(pairs, series) for cost, series in COSTS.items()}
    left_out = sum(row.coordinates.get(path) != reference for row in summary.rows) - len(pairs)
    return Budgets(summary.name, summary.axes, path, reference, tables, left_out)


def _table(pairs: list[tuple[Row, Row]], series: str | None) -> tuple[AtBudget, ...]:
    found = [_at_budget(row, other, series) for row, other in pairs]
    estimates = [estimate_mean(difference[:, np.newaxis]) for _, difference, _ in found]
    p = [one.p_of_zero() for one in estimates]
    return tuple(
        AtBudget(
            row.coordinates,
            float(np.nanmean(accuracy)) if np.isfinite(accuracy).any() else math.nan,
            one.interval(),
            single,
            corrected,
            float(np.mean(epochs)),
            int(np.isnan(accuracy).sum()),
        )
        for (row, _), (accuracy, _, epochs), one, single, corrected in zip(
            pairs, found, estimates, p, holm(p), strict=True
        )
    )


def _at_budget(row: Row, other: Row, series: str | None) -> tuple[Floats, Floats, Floats]:
    """Of each training: its accuracy within the budget, that less the counterpart's, and the epochs that it took."""
    count = min(len(row.values), len(other.values))
    own, reference = (one.series[ACCURACY][:count].mean(axis=1) for one in (row, other))
    spent, budget = (_spent(one, series)[:count] for one in (row, other))
    whole = np.nanmax(budget, axis=1)
    epochs = np.nansum(spent <= whole[:, np.newaxis], axis=1)
    accuracy = np.array([curve[k - 1] if k else np.nan for curve, k in zip(own, epochs, strict=True)])
    last = np.array([curve[np.isfinite(curve)][-1] for curve in reference])
    return accuracy, accuracy - last, epochs.astype(np.float64)


def _spent(row: Row, series: str | None) -> Floats:
    """What each training had spent by the end of each epoch (trainings, epochs), NaN beyond its last."""
    if series is not None:
        return np.asarray(row.series[series].mean(axis=1))
    ran = np.isfinite(row.series[ACCURACY].mean(axis=1))
    return np.where(ran, np.arange(1, ran.shape[1] + 1, dtype=np.float64), np.nan)


def format_budgets(found: Budgets) -> str:
    """A table for each cost, in percent and percentage points."""
    parts = []
    for cost, rows in found.tables.items():
        places, at = coordinates(found.axes, [row.coordinates for row in rows])
        heads = [*places, "accuracy %", "difference", "95 % interval", "p", "p (Holm)", "epochs", "without"]
        lines = [
            [
                *where,
                percent(row.accuracy),
                points(row.difference.mean),
                bounds(row.difference, "+"),
                p_value(row.p),
                p_value(row.p_holm),
                f"{row.epochs:.1f}",
                str(row.without or "-"),
            ]
            for where, row in zip(at, rows, strict=True)
        ]
        parts.append("\n".join([f"{found.name}: at equal {cost}", *aligned(heads, lines)]))
    intervals = [row.difference for rows in found.tables.values() for row in rows]
    notes = [
        f"budget: what the counterpart at {found.path} = {found.reference} spent in all",
        "nothing was tuned for these budgets: hyper-parameters are those of the full run",
        "epochs: how many ended within the budget, on average; without: trainings whose first epoch did not",
        f"interval of the mean difference: {methods(intervals)}; Holm (1979) over each table by itself",
    ]
    if found.left_out:
        notes.append(f"left out: {found.left_out} cells that learnt nothing on the chip or have no counterpart")
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"
