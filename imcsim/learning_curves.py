"""Learning curves of a study: accuracy on the training samples, and their loss, after each epoch."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imcsim.plots import COLOURS, MARKERS, STYLE, count_of, small_print, title_of, words_of
from imcsim.study.summary import Row, Summary
from imcsim.x_axis import text

ACCURACY, LOSS = "epoch_accuracy", "epoch_loss"
DECADES = 10.0  # from the smallest loss to the largest, beyond which its axis is logarithmic
MARKS = 12  # along a line


def has_curves(summary: Summary) -> bool:
    """Whether any network of the study learned by a rule, and was read after an epoch."""
    return ACCURACY in summary.along and any(_ran(row) for row in summary.rows)


def curves_path(summary: Summary) -> str:
    """The swept path whose values are the lines: the variants, or else the plot's series or x, or the last axis."""
    if "variant" in summary.axes or summary.plot is None:
        return "variant" if "variant" in summary.axes else summary.axes[-1]
    return summary.plot.series or summary.plot.x


def learning_curves(summary: Summary, ax: Axes) -> Axes:
    """Accuracy in % against epochs, a line for each row that learned by a rule, and below it the loss.

    Means over trainings and dies, each of which is a faint line; a mean ends where the first of them does.
    """
    path = curves_path(summary)
    rows = [row for row in summary.rows if _ran(row)]
    if not rows:
        raise ValueError("learning_curves: no network learned by a rule")
    with mpl.rc_context(STYLE):
        below = ax.figure.add_subplot(2, 1, 2)
        ax.set_subplotspec(below.get_subplotspec().get_gridspec()[0])  # type: ignore[union-attr]  # it has one
        below.sharex(ax)
        ax.tick_params(labelbottom=False)
        handles = [_line(ax, summary, row, ACCURACY, place) for place, row in enumerate(rows)]
        for place, row in enumerate(rows):
            _line(below, summary, row, LOSS, place)
        shown = np.concatenate([row.series[LOSS].ravel() for row in rows])
        shown = shown[np.isfinite(shown)]
        if shown.size and shown.min() > 0 and shown.max() > DECADES * shown.min():
            below.set_yscale("log")
            below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # nothing is set as mathematics
        ax.set(ylabel="accuracy (%)")
        below.set(xlabel="epoch", ylabel="loss")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_title(title_of(summary), loc="left")
        labels = [text(row.coordinates.get(path, "-"), path) for row in rows]
        wrapped = [textwrap.fill(label, 20) for label in labels]
        # beside both axes: a legend of one of them would push the other away
        ax.figure.legend(handles, wrapped, title=words_of(path), loc="outside right upper", alignment="left")
        small_print(
            below,
            "On the training samples, as the network reads them while it learns.",
            f"Lines: means, {count_of(rows)}; faint: each training on each die.",
            _diverged_in_words(rows),
            _left_out_in_words(len(summary.rows) - len(rows)),
        )
    return ax


def _ran(row: Row) -> bool:
    return ACCURACY in row.series and not np.isnan(row.series[ACCURACY]).all()


def _line(ax: Axes, summary: Summary, row: Row, name: str, place: int) -> Line2D:
    """The mean of a row, and behind it each training on each die; returns what the legend shows of it."""
    epochs, colour = np.array(summary.along[name]), COLOURS[place % len(COLOURS)]
    unit = 100.0 if name == ACCURACY else 1.0
    for one in row.series[name].reshape(-1, len(epochs)):
        ax.plot(epochs, unit * one, color=colour, linewidth=0.6, alpha=0.3)
    style: dict[str, Any] = {
        "marker": MARKERS[place % len(MARKERS)],
        "markerfacecolor": "white" if place % 2 else colour,
        "markevery": max(1, len(epochs) // MARKS),
    }
    (line,) = ax.plot(epochs, unit * row.curve(name), color=colour, linewidth=1.5, markersize=4.5, **style)
    return line


def _diverged_in_words(rows: list[Row]) -> str:
    diverged = sum(row.diverged for row in rows)
    return f"Diverged: {diverged} of {sum(row.ok for row in rows)} points, whose curves end there." if diverged else ""


def _left_out_in_words(count: int) -> str:
    return f"Without a curve: {count}, trained in float by backprop or without a result." if count else ""
