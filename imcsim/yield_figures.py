"""Figures of dies: the share of good ones with its exact interval, and the accuracy of every die."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray
from scipy.special import expit, logit

from imcsim.plots import (
    COLOURS,
    GREY,
    MARKERS,
    STYLE,
    legend_beside,
    lines_of,
    repeats_of,
    small_print,
    title_of,
    words_of,
)
from imcsim.study.questions import YieldSpec
from imcsim.study.summary import Summary
from imcsim.study.yields import Yield, yields
from imcsim.x_axis import positions, scale, sidesteps, text

MANY_DIES = 100  # from so many on, one per cent of them is a number to be read
BOX_DIES = 8  # of fewer, quartiles would say less than the dots
ACROSS = 0.55  # how much of a step between lines the dots of a die spread over
DOT = 2.2


def yield_figure(summary: Summary, ax: Axes) -> Axes:
    """The share of good dies in % over the plot's x, a line for each value of its series, with 95 % intervals."""
    assert summary.yields is not None
    x, series, lines = lines_of(summary)
    asked = summary.yields
    found = [yields(line, YieldSpec(accuracy=asked.accuracy)).rows for line in lines]
    values = summary.values(x)
    places = dict(zip(values, positions(values), strict=True))
    joined = not isinstance(values[0], str)
    with mpl.rc_context(STYLE):
        handles = []
        steps = sidesteps(len(lines), values)
        for number, (rows, (factor, step)) in enumerate(zip(found, steps, strict=True)):
            at = np.array([factor * places[row.coordinates[x]] + step for row in rows], dtype=np.float64)
            handles.append(_line(ax, rows, at, number, joined=joined))
        labels = ["dies"] if series is None else [text(value, series) for value in summary.values(series)]
        if asked.target is not None:
            handles.append(ax.axhline(100 * asked.target, color=GREY, linestyle="--", linewidth=1.2))
            labels.append(f"target: {100 * asked.target:g} %")
        scale(ax, x, values)
        ax.set(xlabel=words_of(x), ylabel=f"dies with an accuracy of {100 * asked.accuracy:g} % (%)")
        stretched = _scale_of_shares(ax, [row for rows in found for row in rows])
        ax.set_title(title_of(summary), loc="left", pad=10)  # above markers of 100 %
        legend_beside(ax, handles, labels, title="" if series is None else words_of(series))
        small_print(
            ax,
            f"Yield: dies whose accuracy, averaged over reads, is at least {100 * asked.accuracy:g} %, and exact"
            f" binomial 95 % intervals (Clopper-Pearson); {repeats_of(summary)}.",
            "Lines are shifted sideways to be told apart." if len(lines) > 1 else "",
            "The scale is that of log(yield / loss); 0 and 100 % stand at its ends." if stretched else "",
            _left_out([row for rows in found for row in rows]),
        )
    return ax


def dies_figure(summary: Summary, ax: Axes) -> Axes:
    """The accuracy in % of every die over the plot's x, a dot each, by the value of its series; boxes of quartiles."""
    x, series, lines = lines_of(summary)
    values = summary.values(x)
    at = np.arange(len(values), dtype=np.float64)  # a column a value, evenly: boxes of close values would overlap
    width = 0.8 / len(lines)
    boxed = False
    with mpl.rc_context(STYLE):
        handles = []
        for number, line in enumerate(lines):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            for row in line.rows:
                middle = at[values.index(row.coordinates[x])] + width * (number - (len(lines) - 1) / 2)
                dies = 100 * np.array(row.replicates)
                boxed |= _strip(ax, dies, float(middle), width, colour, marker)
            handles.append(Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=5))
        labels = ["dies"] if series is None else [text(value, series) for value in summary.values(series)]
        if summary.yields is not None:
            handles.append(ax.axhline(100 * summary.yields.accuracy, color=GREY, linestyle="--", linewidth=1.2))
            labels.append(f"good from {100 * summary.yields.accuracy:g} %")
        ax.set_xticks(at, [text(value, x) for value in values])
        ax.set_xlim(-0.5, len(values) - 0.5)
        ax.grid(visible=False, axis="x")
        ax.set(xlabel=words_of(x), ylabel="accuracy of a die (%)")
        ax.set_title(title_of(summary), loc="left")
        legend_beside(ax, handles, labels, title="" if series is None else words_of(series))
        small_print(
            ax,
            f"A dot a die, averaged over reads, shifted sideways to be seen; {repeats_of(summary)}.",
            "Box: quartiles and median; whiskers: 1 and 99 % of the dies." if boxed else "",
            "Values of x stand side by side, whatever lies between them." if not isinstance(values[0], str) else "",
        )
    return ax


