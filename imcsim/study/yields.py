"""Yield: the share of dies that reach an accuracy, its exact interval, and where along an axis too many are lost.

A die is good whose accuracy, averaged over its reads, reaches the one that is asked for. Dies are drawn independently,
so that the number of good ones is binomial, as the interval of Clopper & Pearson (1934) takes it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

from imcsim.errors import SpecError, did_you_mean
from imcsim.study.questions import SEPARATE_DIES, SEPARATED, YieldSpec, along_of
from imcsim.study.statistics import CONFIDENCE
from imcsim.study.summary import Row, Summary
from imcsim.study.text import aligned, coordinates, percent, short, together, without_nan

_ROUNDING = 1e-9  # accuracies are sums of shares of the test set; what differs by less is equal


@dataclass(frozen=True)
class Yield:
    """Of a cell, how many of so many `dies` are `good`: the share and its 95 % interval, NaN where there is no die.

    `refused` counts those dies that could not begin, which are not good; `left_out` the dies of which a read failed or
    is missing, which are not counted. `gap` says why a cell cannot be.
    """

    coordinates: Mapping[str, Any]
    good: int
    dies: int
    share: float
    low: float
    high: float
    refused: int
    left_out: int
    gap: str


@dataclass(frozen=True)
class Limit:
    """How far along an axis the target holds, for the cells that have the values of `coordinates` elsewhere.

    From the end with the higher yield on (`rising`: that of the largest values), `holds` is the last tested value up to
    which every cell reaches the target, and `assured` that up to which every lower bound does, None where not even the
    first does. `excluded` is the first value from which on every upper bound lies under the target, None where that of
    the last does not. `between` is where the yield passes the target on the way to the next value, linearly; None where
    there is no such way. `tested` are the values with a die, from the good end on.
    """

    coordinates: Mapping[str, Any]
    tested: tuple[float, ...]
    rising: bool
    holds: float | None
    assured: float | None
    excluded: float | None
    between: float | None
    inside: bool

    @property
    def text(self) -> str:
        """In words, how far the target holds."""
        if not self.tested:
            return "no die"
        if self.holds is None:
            return f"not at {short(self.tested[0])}, but further on" if self.inside else "not reached"
        if self.holds == self.tested[-1]:
            return f"{'below' if self.rising else 'beyond'} {short(self.holds)}"
        return f"from {short(self.holds)} on" if self.rising else f"up to {short(self.holds)}"


@dataclass(frozen=True)
class Yields:
    """The yield of every cell, and along `along` where the target is lost; no `limits` where none was asked for."""

    name: str
    axes: tuple[str, ...]
    asked: YieldSpec
    along: str
    rows: tuple[Yield, ...]
    limits: tuple[Limit, ...]
    own_dies: bool

    def plain(self) -> dict[str, Any]:
        """JSON-able data, None where there is no number."""
        limits = [{**dataclasses.asdict(one), "text": one.text} for one in self.limits]
        return {
            "accuracy": self.asked.accuracy,
            "target": self.asked.target,
            "rows": [without_nan(dataclasses.asdict(row)) for row in self.rows],
            **({"along": self.along, "limits": [without_nan(one) for one in limits]} if limits else {}),
        }

    def csv(self) -> str:
        """Comma-separated values, a line a cell; empty where there is no number."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        counts = ("dies_refused", "dies_left_out")
        writer.writerow([*self.axes, "accuracy", "good", "dies", "yield", "yield_low", "yield_high", *counts])
        for row in self.rows:
            at = [row.coordinates.get(path, "") for path in self.axes]
            shares = ["" if math.isnan(value) else f"{value:.6g}" for value in (row.share, row.low, row.high)]
            writer.writerow([*at, self.asked.accuracy, row.good, row.dies, *shares, row.refused, row.left_out])
        return text.getvalue()


def yields(summary: Summary, asked: YieldSpec, along: str | None = None) -> Yields:
    """The yield of every cell of `summary` and, with a target, where it is lost along a swept path of numbers.

    The path is the plot's x by default, or the axis that varies fastest. Raises SpecError where several trainings share
    their dies, so that these are not independent, and for a target along what is no such path.
    """
    trainings = max(len(row.values) for row in summary.rows)
    if trainings > 1 and not summary.own_dies:
        given = f"{trainings} on the same dies"
        raise SpecError.of("replicates.trainings", f"must be 1 for a yield, which {SEPARATE_DIES}", given, SEPARATED)
    path = along_of(summary.plot, summary.axes) if along is None else along
    rows = tuple(_counted(row, asked.accuracy) for row in summary.rows)
    limits: tuple[Limit, ...] = ()
    if asked.target is not None:
        _check_along(summary, path)
        by_place = {id(row): found for row, found in zip(summary.rows, rows, strict=True)}
        slices = [(part.fixed, [by_place[id(row)] for row in part.rows]) for part in summary.slices(path)]
        limits = tuple(_limit(fixed, found, path, asked.target) for fixed, found in slices)
    return Yields(summary.name, summary.axes, asked, path, rows, limits, summary.own_dies)


