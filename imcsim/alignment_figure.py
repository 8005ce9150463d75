"""The figure of a study of alignment: cosines and signal-to-noise ratios, a panel a layer and a swept path."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imcsim.plots import COLOURS, GREY, MARKERS, STYLE, count_of, words_of
from imcsim.study.summary import Row, Summary
from imcsim.x_axis import positions, scale, text

DASHED = ("-", "--", ":")  # colours come again dashed, then dotted


def panels(summary: Summary) -> list[str]:
    """The paths that have a panel each: those that some cells alone have; else the last one beside the lines.

    Of paths that have the same value everywhere, the first.
    """
    assert summary.plot is not None
    others = [path for path in summary.axes if path != summary.plot.x]
    others = [path for k, path in enumerate(others) if not any(summary.are_equal(path, one) for one in others[:k])]
    partial = [path for path in others if any(path not in row.coordinates for row in summary.rows)]
    return partial or others[-1:]


def alignment(summary: Summary) -> Figure:
    """Cosines of each layer, from the inputs, and the ratio of the first, over each of the swept paths by itself."""
    assert summary.plot is not None
    paths, layers, lines = panels(summary), summary.along["cosine"], summary.values(summary.plot.x)
    rows = [("cosine", place, f"cosine, layer {layer}") for place, layer in enumerate(layers)]
    rows.append(("snr_db", 0, f"SNR (dB), layer {layers[0]}"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.1 * len(paths) + 0.8, 1.75 * len(rows) + 1.6), layout="constrained")
        axes = figure.subplots(len(rows), len(paths), sharey="row", sharex="col", squeeze=False)
        handles: list[Line2D] = []
        for (name, place, told), across in zip(rows, axes, strict=True):
            across[0].set_ylabel(told)
            for path, ax in zip(paths, across, strict=True):
                handles = _panel(ax, summary, path, name, place)
                if name == "cosine":
                    ax.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        for ax in axes[:-1, 0]:
            ax.set_ylim(_lowest(summary), 1.07)
        for path, ax in zip(paths, axes[-1], strict=True):
            twins = [one for one in summary.axes if one != path and summary.are_equal(one, path)]
            ax.set_xlabel(textwrap.fill(" and ".join(map(words_of, [path, *twins])), 24))
        fixed = ", ".join(f"{words_of(path)} = {text(value, path)}" for path, value in summary.fixed.items())
        figure.suptitle("\n".join(filter(None, [summary.name, fixed])), x=0.01, ha="left", fontsize=10)
        labels = [str(line) for line in lines]
        title = f"{words_of(summary.plot.x)}; mean and range of {count_of(summary.rows)}"
        figure.legend(handles, labels, title=title, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _panel(ax: Axes, summary: Summary, path: str, name: str, place: int) -> list[Line2D]:
    """One line for each value of x: means of a layer's values over a path, and how far trainings and dies differ."""
    assert summary.plot is not None
    handles = []
    swept = [row for row in summary.rows if path in row.coordinates]
    values = sorted({row.coordinates[path] for row in swept})
    places = dict(zip(values, positions(values), strict=True))
    for number, line in enumerate(summary.values(summary.plot.x)):
        rows = sorted(
            (row for row in swept if row.coordinates[summary.plot.x] == line), key=lambda row: row.coordinates[path]
        )
        at = np.array([places[row.coordinates[path]] for row in rows])
        mean, low, high = np.array([_spread(row, name, place) for row in rows]).reshape(-1, 3).T
        colour, dash = COLOURS[number % len(COLOURS)], DASHED[number // len(COLOURS) % len(DASHED)]
        marks: dict[str, Any] = {"marker": MARKERS[number % len(MARKERS)], "markersize": 4}
        # every other one is hollow, a difference that survives a print in grey
        face = "white" if number % 2 else colour
        ax.errorbar(at, mean, yerr=(mean - low, high - mean), fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.6)
        (handle,) = ax.plot(at, mean, color=colour, linestyle=dash, linewidth=1.1, markerfacecolor=face, **marks)
        handles.append(handle)
    scale(ax, path, values)
    return handles


def _spread(row: Row, name: str, place: int) -> tuple[float, float, float]:
    """The mean, the smallest and the largest of what trainings and dies give; gaps and infinities are left out."""
    values = row.series[name][:, :, place]
    values = values[np.isfinite(values)]
    return (float(values.mean()), float(values.min()), float(values.max())) if values.size else (np.nan,) * 3


def _lowest(summary: Summary) -> float:
    """Where the axes of cosines end: below every mean; an interval may end beyond."""
    layers = range(len(summary.along["cosine"]))
    return float(np.nanmin([row.interval("cosine", place).mean for row in summary.rows for place in layers])) - 0.1
