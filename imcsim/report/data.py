"""What the script of the page is given: every point of a study, by columns, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imcsim.plots import COLOURS, words_of
from imcsim.study.exports import REPLICATES, STATUS, numbers_of
from imcsim.study.summary import Summary
from imcsim.study.table import StudyTable

DIGITS = 6

LABELS = {"accuracy_float": "accuracy in float"}


def embedded(table: StudyTable, summary: Summary) -> str:
    """The points as JSON that may stand inside a script element."""
    text = json.dumps(_points(table, summary), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _points(table: StudyTable, summary: Summary) -> dict[str, Any]:
    swept = list(table.axes)
    results = numbers_of(table)
    columns = [_column(name, words_of(name), table) for name in swept]
    columns += [_column(name, name, table) for name in REPLICATES]
    columns += [_column(name, LABELS.get(name, words_of(name)), table) for name in results]
    words = [STATUS[one] for one in table.columns["status"].tolist()]
    columns.append({"name": "status", "label": "status", "number": False, "percent": False, "values": words})
    cells, intervals = _cells(table, summary)
    x, series = _shown(table, swept)
    numeric = [name for name in results if table.columns[name].dtype.kind in "fiu"]
    return {
        "columns": columns,
        "swept": swept,
        "x": x,
        "series": series,
        "quantities": [name for name in numeric if not np.isnan(table.columns[name].astype(float)).all()]
        or numeric[:1],
        "held": _held(summary, x, series),
        "cell": cells,
        "intervals": intervals,
        "colours": list(COLOURS),
    }


def _shown(table: StudyTable, swept: list[str]) -> tuple[str, str | None]:
    """Along what the points are shown at first, and what has colours: as the study's figure does, where it has one."""
    plot = table.plot
    if plot is not None and plot.x in swept:
        return plot.x, plot.series
    return swept[-1], swept[-2] if len(swept) > 1 else None


def _held(summary: Summary, x: str, series: str | None) -> list[str]:
    """The paths of which one value alone is shown at first, so that each x has one cell of each series."""

    def shown(cells: Sequence[Mapping[str, Any]]) -> set[str]:
        return {repr((cell.get(x), cell.get(series or ""))) for cell in cells}

    cells, held = [row.coordinates for row in summary.rows if not row.gap], []
    for path in summary.axes:
        values = [cell[path] for cell in cells if path in cell]
        if path in (x, series) or len(set(map(repr, values))) < 2:
            continue
        first = values[0] if isinstance(values[0], str) else min(values)
        left = [cell for cell in cells if cell.get(path, first) == first]
        if len(shown(cells)) < len(cells) and shown(left) == shown(cells):
            held.append(path)
            cells = left
    return held


def _column(name: str, label: str, table: StudyTable) -> dict[str, Any]:
    values = table.columns[name]
    number = values.dtype.kind in "fiu"
    plain = [_rounded(value) for value in values.tolist()] if number else values.tolist()
    percent = name in ("accuracy", "accuracy_float")
    return {"name": name, "label": label, "number": number, "percent": percent, "values": plain}


def _rounded(value: float) -> float | None:
    """A number as it is shown; whole ones, which stand as floats beside gaps, are whole again."""
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def _cells(table: StudyTable, summary: Summary) -> tuple[list[int], list[list[float | None]]]:
    """The number of each point's cell, and of each cell the 95 % interval of its mean accuracy."""
    first = np.all([table.columns[name] == 0 for name in REPLICATES], axis=0)
    rows = [row for row in summary.rows if row.values.size and (row.ok or row.failed or row.missing or row.refused)]
    return (np.cumsum(first) - 1).tolist(), [[_rounded(row.accuracy.low), _rounded(row.accuracy.high)] for row in rows]