def binomial_interval(good: int, dies: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `good` of `dies` were found; NaN where there is no die.

    Clopper & Pearson (1934, Biometrika 26, 404), in quantiles of the beta distribution: each end is the share at which
    so few, or so many, would be found with 2.5 % probability. It holds the true share at least 95 % of the time.
    """
    if dies == 0:
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if good == 0 else float(betaincinv(good, dies - good + 1, tail))
    high = 1.0 if good == dies else float(betaincinv(good + 1, dies - good, 1 - tail))
    return low, high


def _counted(row: Row, accuracy: float) -> Yield:
    of_dies = row.values.mean(axis=2)
    refused = np.zeros(of_dies.shape, bool) if row.refusals is None else row.refusals
    known = ~np.isnan(of_dies) | refused
    good, dies = int(np.sum(of_dies >= accuracy - _ROUNDING)), int(known.sum())
    share = good / dies if dies else math.nan
    left_out = 0 if row.gap else int(np.sum(~known))
    return Yield(
        dict(row.coordinates), good, dies, share, *binomial_interval(good, dies), int(refused.sum()), left_out, row.gap
    )


def _check_along(summary: Summary, path: str) -> None:
    if path not in summary.axes:
        raise SpecError.of("along", "must be a swept path", f'"{path}"', did_you_mean(path, summary.axes))
    if any(isinstance(value, str) for value in summary.values(path)):
        allowed = "a target is told along a path of numbers"
        raise SpecError.of("along", allowed, f'"{path}"', "name another, or leave the target out")


def _limit(fixed: Mapping[str, Any], found: Sequence[Yield], path: str, target: float) -> Limit:
    swept = [one for one in found if one.dies and path in one.coordinates]
    ordered = sorted(swept, key=lambda one: float(one.coordinates[path]))
    rising = bool(ordered) and ordered[-1].low > ordered[0].high  # beyond chance
    if rising:
        ordered.reverse()
    values = [one.coordinates[path] for one in ordered]
    standing = _leading([one.share >= target for one in ordered])
    lost = _leading([one.high < target for one in reversed(ordered)])
    between = None
    if 0 < standing < len(ordered):
        (a, above), (b, below) = ((values[k], ordered[k].share) for k in (standing - 1, standing))
        between = a + (b - a) * (above - target) / (above - below)
    return Limit(
        coordinates=dict(fixed),
        tested=tuple(values),
        rising=rising,
        holds=values[standing - 1] if standing else None,
        assured=values[assured - 1] if (assured := _leading([one.low >= target for one in ordered])) else None,
        excluded=values[-lost] if lost else None,
        between=between,
        inside=any(one.share >= target for one in ordered),
    )


def _leading(holds: Sequence[bool]) -> int:
    """How many hold before the first that does not."""
    return next((place for place, one in enumerate(holds) if not one), len(holds))


def format_yields(found: Yields) -> str:
    """The yields as a table to read, and with a target how far each holds it."""
    places, lines = coordinates(found.axes, [row.coordinates for row in found.rows])
    heads = [*places, "yield %", "95 % interval", "good of dies"]
    for line, row in zip(lines, found.rows, strict=True):
        bounds = "" if math.isnan(row.low) else f"{percent(row.low)} ... {percent(row.high)}"
        line.extend([percent(row.share), bounds, f"{row.good} of {row.dies}"])
    title = f"{found.name}: dies that reach {100 * found.asked.accuracy:g} %"
    parts = [title, *aligned(heads, lines)]
    if found.limits and found.asked.target is not None:
        parts += ["", f"{100 * found.asked.target:g} % of dies, along {found.along}"]
        parts += aligned(["where", "holds", "assured", "excluded", "linearly"], [_told(one) for one in found.limits])
        parts += _notes_of_limits(found.limits)
    return "\n".join([*parts, *_notes(found)]) + "\n"


def _told(one: Limit) -> list[str]:
    upward, downward = ("from", "down from") if one.rising else ("up to", "from")
    assured = "-" if one.assured is None else f"{upward} {short(one.assured)}"
    excluded = "-" if one.excluded is None else f"{downward} {short(one.excluded)}"
    if one.excluded is not None and one.excluded == one.tested[0]:
        excluded = "everywhere"
    return [together(one.coordinates, list(one.coordinates)), one.text, assured, excluded, short(one.between)]


def _notes_of_limits(limits: Sequence[Limit]) -> list[str]:
    notes = [
        "holds: as far as every tested value reaches the target; assured: as far as every lower bound does",
        "excluded: where every upper bound, there and further on, lies under it; linearly: between two tested values",
    ]
    if any(one.rising for one in limits):
        notes.append("from: where larger values give more good dies, the target holds from a value on")
    return notes


def _notes(found: Yields) -> list[str]:
    of = "dies, each with a training of its own" if found.own_dies else "dies of this one training"
    notes = [f"95 % interval: exact binomial (Clopper & Pearson 1934), each cell by itself, for other {of}"]
    if refused := sum(row.refused for row in found.rows):
        notes.append(f"{refused} dies on which the rule could not begin count as bad")
    if left_out := sum(row.left_out for row in found.rows):
        notes.append(f"incomplete: {left_out} dies with points that failed or are missing are left out")
    if gaps := [row for row in found.rows if row.gap and not row.dies]:
        notes.append(f"gap, in {len(gaps)} of {len(found.rows)} rows: {gaps[0].gap}")
    return notes
