"""Comparisons of the emulator with closed forms: one point of a figure each, kept as CSV, told as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Point:
    """At `x` of a series of a figure: what a closed form says, what was emulated, how far apart they may be."""

    figure: str
    series: str
    x: float
    closed_form: float
    emulated: float
    tolerance: float
    unit: str

    @property
    def off(self) -> float:
        """How far apart the two are, of the tolerance: at most 1 where they agree."""
        return abs(self.emulated - self.closed_form) / self.tolerance


def write(points: Iterable[Point], path: Path) -> None:
    """Write points as CSV, numbers in six digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(field.name for field in fields(Point))
        table.writerows([v if isinstance(v, str) else f"{v:.6g}" for v in astuple(point)] for point in points)


def read(path: Path) -> list[Point]:
    """The points of a CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Point(
            figure=row["figure"],
            series=row["series"],
            x=float(row["x"]),
            closed_form=float(row["closed_form"]),
            emulated=float(row["emulated"]),
            tolerance=float(row["tolerance"]),
            unit=row["unit"],
        )
        for row in rows
    ]


def summary(points: Sequence[Point]) -> list[str]:
    """A line of a Markdown table for each series: its worst point, and how much of the tolerance that uses."""
    lines = ["| figure | series | points | the worst: at | closed form | emulated | of the tolerance |"]
    lines.append("|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.figure, point.series), []).append(point)
    for (figure, series), members in groups.items():
        worst = max(members, key=lambda point: point.off)
        unit = "" if worst.unit == "1" else f" {worst.unit}"
        seen = f"{worst.x:g} | {worst.closed_form:.4g}{unit} | {worst.emulated:.4g}{unit} | {worst.off:.0%}"
        lines.append(f"| {figure} | {series} | {len(members)} | {seen} |")
    return lines
