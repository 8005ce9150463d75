"""Costs and their growth as text: two tables, a line a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imcsim.cost.step import QUANTITIES, RuleCost

HEADS = {
    "forward_passes": "passes",
    "backward_reads": "backward",
    "array_reads": "array reads",
    "conversions": "conversions",
    "multiplications": "multiplications",
    "stored": "stored",
    "word_writes": "words",
    "cell_writes": "cells",
    "random_numbers": "random",
}
MARK = "*"


class Row(NamedTuple):
    """A rule's cost and growth; `own` says whether it is the study's."""

    cost: RuleCost
    growth: Mapping[str, str]
    own: bool


def as_text(rows: Sequence[Row]) -> str:
    """What a step costs, then how that grows, then what rules lack of the chip."""
    head = ["rule", *(HEADS[name] for name in QUANTITIES)]
    marked = [f"{MARK} {row.cost.rule}" if row.own else f"  {row.cost.rule}" for row in rows]
    costs = [[_number(getattr(row.cost, name)) for name in QUANTITIES] for row in rows]
    growths = [[row.growth[name] or "-" for name in QUANTITIES] for row in rows]
    parts = ["a step", _table(head, marked, costs), "", "grows as (N weights, n nodes, L layers)"]
    parts += [_table(head, marked, growths)]
    lacking = [f"  {row.cost.rule}: {', '.join(row.cost.lacks)}" for row in rows if row.cost.lacks]
    return "\n".join([*parts, *(["", "not on this chip", *lacking] if lacking else [])])


def as_plain(row: Row) -> dict[str, Any]:
    """What JSON holds of a row."""
    return {**dataclasses.asdict(row.cost), "own": row.own, "growth": dict(row.growth)}


def _number(value: int | None) -> str:
    """Whole as long as it can be read, then to four digits."""
    if value is None:
        return "-"
    return f"{value:,}" if value < 10_000_000 else f"{value:.3e}"


def _table(head: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [head, *([name, *row] for name, row in zip(names, cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
