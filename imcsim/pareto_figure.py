"""Cells of a study by two of their numbers, and the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from imcsim.plots import COLOURS, GREY, MARKERS, STYLE, legend_beside, repeats_of, small_print, title_of, words_of
from imcsim.study.pareto import ACCURACIES, BETTER, Choice, Measured, Pareto, pareto
from imcsim.study.summary import Summary
from imcsim.x_axis import is_logarithmic, text

WORDS = {"accuracy": "accuracy (%)", "accuracy_float": "accuracy in float (%)"}
ENDS = {"low": "smaller", "high": "larger"}


def pareto_figure(summary: Summary, ax: Axes) -> Axes:
    """The plot's y against its x, a dot a cell; the front as steps, its cells numbered and told in words."""
    assert summary.plot is not None
    x, y, series = summary.plot.x, summary.plot.y or "accuracy", summary.plot.series
    better = summary.plot.better or BETTER
    found = pareto(summary, x, y, (better[0], better[1]))
    lines = [None] if series is None else summary.values(series)
    with mpl.rc_context(STYLE):
        handles = []
        for number, value in enumerate(lines):
            chosen = [one for one in found.choices if series is None or one.coordinates.get(series) == value]
            handles.append(_dots(ax, chosen, (x, y), number))
        labels = ["a cell"] if series is None else [text(value, series) for value in lines]
        handles.append(_steps(ax, found, (x, y)))
        labels.append("front")
        key = _numbered(ax, found.front, (x, y), summary)
        ax.set(xlabel=WORDS.get(x, words_of(x)), ylabel=WORDS.get(y, words_of(y)))
        if is_logarithmic([one.x.value for one in found.choices]):
            ax.set_xscale("log")
        ax.margins(x=0.12, y=0.12)
        ax.set_title(title_of(summary), loc="left")
        legend_beside(ax, handles, labels, title="" if series is None else words_of(series))
        wanted = f"{ENDS[better[0]]} is better along x, {ENDS[better[1]]} along y"
        small_print(
            ax,
            f"Front: cells that no other beats in both means; {wanted}. Bars: 95 % intervals of means, where known.",
            f"{repeats_of(summary).capitalize()}.",
            key,
            f"{found.left_out} cells lack one of the numbers." if found.left_out else "",
        )
    return ax


def _shown(one: Measured, name: str) -> tuple[float, float, float]:
    """A number with how far its interval reaches below and above, in the unit of its axis."""
    factor = 100 if name in ACCURACIES else 1
    below, above = one.value - one.low, one.high - one.value
    known = not math.isnan(below)
    return factor * one.value, factor * below if known else 0.0, factor * above if known else 0.0


def _dots(ax: Axes, choices: Sequence[Choice], names: tuple[str, str], number: int) -> Line2D:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    for one in choices:
        (x, left, right), (y, below, above) = _shown(one.x, names[0]), _shown(one.y, names[1])
        along, up = ([[low], [high]] if low or high else None for low, high in ((left, right), (below, above)))
        if along or up:
            ax.errorbar(x, y, up, along, fmt="none", ecolor=colour, elinewidth=0.8, capsize=1.5, alpha=0.7)
        # what is beaten is hollow
        face = colour if one.best else "white"
        over = 4 if one.best else 3
        ax.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=5.5, markeredgewidth=1.1, zorder=over)
    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=5.5)


def _steps(ax: Axes, found: Pareto, names: tuple[str, str]) -> Line2D:
    """The edge of what the front offers: until a better cell is afforded, the last one is what there is."""
    at = [(_shown(one.x, names[0])[0], _shown(one.y, names[1])[0]) for one in found.front]
    where: Literal["post", "pre"] = "post" if found.better[0] == "low" else "pre"
    (line,) = ax.step(*np.array(at).T, where=where, color=GREY, linewidth=1.2, zorder=1)
    return line


def _numbered(ax: Axes, front: Sequence[Choice], names: tuple[str, str], summary: Summary) -> str:
    """Number the places of the front, from the smallest x on; the key to them in words, all that each cell has."""
    told = [path for path in summary.axes if path not in names and len(summary.values(path)) > 1]
    places: dict[tuple[float, float], list[str]] = {}
    for one in front:
        here = [f"{words_of(path)} {text(one.coordinates[path], path)}" for path in told if path in one.coordinates]
        places.setdefault((_shown(one.x, names[0])[0], _shown(one.y, names[1])[0]), []).append(", ".join(here))
    for number, place in enumerate(places, start=1):
        where: dict[str, Any] = {"xytext": (-5, 4), "textcoords": "offset points", "ha": "right", "va": "bottom"}
        ax.annotate(str(number), place, fontsize=8, fontweight="bold", **where)
    words = [f"{number}: {' or '.join(cells)}" for number, cells in enumerate(places.values(), start=1) if any(cells)]
    return f"{'; '.join(words)}." if words else ""
