"""Figures of a study, drawn from its summary: functions (summary, ax) -> ax that lay out and compute nothing."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from imcsim.alignment_figure import alignment, panels
from imcsim.figure_style import COLOURS, DASHES, GREY, MARKERS, STYLE, band, words
from imcsim.study.statistics import Interval
from imcsim.study.store import write_atomic
from imcsim.study.summary import BEYOND, Row, Summary
from imcsim.study.table import StudyTable
from imcsim.x_axis import is_ordered, positions, scale, sidesteps, stands_apart, text

Floats = NDArray[np.float64]
Draw = Callable[..., Axes | Figure]

KINDS: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # without dates

# A cell of the heat map counts as near the float accuracy down to one percentage point below it.
NEAR = 0.01

MOST_FIGURES = 12  # combinations of what is swept beside x and series: who looks at more, looks at none


def accuracy_vs_bits(summary: Summary, ax: Axes) -> Axes:
    """Accuracy in % against the plot's x, a line for each value of its series: means, 95 % intervals, replicates."""
    x, series = _x_and_series(summary)
    lines = [summary] if series is None else [summary.at({series: value}) for value in summary.values(series)]
    labels = ["on the chip"] if series is None else [text(value, series) for value in summary.values(series)]
    values = summary.values(x)
    places = dict(zip(values, positions(values), strict=True))
    apart = dict(zip(values, stands_apart(values), strict=True))
    linked = list(dict.fromkeys(path for line in lines for path in line.linked(x)))
    twins = [path for path in linked if summary.are_equal(x, path)]
    others = [path for path in linked if path not in twins]
    # where something else changes along with x, a line between two points would stand for nothing
    joined = is_ordered(values) and not others
    beyond = any(row.extrapolated for row in summary.rows)
    with mpl.rc_context(STYLE):
        baseline = _float_baseline(ax, lines, [_along(line, x, places) for line in lines])
        handles = []
        for place, (line, (factor, step)) in enumerate(zip(lines, sidesteps(len(lines), values), strict=True)):
            # every other one is hollow, a difference that survives a print in grey, unless hollow means something else
            style = _Style(place, hollow=place % 2 == 1 and not beyond, joined=joined)
            alone = np.array([apart[row.coordinates[x]] for row in line.rows])
            handles.append(_line(ax, line.rows, factor * _along(line, x, places) + step, alone, style))
        scale(ax, x, values)
        ax.set(xlabel=words(x), ylabel="accuracy (%)", ylim=_limits(summary))
        ax.set_title(_title(summary), loc="left")
        if beyond:
            handles.append(Line2D([], [], color=GREY, linestyle=DASHES, marker="o", markerfacecolor="white"))
            labels.append("extrapolated")
        handles, labels = [*handles, baseline], [*labels, _float_in_words(summary.rows)]
        chance = f"chance ({100 * summary.chance:.3g} %)"
        if _chance_is_near(summary):
            handles.append(ax.axhline(100 * summary.chance, color=GREY, linestyle=":"))
            labels.append(chance)
        _legend(ax, handles, labels, title="" if series is None else words(series))
        _small_print(
            ax,
            __replicates_in_words(summary.rows),
            "Lines are shifted sideways to be told apart." if len(lines) > 1 else "",
            f"Everywhere the same: {' and '.join(words(path) for path in (x, *twins))}." if twins else "",
            f"Along x, these change, too: {', '.join(words(path) for path in others)}." if others else "",
            f"Extrapolated: {BEYOND}." if beyond else "",
            "" if _chance_is_near(summary) else f"{chance.capitalize()} lies below this axis.",
        )
    return ax


