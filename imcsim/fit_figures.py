"""The figures of fits: panels of numbers as pictures; computes nothing."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from imcsim.fit.result import Mark, Panel
from imcsim.plots import COLOURS, MARKERS, STYLE, legend_beside

INCHES = (5.6, 3.9)
_MOST_LABELS = 6
_WIDE = 60  # characters of a title in a line


def panel_figure(panel: Panel) -> Figure:
    """One panel as a figure of its own."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        draw(panel, figure.subplots())
    return figure


def draw(panel: Panel, ax: Axes) -> Axes:
    """The marks of a panel, in a colour for each that is named, and a legend beside."""
    ax.set(xscale=panel.x_scale, yscale=panel.y_scale, xlabel=panel.x_label, ylabel=panel.y_label)
    ax.set_title(textwrap.fill(panel.title, _WIDE), loc="left")
    place = 0
    for mark in panel.marks:
        _DRAW[mark.kind](ax, mark, place)
        place += bool(mark.label) and mark.kind != "image"
    for axis, kind in ((ax.xaxis, panel.x_scale), (ax.yaxis, panel.y_scale)):
        if kind == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        legend_beside(ax, handles[:_MOST_LABELS], labels[:_MOST_LABELS], "")  # type: ignore[arg-type]
    return ax


def _line(ax: Axes, mark: Mark, place: int) -> None:
    ax.plot(mark.x, mark.y, color=COLOURS[place % len(COLOURS)], linewidth=1.3, label=mark.label or None, zorder=3)


def _points(ax: Axes, mark: Mark, place: int) -> None:
    many = np.size(mark.x) > 200
    ax.plot(
        mark.x,
        mark.y,
        linestyle="none",
        marker=MARKERS[place % len(MARKERS)],
        markersize=2 if many else 4,
        alpha=0.5 if many else 1,
        color=COLOURS[place % len(COLOURS)],
        label=mark.label or None,
        rasterized=np.size(mark.x) > 5000,
        zorder=2,
    )


def _band(ax: Axes, mark: Mark, place: int) -> None:
    assert mark.y2 is not None  # a band has two sides
    ax.fill_between(
        mark.x, mark.y, mark.y2, color=COLOURS[place % len(COLOURS)], alpha=0.18, linewidth=0, label=mark.label or None
    )


def _bars(ax: Axes, mark: Mark, place: int) -> None:
    ax.stairs(mark.y, mark.x, color=COLOURS[place % len(COLOURS)], fill=True, alpha=0.35, label=mark.label or None)


def _steps(ax: Axes, mark: Mark, place: int) -> None:
    ax.stairs(mark.y, mark.x, color=COLOURS[place % len(COLOURS)], linewidth=1.3, label=mark.label or None)


def _image(ax: Axes, mark: Mark, place: int) -> None:
    del place
    assert mark.y2 is not None  # its rows
    shown = ax.pcolormesh(mark.x, mark.y2, mark.y, cmap="cividis", shading="nearest", rasterized=True)
    ax.grid(visible=False)
    ax.figure.colorbar(shown, ax=ax, label="probability")


_DRAW: dict[str, Any] = {
    "line": _line,
    "points": _points,
    "band": _band,
    "bars": _bars,
    "steps": _steps,
    "image": _image,
}
