"""Which figures a study has, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from imcsim.alignment_figure import alignment, panels
from imcsim.ladder_figure import (
    costs_figure,
    degradation_figure,
    has_cosines,
    has_costs,
    prediction_figure,
    thresholds_figure,
)
from imcsim.learning_curves import curves_path, has_curves, learning_curves
from imcsim.pareto_figure import pareto_figure
from imcsim.plots import KINDS, STYLE, Draw, accuracy_vs_bits, heat_map, known_rows, losses, save
from imcsim.study.prediction import prediction
from imcsim.study.store import write_atomic
from imcsim.study.summary import Summary
from imcsim.study.table import StudyTable
from imcsim.study.thresholds import thresholds
from imcsim.study.yields import yields
from imcsim.table_figure import table_figure
from imcsim.x_axis import is_ordered
from imcsim.yield_figures import dies_figure, yield_figure

THRESHOLDS, YIELD = "thresholds.csv", "yield.csv"
MOST_FIGURES = 12  # combinations of what is swept beside x and series: who looks at more, looks at none


class _Planned(NamedTuple):
    """A figure: the stem of its files, and what draws it."""

    stem: str
    drawn: Callable[[], Figure]


def study_figures(table: StudyTable, folder: Path) -> list[Path]:
    """Draw the plot that the study asks for, if any, and its learning curves, if it has some, into `folder`.

    Its numbers stand as CSV beside them: the paths written. Where more is swept than a figure shows, each combination
    of the rest has figures of its own, numbered, up to MOST_FIGURES of them; one without a single result has none.
    """
    paths = [folder / _csv(table)]
    table.write_csv(paths[0])
    if _has_ladders(table):
        paths.append(folder / THRESHOLDS)
        write_atomic(paths[-1], thresholds(table.summary()).csv().encode())
    summary = table.summary()
    if summary.yields is not None:
        paths.append(folder / YIELD)
        write_atomic(paths[-1], yields(summary, summary.yields).csv().encode())
    for planned in _figures(table):
        paths += save(planned.drawn(), folder / planned.stem)
    return paths


def drawn(table: StudyTable) -> Iterator[tuple[str, Figure]]:
    """Each figure of the study, by the stem of its files."""
    for planned in _figures(table):
        yield planned.stem, planned.drawn()


def figures_are_current(table: StudyTable, folder: Path, results: Path) -> bool:
    """Whether everything that study_figures would write is in `folder`, none of it older than the file `results`."""
    names = [f"{planned.stem}.{kind}" for planned in _figures(table) for kind in KINDS] + [_csv(table)]
    names += [THRESHOLDS] if _has_ladders(table) else []
    names += [YIELD] if table.summary().yields is not None else []
    paths = [folder / name for name in names]
    return all(path.exists() and path.stat().st_mtime_ns >= results.stat().st_mtime_ns for path in paths)


def figures_left_out(table: StudyTable) -> int:
    """How many combinations of what is swept beside x and series have no figure, as they are too many."""
    return max(0, len(_slices(table)) - MOST_FIGURES) if table.plot and not _has_ladders(table) else 0


def _csv(table: StudyTable) -> str:
    kind = table.plot.kind if table.plot is not None else "summary"
    return "summary.csv" if kind == "yield" else f"{kind}.csv"  # good dies have a file of their own


def _has_ladders(table: StudyTable) -> bool:
    return table.plot is not None and table.plot.kind == "ladders"


def _figures(table: StudyTable) -> Iterator[_Planned]:
    if _has_ladders(table):
        yield from _of_ladders(table.summary())
        return
    if table.plot is not None:
        yield from _asked_for(table)
    summary = table.summary()
    if not has_curves(summary) or (table.plot is not None and table.plot.kind == "table"):
        return
    slices = summary.slices(curves_path(summary))
    for number, part in enumerate(slices[:MOST_FIGURES], start=1):
        if has_curves(part):
            yield _Planned("learning_curves" + _suffix(number, slices), partial(_on_axes, learning_curves, part))


def _of_ladders(summary: Summary) -> Iterator[_Planned]:
    """Those of a study with ladders; of thresholds and degradation one for each way of tuning."""
    if not known_rows(summary.rows):
        return
    found = thresholds(summary)
    for number, at in enumerate(found.ats, start=1):
        suffix = f"_{number}" if len(found.ats) > 1 else ""
        yield _Planned(f"thresholds{suffix}", partial(thresholds_figure, found, at))
        yield _Planned(f"degradation{suffix}", partial(degradation_figure, summary, found, at))
    if has_costs(summary):
        yield _Planned("costs", partial(costs_figure, summary))
    if has_cosines(summary):
        yield _Planned("gradient", partial(prediction_figure, summary, prediction(summary)))


def _asked_for(table: StudyTable) -> Iterator[_Planned]:
    """The figures of the study's [plot], kind by kind."""
    assert table.plot is not None
    for kind in table.plot.kinds:
        if kind == "pareto":
            yield from _pareto(table.summary())
            continue
        slices = _slices(table)
        for number, part in enumerate(slices[:MOST_FIGURES], start=1):
            if known_rows(part.rows):
                yield from _of_kind(kind, part, _suffix(number, slices))