def heat_map(summary: Summary, ax: Axes) -> Axes:
    """Mean accuracy in % over the plot's x and series; a line around the cells at most one point below float."""
    x, series = _x_and_series(summary)
    if series is None:
        raise ValueError("heat_map: the plot has no series to set against x")
    across, up = summary.values(x), summary.values(series)
    rows = {(row.coordinates[series], row.coordinates[x]): row for row in summary.rows}
    grid = [[rows[vertical, horizontal] for horizontal in across] for vertical in up]
    accuracy = np.array([[100 * row.accuracy.mean for row in line] for line in grid])
    near = np.array([[row.accuracy.mean >= row.accuracy_float.mean - NEAR for row in line] for line in grid])
    low, high = float(np.nanmin(accuracy)), float(np.nanmax(accuracy))
    decimals = 1 if high - low > 2 else 2
    with mpl.rc_context(STYLE):
        ax.grid(visible=False)
        image = ax.imshow(accuracy, origin="lower", aspect="auto", cmap="cividis")
        for place, value in np.ndenumerate(accuracy):
            shown = "no value" if math.isnan(value) else f"{value:.{decimals}f}"
            on_dark = value < (low + high) / 2  # cells without a value are white
            ax.text(place[1], place[0], shown, ha="center", va="center", color="white" if on_dark else "black")
        _border(ax, near)
        ax.set_xticks(range(len(across)), [text(value, x) for value in across])
        ax.set_yticks(range(len(up)), [text(value, series) for value in up])
        ax.set(xlabel=words(x), ylabel=words(series))
        ax.set_title(_title(summary), loc="left")
        ax.figure.colorbar(image, ax=ax, label="accuracy (%)")
        _small_print(ax, f"Mean accuracy in %, {_count(summary.rows)}.", _border_in_words(near, summary.rows))
    return ax


