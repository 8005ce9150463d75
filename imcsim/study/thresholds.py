"""Where along each ladder a rule has lost so many points: a row a variant, a column a ladder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imcsim.errors import SpecError
from imcsim.study.statistics import Interval, mean_interval
from imcsim.study.summary import Row, Summary
from imcsim.study.text import LADDER, aligned, percent, without_nan

VARIANT, LEVEL, TUNE_AT = "variant", "level", "tune.at"
LOST = 0.02
IDEAL = "ideal"  # the value at level 0, which is the chip as the study has it


@dataclass(frozen=True)
class Step:
    """A level of a ladder: the value of its first path, what is lost there against level 0; and why, if it is a gap."""

    level: int
    value: Any
    lost: Interval
    gap: str


@dataclass(frozen=True)
class Threshold:
    """A variant on a ladder, tuned at `at`: the number of `steps` below the first that has lost too much, if any has.

    `position` is where the mean loss passes the threshold, linear between levels; the last level where it never does.
    `uncertain` says that the 95 % interval of the loss on either side holds the threshold.
    """

    variant: str
    ladder: str
    at: str
    steps: tuple[Step, ...]
    stands: int
    position: float
    uncertain: bool

    @property
    def gap(self) -> str:
        """Why the variant has no value on this ladder; empty where it has one."""
        return next((step.gap for step in self.steps if step.gap), "")

    @property
    def text(self) -> str:
        """In words: between which tested values it is lost."""
        if self.gap:
            return "gap"
        values = [IDEAL, *(f"{step.value:g}" if _is_number(step.value) else str(step.value) for step in self.steps)]
        mark = "~" if self.uncertain else ""
        if self.stands == len(self.steps):
            return f"{mark}beyond {values[-1]}"
        return f"{mark}{values[self.stands]} to {values[self.stands + 1]}"


@dataclass(frozen=True)
class Thresholds:
    """All thresholds of a study; `base` are the accuracies at level 0, `paths` the first path of each ladder."""

    name: str
    lost: float
    base: dict[str, Interval]
    paths: dict[str, str]
    found: tuple[Threshold, ...]

    @property
    def ats(self) -> list[str]:
        """Where cells were tuned, "" where a study does not say."""
        return list(dict.fromkeys(one.at for one in self.found))

    def at(self, at: str) -> dict[tuple[str, str], Threshold]:
        """Those of cells that were tuned so, by variant and ladder."""
        return {(one.variant, one.ladder): one for one in self.found if one.at == at}

    def plain(self) -> dict[str, Any]:
        """JSON-able data, None where there is no number."""
        rows = [
            {
                "variant": one.variant,
                "ladder": one.ladder,
                "tune_at": one.at,
                "path": self.paths[one.ladder],
                "text": one.text,
                "gap": one.gap,
                "position": one.position,
                "uncertain": one.uncertain,
                "steps": [{"level": s.level, "value": s.value, "lost": s.lost.mean} for s in one.steps],
            }
            for one in self.found
        ]
        return {"lost": self.lost, "rows": [without_nan(row) for row in rows]}

    def csv(self) -> str:
        """A line for each level of each variant and ladder."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = ("variant", "ladder", "tune.at", "threshold", "position", "gap")
        writer.writerow([*heads, "path", "level", "value", "lost", "lost_low", "lost_high", "trainings"])
        for one in self.found:
            position = "" if math.isnan(one.position) else f"{one.position:.4g}"
            for step in one.steps:
                lost = [_number(v) for v in (step.lost.mean, step.lost.low, step.lost.high)]
                place = [self.paths[one.ladder], step.level, step.value]
                named = [one.variant, one.ladder, one.at, one.text, position, step.gap]
                writer.writerow([*named, *place, *lost, step.lost.n_trainings])
        return text.getvalue()