def _scale_of_shares(ax: Axes, rows: Sequence[Yield]) -> bool:
    """Scale the y axis for the shares of `rows` in %; whether it is stretched at its ends.

    As yields near 100 % differ in what is lost, many dies stand on a scale of logits, on which 0 and 100 % are where
    half a die would be; it reaches no further down than the lowest interval.
    """
    dies = max(row.dies for row in rows)
    if dies < MANY_DIES:
        ax.set_ylim(-3, 103)
        return False
    edge = 0.5 / dies
    ax.set_yscale("function", functions=(lambda y: logit(np.clip(y / 100, edge, 1 - edge)), lambda y: 100 * expit(y)))
    inner = [share for share in (0.1, 1, 10, 50, 90, 99, 99.9) if 200 * edge <= min(share, 100 - share) + 1e-9]
    ticks = {100 * edge: "0", **{share: f"{share:g}" for share in inner}, 100 - 100 * edge: "100"}
    lowest = min(100 * row.low for row in rows if row.dies)
    bottom = max((share for share in ticks if share <= min(lowest, 50)), default=100 * edge)
    shown = {share: label for share, label in ticks.items() if share >= bottom}
    ax.set_yticks(list(shown), list(shown.values()))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(bottom, 100 - 100 * edge)
    return True


def _line(ax: Axes, rows: Sequence[Yield], at: NDArray[np.float64], number: int, *, joined: bool) -> Line2D:
    share, low, high = 100 * np.array([(row.share, row.low, row.high) for row in rows]).T
    colour = COLOURS[number % len(COLOURS)]
    ax.errorbar(at, share, yerr=(share - low, high - share), fmt="none", ecolor=colour, elinewidth=1, capsize=2.5)
    look: dict[str, Any] = {"marker": MARKERS[number % len(MARKERS)], "markersize": 5.5, "markeredgewidth": 1.2}
    look |= {"clip_on": False, "zorder": 3}  # whole at the ends of the axis
    # every other one is hollow, a difference that survives a print in grey
    look["markerfacecolor"] = "white" if number % 2 == 1 else colour
    order = np.argsort(at)
    style = "-" if joined else "none"
    (line,) = ax.plot(at[order], share[order], color=colour, linewidth=1.3, linestyle=style, **look)
    return line


def _strip(ax: Axes, dies: NDArray[np.float64], middle: float, width: float, colour: str, marker: str) -> bool:
    """Draw the dies of a cell around `middle`; whether they have a box."""
    # in the order of dies, evenly: the same picture every time, without a random number
    beside = ACROSS * width * (np.modf(np.arange(len(dies)) * 0.61803)[0] - 0.5)
    look: dict[str, Any] = {"color": colour, "markersize": DOT, "markeredgewidth": 0, "linestyle": "none"}
    look["rasterized"] = len(dies) > MANY_DIES  # thousands of dots as shapes would be megabytes
    ax.plot(middle + beside, dies, marker=marker, alpha=0.35 if len(dies) > BOX_DIES else 0.9, **look)
    if len(dies) < BOX_DIES:
        return False
    ax.boxplot(
        dies,
        positions=[middle],
        widths=[0.7 * width],
        whis=(1, 99),
        showfliers=False,
        manage_ticks=False,
        patch_artist=False,
        medianprops={"color": "black", "linewidth": 1.4},
        boxprops={"color": "black", "linewidth": 0.9},
        whiskerprops={"color": "black", "linewidth": 0.9},
        capprops={"color": "black", "linewidth": 0.9},
    )
    return True


def _left_out(rows: Sequence[Yield]) -> str:
    count = sum(row.left_out for row in rows)
    return f"{count} dies with points that failed or are missing are left out." if count else ""