def losses(summary: Summary, ax: Axes) -> Axes:
    """How many points of accuracy each value of the plot's x costs against the first: means and 95 % intervals."""
    x, _ = _x_and_series(summary)
    lost = summary.losses(x)
    if not lost:
        raise ValueError("losses: the first value of x, or every other one, has incomplete results")
    first = summary.values(x)[0]
    with mpl.rc_context(STYLE):
        places = np.arange(len(lost))[::-1]
        mean, low, high = 100 * np.array([band(interval) for interval in lost.values()]).T
        ax.axvline(0, color=GREY, linewidth=1)
        ax.errorbar(mean, places, xerr=(mean - low, high - mean), fmt="o", color=COLOURS[0], markersize=5, capsize=2.5)
        for place, value, edge in zip(places, mean, high, strict=True):
            ax.annotate(
                f"{value:+.2f}", (edge, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7
            )
        ax.set_yticks(places, [textwrap.fill(text(value, x), 26) for value in lost])
        ax.set_ylim(-0.6, len(lost) - 0.4)
        ax.margins(x=0.12)
        ax.set_xlabel(f'accuracy lost against "{text(first, x)}" (points)')
        ax.set_title(_title(summary), loc="left")
        ax.grid(visible=False, axis="y")
        reference = next(row for row in summary.rows if row.coordinates[x] == first)
        level = f'"{text(first, x)}": {100 * reference.accuracy.mean:.1f} %; {_float_in_words(summary.rows)}.'
        methods = _methods(list(lost.values()))
        pairs = f"Differences of the same training on the same die: mean, 95 % interval ({methods})"
        _small_print(ax, level, f"{pairs}; {_count(summary.rows)}.", width=70)
    return ax


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `figure` as stem.png (200 dpi), stem.svg and stem.pdf: whole, and the same bytes for the same figure."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in KINDS]
    for path in paths:
        save_as(figure, path)
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write `figure` as `save` does, as the one of its kinds that the ending of `path` tells."""
    data, kind = io.BytesIO(), path.suffix[1:]
    with mpl.rc_context(STYLE):
        figure.savefig(data, format=kind, dpi=200, metadata=KINDS[kind])
    write_atomic(path, data.getvalue())


def study_figures(table: StudyTable, folder: Path) -> list[Path]:
    """Draw the plot that the study asks for, if any, into `folder`, its numbers as CSV beside it: the paths written.

    Where more is swept than x and series, each combination of the rest has figures of its own, numbered, up to
    MOST_FIGURES of them; a combination without a single result has none.
    """
    paths = [folder / _csv(table)]
    table.write_csv(paths[0])
    for stem, draw, part in _figures(table):
        paths += save(_figure(draw, part), folder / stem)
    return paths


def figures_are_current(table: StudyTable, folder: Path, results: Path) -> bool:
    """Whether everything that study_figures would write is in `folder`, none of it older than the file `results`."""
    names = [f"{stem}.{kind}" for stem, _, _ in _figures(table) for kind in KINDS] + [_csv(table)]
    paths = [folder / name for name in names]
    return all(path.exists() and path.stat().st_mtime_ns >= results.stat().st_mtime_ns for path in paths)


def _csv(table: StudyTable) -> str:
    return f"{table.plot.kind if table.plot else 'summary'}.csv"


def _figures(table: StudyTable) -> Iterator[tuple[str, Draw, Summary]]:
    """Each figure of a study: the stem of its files, how it is drawn, and what it shows."""
    if table.plot is None:
        return
    x, series = table.plot.x, table.plot.series
    slices = _slices(table)
    for number, part in enumerate(slices[:MOST_FIGURES], start=1):
        if not _known(part.rows):
            continue
        suffix = f"_{number}" if len(slices) > 1 else ""
        if table.plot.kind == "alignment":
            yield f"alignment{suffix}", alignment, part
            continue
        if table.plot.kind == "losses":
            if part.losses(x):
                yield f"losses{suffix}", losses, part
            continue
        yield f"accuracy_vs_bits{suffix}", accuracy_vs_bits, part
        if series is None or len(part.rows) < len(part.values(x)) * len(part.values(series)):
            continue  # a map has no gaps
        if any(not part.are_equal(x, path) and not part.are_equal(series, path) for path in part.linked(x, series)):
            continue  # and nothing else that changes along its sides
        if is_ordered(part.values(x)) and is_ordered(part.values(series)):
            yield f"heat_map{suffix}", heat_map, part


def figures_left_out(table: StudyTable) -> int:
    """How many combinations of what is swept beside x and series have no figure, as they are too many."""
    return max(0, len(_slices(table)) - MOST_FIGURES) if table.plot else 0


def _slices(table: StudyTable) -> list[Summary]:
    assert table.plot is not None
    kept, summary = (table.plot.x, table.plot.series), table.summary()
    shown = panels(summary) if table.plot.kind == "alignment" else []
    return summary.slices(*(path for path in kept if path is not None), *shown)


def _figure(draw: Draw, summary: Summary) -> Figure:
    if draw is alignment:
        return alignment(summary)
    rows = len(summary.rows) if draw is losses else 0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, max(4.2, 1.6 + 0.36 * rows)), layout="constrained")
        draw(summary, figure.add_subplot())
    return figure


def _x_and_series(summary: Summary) -> tuple[str, str | None]:
    """The plot's axes; ValueError where `summary` cannot be drawn."""
    if summary.plot is None:
        raise ValueError("plots: the study has no [plot]")
    if not _known(summary.rows):
        raise ValueError("plots: no point has a result yet")
    x, series = summary.plot.x, summary.plot.series
    linked = summary.linked(x) if series is None else summary.linked(x, series)
    if others := [path for path in summary.axes if path not in (x, series, *linked)]:
        raise ValueError(f"plots: {', '.join(others)} swept, too: draw each of summary.slices(x, series) by itself")
    return x, series


# The lines of accuracy_vs_bits


class _Style(NamedTuple):
    """How a line is told from the others: its place among them; whether its markers are hollow, its points joined."""

    place: int
    hollow: bool
    joined: bool


def _line(ax: Axes, rows: Sequence[Row], at: Floats, apart: NDArray[np.bool_], style: _Style) -> Line2D:
    """Means with bars, each replicate as a faint dot; returns what the legend shows of it.

    What is extrapolated is dashed and hollow; points that stand `apart` are not joined.
    """
    colour = COLOURS[style.place % len(COLOURS)]
    for position, row in zip(at, rows, strict=True):
        dots = 100 * np.array(row.replicates)
        ax.plot(np.full(len(dots), position), dots, ".", markersize=3, color=colour, alpha=0.35, markeredgewidth=0)
    mean, low, high = 100 * np.array([band(row.accuracy) for row in rows]).T
    ax.errorbar(at, mean, yerr=(mean - low, high - mean), fmt="none", ecolor=colour, elinewidth=1, capsize=2.5)
    beyond = np.array([row.extrapolated > 0 for row in rows])
    marks: dict[str, Any] = {"marker": MARKERS[style.place % len(MARKERS)], "markersize": 5.5, "markeredgewidth": 1.2}
    full: dict[str, Any] = {
        "color": colour,
        "linewidth": 1.3,
        **marks,
        "markerfacecolor": "white" if style.hollow else colour,
    }
    joined = "-" if style.joined else "none"
    (line,) = ax.plot(at, np.where(beyond | apart, np.nan, mean), linestyle=joined, **full)
    if apart.any():
        ax.plot(at, np.where(apart & ~beyond, mean, np.nan), linestyle="none", **full)
    if beyond.any():
        dashed = ~(apart[1:] | apart[:-1]) & (beyond[1:] | beyond[:-1]) & style.joined
        for k in np.flatnonzero(dashed):
            ax.plot(at[k : k + 2], mean[k : k + 2], color=colour, linestyle=DASHES, linewidth=1.3)
        ax.plot(at, np.where(beyond, mean, np.nan), linestyle="none", **{**full, "markerfacecolor": "white"})
    return line


def _along(line: Summary, x: str, places: Mapping[Any, float]) -> Floats:
    """Where the rows of a line stand on the x axis: a line need not have every value."""
    return np.array([places[row.coordinates[x]] for row in line.rows], dtype=np.float64)


def _float_baseline(ax: Axes, lines: Sequence[Summary], along: Sequence[Floats]) -> Line2D:
    """The float accuracy, dashed, with its band: one level where all share it, else each line's in its colour."""
    levels = _float_levels(row for line in lines for row in line.rows)
    if len(levels) == 1:
        mean, low, high = (100 * value for value in levels.pop())
        ax.axhspan(low, high, color="0.5", alpha=0.2, linewidth=0)
        return ax.axhline(mean, color=GREY, linestyle="--", linewidth=1.2)
    for colour, line, at in zip(itertools.cycle(COLOURS), lines, along, strict=False):
        mean, low, high = 100 * np.array([band(row.accuracy_float) for row in line.rows]).T
        ax.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)
        ax.plot(at, mean, color=colour, linestyle="--", linewidth=1.2)
    return Line2D([], [], color=GREY, linestyle="--", linewidth=1.2)