def _of_kind(kind: str, part: Summary, suffix: str) -> Iterator[_Planned]:
    """Those of one kind of a part of the study, in which nothing is swept that they do not show."""
    if kind in _FIGURES:
        yield _Planned(f"{kind}{suffix}", partial(_FIGURES[kind], part))
        return
    if kind == "losses":
        assert part.plot is not None
        if part.losses(part.plot.x):
            yield _Planned(f"losses{suffix}", partial(_on_axes, losses, part))
        return
    yield _Planned(f"{kind}{suffix}", partial(_on_axes, _LINES[kind], part))
    if kind == "accuracy_vs_bits" and _is_a_map(part):
        yield _Planned(f"heat_map{suffix}", partial(_on_axes, heat_map, part))


_FIGURES: dict[str, Callable[[Summary], Figure]] = {"alignment": alignment, "table": table_figure}
_LINES: dict[str, Draw] = {"accuracy_vs_bits": accuracy_vs_bits, "yield": yield_figure, "dies": dies_figure}


def _is_a_map(part: Summary) -> bool:
    """Whether x and series, both in an order, have a cell for each pair of their values, and nothing else changes."""
    assert part.plot is not None
    x, series = part.plot.x, part.plot.series
    if series is None or len(part.rows) < len(part.values(x)) * len(part.values(series)):
        return False
    if any(not part.are_equal(x, path) and not part.are_equal(series, path) for path in part.linked(x, series)):
        return False
    return is_ordered(part.values(x)) and is_ordered(part.values(series))


def _pareto(summary: Summary) -> Iterator[_Planned]:
    if known_rows(summary.rows):
        yield _Planned("pareto", partial(_on_axes, pareto_figure, summary))


def _suffix(number: int, slices: list[Summary]) -> str:
    return f"_{number}" if len(slices) > 1 else ""


def _slices(table: StudyTable) -> list[Summary]:
    assert table.plot is not None
    if table.plot.kinds == ("pareto",):
        return [table.summary()]
    kept, summary = (table.plot.x, table.plot.series), table.summary()
    shown = panels(summary) if table.plot.kind == "alignment" else []
    return summary.slices(*(path for path in kept if path is not None), *shown)


def _on_axes(draw: Draw, summary: Summary) -> Figure:
    """What is drawn on axes of their own, higher where it has a line a row, wider where it has a strip a row."""
    rows = len(summary.rows) if draw is losses else 0
    width = 6.4 if draw is not dies_figure else max(6.4, 2.4 + 0.24 * len(summary.rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, max(4.2, 1.6 + 0.36 * rows)), layout="constrained")
        draw(summary, figure.add_subplot())
    return figure
