"""How much of something is needed: the value of a path from which on a chip stays near the same weights in float.

Of every cell it is asked whether the mean loss against float is within what is allowed, whether the lower end of its
95 % interval is, and whether the upper end is. The first tells the answer, the others, from there on, how far it may be
off. Cells that were not evaluated are taken to agree with their neighbours, as the search of study.adapt leaves them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from imcsim.errors import SpecError, did_you_mean
from imcsim.study.questions import SearchSpec
from imcsim.study.statistics import Floats, mean_interval
from imcsim.study.summary import Row, Summary
from imcsim.study.text import aligned, short, together


class Reaches(NamedTuple):
    """Whether a cell loses no more than is allowed: by its mean, at best, and for sure (95 %)."""

    mean: bool
    at_best: bool
    surely: bool


def reaches(accuracy: Floats, in_float: Floats, within: float) -> Reaches:
    """Whether accuracies (trainings, dies), averaged over reads, stay `within` so much of those in float.

    One value alone has no interval: it reaches at best and surely what it reaches. What has no value reaches nothing.
    """
    lost = mean_interval(in_float - accuracy)
    mean = lost.mean <= within + _ROUNDING
    if math.isnan(lost.low):
        return Reaches(mean, mean, mean)
    return Reaches(mean, lost.low <= within + _ROUNDING, lost.high <= within + _ROUNDING)


_ROUNDING = 1e-12  # accuracies are whole numbers of samples over their count


@dataclass(frozen=True)
class Needed:
    """What is needed where the other paths have the values of `coordinates`, and where it may lie, 95 %.

    None: not reached at any value. `tested` values were evaluated; `has_interval` says whether any had more than one
    result.
    """

    coordinates: Mapping[str, Any]
    value: Any
    at_best: Any
    surely: Any
    tested: tuple[Any, ...]
    has_interval: bool

    @property
    def text(self) -> str:
        """In words: "6", or "not reached"."""
        return _told(self.value)

    @property
    def bounds(self) -> str:
        """The interval in words, empty where there is none."""
        return f"{_told(self.at_best)} to {_told(self.surely)}" if self.has_interval else ""


@dataclass(frozen=True)
class AllNeeded:
    """What is needed in every slice of a study; `of_cells` are those that a search could have evaluated."""

    name: str
    asked: SearchSpec
    found: tuple[Needed, ...]
    of_cells: int | None

    def plain(self) -> dict[str, Any]:
        """JSON-able data."""
        rows = [{**asdict(one), "text": one.text} for one in self.found]
        return {**asdict(self.asked), "rows": rows}


def needed(summary: Summary, asked: SearchSpec) -> AllNeeded:
    """What is needed along a swept path of numbers, for each combination of the others.

    Raises SpecError where there is no such path, and where no cell has an accuracy in float.
    """
    values = [value for value in summary.values(asked.along) if value is not None]
    if asked.along not in summary.axes or any(isinstance(value, str) for value in values):
        remedy = did_you_mean(asked.along, summary.axes)
        raise SpecError.of("needed", "must be a swept path of numbers", f'"{asked.along}"', remedy)
    if all(row.values_float is None for row in summary.rows):
        raise SpecError.of("needed", "is told against accuracies in float, which this study has none of", summary.name)
    searched = summary.searched
    others = [path for path in summary.axes if path != asked.along and path not in summary.linked(asked.along)]
    if searched is not None and searched.asked.along == asked.along:
        others = list(searched.others)  # the cells that were evaluated no longer tell what follows what
    slices: dict[tuple[Any, ...], list[Row]] = {}
    for row in summary.rows:
        if asked.along in row.coordinates:
            slices.setdefault(tuple(row.coordinates.get(path) for path in others), []).append(row)
    found = [_needed(dict(zip(others, at, strict=True)), rows, asked) for at, rows in slices.items()]
    return AllNeeded(summary.name, asked, tuple(found), None if searched is None else searched.cells)


def _needed(fixed: Mapping[str, Any], rows: Sequence[Row], asked: SearchSpec) -> Needed:
    ordered = sorted(rows, key=lambda row: float(row.coordinates[asked.along]), reverse=asked.better == "low")
    found = [_of_row(row, asked.within) for row in ordered]
    values = [row.coordinates[asked.along] for row in ordered]
    several = any(row.accuracy.n_trainings * row.accuracy.n_dies > 1 for row in ordered)

    def value(place: int) -> Any:
        return values[place] if 0 <= place < len(values) else None

    # after the last that does not reach it
    place = max((k + 1 for k, one in enumerate(found) if not one.mean), default=0)
    at_best, surely = ends(dict(enumerate(found)), len(found), place)
    bounds = value(at_best), value(surely)
    return Needed(dict(fixed), value(place), *bounds, tested=tuple(values), has_interval=several)


def ends(known: Mapping[int, Reaches], count: int, place: int) -> tuple[int, int]:
    """Between which of `count` places the first may lie that reaches it, found at `place`, by those that are known.

    From there down as far as it is reached at best, and up to the first that surely reaches it.
    """
    fails = max((k for k, one in known.items() if k < place and not one.at_best), default=-1)
    low = min((k for k, one in known.items() if fails < k < place and one.at_best), default=place)
    high = min((k for k, one in known.items() if k >= place and one.surely), default=count)
    return low, high


def _of_row(row: Row, within: float) -> Reaches:
    if row.values_float is None:
        return Reaches(mean=False, at_best=False, surely=False)
    return reaches(row.values.mean(axis=2), row.values_float, within)


def _told(value: Any) -> str:
    return "not reached" if value is None else short(value)


def format_needed(found: AllNeeded) -> str:
    """What is needed, as a table to read."""
    asked = found.asked
    lines = [
        [together(one.coordinates, list(one.coordinates)), one.text, one.bounds, str(len(one.tested))]
        for one in found.found
    ]
    which, on = ("largest", "up to which") if asked.better == "low" else ("smallest", "from which on")
    title = f"{found.name}: {asked.along} needed to stay within {100 * asked.within:g} points of float"
    notes = [
        f"needed: the {which} value {on} no mean loss is larger",
        "95 % interval: down to where the lower end of a loss's interval is larger, up to where its upper end is not",
    ]
    if found.of_cells is not None:
        tested = sum(len(one.tested) for one in found.found)
        told = "the others are taken to agree with their neighbours"
        notes.append(f"searched: {tested} of {found.of_cells} cells were evaluated, {told}")
    if not all(one.has_interval for one in found.found):
        notes.append("no interval where a cell has one result: more trainings or dies give one")
    heads = ["where", "needed", "95 % interval", "values tested"]
    return "\n".join([title, *aligned(heads, lines), *notes]) + "\n"