def _float_levels(rows: Iterable[Row]) -> set[tuple[float, float, float]]:
    """The different float accuracies, from complete rows if there are any: gaps alone make no difference."""
    known = _known(rows)
    complete = [row for row in known if not (row.failed or row.missing)]
    return {band(row.accuracy_float) for row in complete or known}


def _known(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not math.isnan(row.accuracy.mean)]


def _legend(ax: Axes, handles: Sequence[Line2D], labels: Sequence[str], title: str) -> None:
    wrapped = [textwrap.fill(label, 20) for label in labels]
    # beside the axes, where it hides nothing
    ax.legend(handles, wrapped, title=title, loc="upper left", bbox_to_anchor=(1.01, 1.02), alignment="left")


# Its axes


def _limits(summary: Summary) -> tuple[float, float]:
    low, high = _extent(summary)
    if _chance_is_near(summary):
        low = min(low, 100 * summary.chance)
    margin = max(0.05 * (high - low), 0.1)
    return low - margin, high + margin


def _chance_is_near(summary: Summary) -> bool:
    """Whether the axis can reach down to chance and leave the data at least half of its length."""
    low, high = _extent(summary)
    return low - 100 * summary.chance <= high - low


def _extent(summary: Summary) -> tuple[float, float]:
    """The smallest and the largest number to be seen, in %, within 0 ... 100."""
    rows = _known(summary.rows)
    seen = [(*band(row.accuracy), *band(row.accuracy_float), *row.replicates) for row in rows]
    percent = np.clip([100 * value for values in seen for value in values], 0.0, 100.0)
    return float(percent.min()), float(percent.max())


