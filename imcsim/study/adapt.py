"""A study that looks at its results while it runs: means that are not sure enough, and cells that a search needs.

What it asks for next is a function of the results so far and of nothing else, so that the same study comes to the same
points on any number of workers, and goes on where it was interrupted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imcsim.study.axes import Cell, Replicates
from imcsim.study.canonical import canonical_json
from imcsim.study.needed import Reaches, ends, reaches
from imcsim.study.plan import Plan
from imcsim.study.questions import searched_apart
from imcsim.study.spread import spread
from imcsim.study.statistics import Floats, mean_interval
from imcsim.study.store import Values

AT_LEAST, AT_MOST = 1.25, 2.0  # times as many replicates in one go: few looks at the results, and none far too late


class _Measured(NamedTuple):
    """What a cell has so far: accuracies on the chip and in float (trainings, dies), averaged over reads."""

    on_chip: Floats
    in_float: Floats


def begun(plan: Plan, only: Collection[str] | None = None) -> Plan:
    """The plan as a run begins it: of a search only cells that it does not go along, and those of the points `only`."""
    if plan.search is None:
        return plan
    apart = {k for k, cell in enumerate(plan.cells) if plan.search.along not in cell.coordinates}
    if only is not None:
        apart |= {point.cell for point in plan.points if point.id in only}
    return dataclasses.replace(plan, asked=tuple(sorted(apart)))


def adapted(plan: Plan, results: Mapping[str, Values]) -> Plan:
    """The plan with what its results call for, means first; the plan itself where they call for nothing."""
    if plan.replicates.target_ci is None and plan.search is None:
        return plan
    measured = _measured(plan, results)
    if plan.replicates.target_ci is not None:
        grown = {k: _grown(plan.cells[k], plan.replicates, found.on_chip) for k, found in measured.items()}
        if any(cell != plan.cells[k] for k, cell in grown.items()):
            return dataclasses.replace(plan, cells=tuple(grown.get(k, cell) for k, cell in enumerate(plan.cells)))
    if plan.search is not None and plan.asked is not None and (more := _searched(plan, measured)):
        return dataclasses.replace(plan, asked=tuple(sorted({*plan.asked, *more})))
    return plan


def _measured(plan: Plan, results: Mapping[str, Values]) -> dict[int, _Measured]:
    """Of each cell that is asked for, what its points have; NaN where one has none."""
    found: dict[int, dict[tuple[int, int], list[tuple[float, float]]]] = {}
    for point in plan.points:
        values = results.get(point.id, {})
        on_chip, in_float = (values.get(name) for name in ("accuracy", "accuracy_float"))
        place = point.training, 0 if plan.replicates.own_dies else point.die
        found.setdefault(point.cell, {}).setdefault(place, []).append((_number(on_chip), _number(in_float)))
    return {cell: _as_arrays(places) for cell, places in found.items()}


def _as_arrays(places: Mapping[tuple[int, int], Sequence[tuple[float, float]]]) -> _Measured:
    shape = tuple(1 + max(place[k] for place in places) for k in (0, 1))
    arrays = np.full((2, *shape), np.nan)
    for place, pairs in places.items():
        arrays[:, *place] = np.mean(pairs, axis=0)
    return _Measured(arrays[0], arrays[1])


def _number(value: float | None) -> float:
    return math.nan if value is None else value


# Means


def _grown(cell: Cell, replicates: Replicates, values: Floats) -> Cell:
    """The cell with more of what makes up most of the width of its interval, where that is wider than asked."""
    interval = mean_interval(values)
    half = (interval.high - interval.low) / 2
    assert replicates.target_ci is not None
    if not half > replicates.target_ci:  # NaN: nothing has a value, and more of it would have none
        return cell
    now = {"trainings": cell.trainings or replicates.trainings, "dies": cell.dies or replicates.dies}
    most = {"trainings": replicates.most_trainings, "dies": replicates.most_dies}
    can = [name for name in now if (limit := most[name]) is not None and now[name] < limit]
    if not can:
        return cell
    of = spread(values[:, :, np.newaxis])
    share = {"trainings": of.training**2 / now["trainings"], "dies": of.die**2 / now["dies"]}
    # what cannot be told apart stands with the other (NaN), and then one of the two alone can grow
    name = max(can, key=lambda one: -1.0 if math.isnan(share[one]) else share[one])
    wanted = now[name] * min(AT_MOST, max(AT_LEAST, (half / replicates.target_ci) ** 2))
    now[name] = min(most[name] or 0, math.ceil(wanted))
    return dataclasses.replace(cell, trainings=now["trainings"], dies=now["dies"])


# Search


def _groups(plan: Plan) -> list[list[int]]:
    """The places of cells that differ along the search alone, worst value first."""
    assert plan.search is not None
    along, cells, others = plan.search.along, plan.cells, searched_apart(plan.search, plan.cells)
    groups: dict[str, list[int]] = {}
    for k, cell in enumerate(cells):
        if along in cell.coordinates:
            groups.setdefault(canonical_json([cell.coordinates.get(path) for path in others]), []).append(k)
    falling = plan.search.better == "low"
    return [
        sorted(group, key=lambda k: float(cells[k].coordinates[along]), reverse=falling) for group in groups.values()
    ]


def _searched(plan: Plan, measured: Mapping[int, _Measured]) -> set[int]:
    """The cells to evaluate next: of the first wave of groups that is not through, one each."""
    assert plan.search is not None
    within = plan.search.within
    groups = _groups(plan)
    known = [
        {k: reaches(*measured[place], within) for k, place in enumerate(group) if place in measured} for group in groups
    ]
    through: dict[int, _Found] = {}
    for wave in _waves(len(groups)):
        more, found = set(), {}
        for number in wave:
            near = min(through, key=lambda other: abs(other - number), default=None)
            place, found[number] = _next(known[number], len(groups[number]), None if near is None else through[near])
            more |= set() if place is None else {groups[number][place]}
        if more:
            return more
        through |= found
    return set()


class _Found(NamedTuple):
    """Of a group, the place of the first value that reaches it, and between which places it may lie."""

    answer: int
    low: int
    high: int


def _waves(count: int) -> Iterator[list[int]]:
    """The numbers below `count`: the middle one, the middles of both halves, and so on: each has one near it."""
    parts = [(0, count)] if count else []
    while parts:
        middles = [(low + high) // 2 for low, high in parts]
        yield middles
        halves = zip(parts, middles, strict=True)
        parts = [part for (low, high), m in halves for part in ((low, m), (m + 1, high)) if part[0] < part[1]]


def _next(known: Mapping[int, Reaches], count: int, near: _Found | None) -> tuple[int | None, _Found]:
    """The place to look at next, None where answer and interval are known; and what is found so far.

    `near` is what a group beside this one has: it is looked at first whether this one has the same.
    """
    place, answer = _bisected({k: one.mean for k, one in known.items()}, count, near and near.answer)
    low, high = ends(known, count, answer)
    if place is None:
        guess = min(near.low if near else answer, answer)
        place, _ = _bisected({k: one.at_best for k, one in known.items() if k < answer}, answer, guess)
    if place is None:
        if high == count > answer and count - 1 not in known:
            return count - 1, _Found(answer, low, high)  # on a plateau none may be sure: then the last tells it
        surely = {k: one.surely for k, one in known.items() if answer <= k < high}
        place, _ = _bisected({answer - 1: False, **surely}, high, None)
    return place, _Found(answer, low, high)


def _bisected(known: Mapping[int, bool], count: int, guess: int | None) -> tuple[int | None, int]:
    """Where to look next for the first of `count` places from which on all hold, None where it is found; and where.

    From a guess on in steps that double, until the first lies between two places; then by halves. Upwards the last
    place is looked at soon: what saturates reaches it near the guess, or never.
    """
    fails = max((k for k, holds in known.items() if not holds), default=-1)
    holds = min((k for k, one in known.items() if one and k > fails), default=count)
    if holds - fails == 1:
        return None, holds
    middle = (fails + holds) // 2
    if guess is None:
        return middle, holds
    if fails < guess < holds:
        return guess, holds
    if guess < fails and holds == count:
        return count - 1, holds
    leap = 2 * holds - guess - 1 if guess >= holds else 2 * fails - guess + 1
    return leap if fails < leap < holds else middle, holds