def thresholds(summary: Summary, lost: float = LOST) -> Thresholds:
    """Where each variant has lost `lost` of accuracy, paired training by training with its own level 0.

    Raises SpecError for a study without variants on ladders.
    """
    if not {VARIANT, LADDER, LEVEL} <= {*summary.axes}:
        remedy = "give its file [variants] and [ladders]"
        raise SpecError.of("thresholds", "are of studies that sweep variants over ladders", summary.name, remedy)
    base = {row.coordinates[VARIANT]: row for row in summary.rows if row.coordinates.get(LEVEL) == 0}
    ladders = [ladder for ladder in summary.values(LADDER) if ladder is not None]
    paths = {ladder: _first_path(summary, ladder) for ladder in ladders}
    found = []
    for at in list(dict.fromkeys(row.coordinates.get(TUNE_AT, "") for row in _on_ladders(summary))):
        for variant, start in base.items():
            for ladder in ladders:
                asked = {VARIANT: variant, LADDER: ladder, **({TUNE_AT: at} if at else {})}
                rows = [row for row in _on_ladders(summary) if asked.items() <= row.coordinates.items()]
                if rows:
                    found.append(_threshold(start, rows, paths[ladder], lost))
    return Thresholds(summary.name, lost, {name: row.accuracy for name, row in base.items()}, paths, tuple(found))


def paired_loss(base: Row, row: Row) -> Interval:
    """What a row has lost against another, training by training as far as both have them."""
    count = min(len(base.values), len(row.values))
    return mean_interval((base.values[:count] - row.values[:count]).mean(axis=2))


def _threshold(base: Row, rows: Sequence[Row], path: str, lost: float) -> Threshold:
    ordered = sorted(rows, key=lambda row: row.coordinates[LEVEL])
    steps = tuple(_step(base, row, path) for row in ordered)
    of = ordered[0].coordinates
    # of a level at which it could not even begin there is no mean
    stands = next((k for k, step in enumerate(steps) if not step.lost.mean <= lost), len(steps))
    if any(step.gap for step in steps):
        return Threshold(of[VARIANT], of[LADDER], of.get(TUNE_AT, ""), steps, 0, math.nan, uncertain=False)
    position = float(len(steps))
    if stands < len(steps):
        below, above = (steps[stands - 1].lost.mean if stands else 0.0), steps[stands].lost.mean
        position = stands + (0.0 if math.isnan(above) else (lost - below) / (above - below))
    around = steps[max(0, stands - 1) : stands + 1]
    uncertain = any(step.lost.low <= lost <= step.lost.high for step in around)
    return Threshold(of[VARIANT], of[LADDER], of.get(TUNE_AT, ""), steps, stands, position, uncertain)


def _step(base: Row, row: Row, path: str) -> Step:
    lost = paired_loss(base, row)
    # what could not begin has lost, and what has no result yet has not
    missing = "no result yet" if math.isnan(lost.mean) else ""
    gap = "" if row.refused else row.gap or base.gap or missing
    return Step(row.coordinates[LEVEL], row.coordinates[path], lost, gap)


def format_thresholds(found: Thresholds, *, markdown: bool = False) -> str:
    """A table for each way of tuning, to read, or in Markdown."""
    points = f"{100 * found.lost:g} points"
    ladders = list(found.paths)
    heads = ["rule", "level 0, %", *ladders]
    parts = []
    for at in found.ats:
        cells = found.at(at)
        lines = [
            [
                variant,
                percent(base.mean),
                *(cells[variant, one].text if (variant, one) in cells else "" for one in ladders),
            ]
            for variant, base in found.base.items()
        ]
        tuned = {"base": ", tuned at level 0 alone", "cell": ", tuned again in every cell"}.get(at, "")
        title = f"{found.name}: where {points} are lost{tuned}"
        if markdown:
            rows = [heads, ["---"] * len(heads), *lines]
            parts.append("\n".join([title, "", *("| " + " | ".join(row) + " |" for row in rows)]))
        else:
            parts.append("\n".join([title, *aligned(heads, lines)]))
    reasons = dict.fromkeys(one.gap for one in found.found if one.gap)
    notes = [
        f"a to b: at a it stands, at b it has lost more than {points} against its own level 0; paired by training",
        "~: the 95 % interval of the loss on one side holds the threshold",
        *(f"gap: {reason}" for reason in reasons),
    ]
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"


def _on_ladders(summary: Summary) -> Iterator[Row]:
    return (row for row in summary.rows if LADDER in row.coordinates)


def _first_path(summary: Summary, ladder: str) -> str:
    """The first of the paths that the levels of a ladder set."""
    row = next(row for row in _on_ladders(summary) if row.coordinates[LADDER] == ladder)
    base = next((one for one in summary.rows if one.coordinates.get(LEVEL) == 0), None)
    shared = set() if base is None else set(base.coordinates)
    named = {VARIANT, LADDER, LEVEL, TUNE_AT, *shared}
    return next(path for path in summary.axes if path in row.coordinates and path not in named)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