# The border in the heat map


def _border(ax: Axes, near: NDArray[np.bool_]) -> None:
    """Draw the edges between cells of `near` (rows, columns) that differ, white within black: seen on every colour."""
    level = [[(c - 0.5, r + 0.5), (c + 0.5, r + 0.5)] for r, c in np.argwhere(near[1:] != near[:-1])]
    upright = [[(c + 0.5, r - 0.5), (c + 0.5, r + 0.5)] for r, c in np.argwhere(near[:, 1:] != near[:, :-1])]
    for colour, width in (("black", 4.5), ("white", 2.5)):
        ax.add_collection(LineCollection([*level, *upright], colors=colour, linewidths=width, capstyle="projecting"))


def _border_in_words(near: NDArray[np.bool_], rows: Sequence[Row]) -> str:
    reference = _float_in_words(rows)
    if near.all():
        return f"Every cell is within one point of {reference}."
    if not near.any():
        return f"No cell is within one point of {reference}."
    return f"White line: around the cells at most one point below {reference}."


# Words


def _title(summary: Summary) -> str:
    fixed = ", ".join(
        f"{words(path)} = {text(value, path)}" for path, value in summary.fixed.items() if value is not None
    )
    return "\n".join([summary.name, *textwrap.wrap(fixed, 70)])


def _float_in_words(rows: Sequence[Row]) -> str:
    levels = _float_levels(rows)
    return f"float ({100 * levels.pop()[0]:.1f} %)" if len(levels) == 1 else "float"


def __replicates_in_words(rows: Sequence[Row]) -> str:
    """Where the bars, dots and bands come from."""
    on_chip, in_float = ([row.accuracy for row in _known(rows)], [row.accuracy_float for row in _known(rows)])
    if all(math.isnan(interval.low) for interval in on_chip):
        return f"{_count(rows).capitalize()}: no interval."
    text = f"Mean and 95 % interval of the mean: {_methods(on_chip)}; {_count(rows)}. Dots: each training on each die."
    if all(math.isnan(interval.low) for interval in in_float):
        return text
    return f"{text} Band of float: 95 % interval, {_methods(in_float)}."


def _methods(intervals: Iterable[Interval]) -> str:
    return " or ".join(dict.fromkeys(interval.method for interval in intervals))


def _count(rows: Iterable[Row]) -> str:
    """How many replicates stand behind the means: "5 trainings x 3 dies", a range where cells differ."""
    known = _known(rows)
    trainings = _counted({row.accuracy.n_trainings for row in known}, "training")
    dies = _counted({row.accuracy.n_dies for row in known}, "die")
    return f"{trainings} x {dies}"


def _counted(numbers: set[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low if low == high else f'{low} to {high}'} {noun}{'' if high == 1 else 's'}"


def _small_print(ax: Axes, *sentences: str, width: int = 95) -> None:
    """What the figure shows, below the label of its x axis, in lines of so many characters."""
    ax.annotate(
        textwrap.fill(" ".join(sentence for sentence in sentences if sentence), width),
        (0, 0),
        xycoords=("axes fraction", ax.xaxis.label),
        xytext=(0, -6),
        textcoords="offset points",
        va="top",
        fontsize=7,
        color="0.3",
        annotation_clip=False,
    )
