"""The figure of a device: its tables as panels; computes nothing."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from imcsim.device_curves import Curve, Panel, Tables
from imcsim.plots import COLOURS, MARKERS, STYLE, save_as

PANEL_INCHES = (4.6, 3.5)
TIMES_S = {
    "1 us": 1e-6,
    "1 ms": 1e-3,
    "1 s": 1.0,
    "1 min": 60.0,
    "1 h": 3600.0,
    "1 day": 86400.0,
    "1 year": 365 * 86400.0,
    "10 years": 3650 * 86400.0,
}
EXTRAPOLATED = (0, (4, 2))  # dashes
MOST_MARKS = 8  # on a line
DECADES = 4  # of a density that are shown: below are single cells


def write_figure(tables: Tables, title: str, path: Path) -> None:
    """Draw a device into a file of the kind that its ending tells."""
    save_as(device_figure(tables, title), path)


def device_figure(tables: Tables, title: str) -> Figure:
    """A panel for each of the tables, what is not drawn in words below."""
    count = len(tables.panels)
    columns = min(count, 2 if count <= 4 else 3)
    rows = math.ceil(count / columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 0.8), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, panel in zip(axes[:count], tables.panels, strict=True):
            draw(panel, ax)
        for ax in axes[count:]:
            ax.remove()
        figure.suptitle(textwrap.fill(title, 26 * columns + 30), x=0.01, ha="left", fontsize=10)
        dashed = ("Dashed: extrapolated beyond what was measured.",) if tables.extrapolated else ()
        if words := " ".join((*tables.notes, *dashed)):
            figure.supxlabel(textwrap.fill(words, 70 * columns), x=0.01, ha="left", fontsize=8, color="0.3")
    return figure


def draw(panel: Panel, ax: Axes) -> Axes:
    """One panel: lines, dashed where they are extrapolated, bands, points and densities, the legend below."""
    ax.set_yscale(panel.y_scale)
    for place, curve in enumerate(panel.curves):
        {"line": _line, "points": _points, "steps": _steps}[curve.form](ax, curve, place)
    ax.set(xlabel=panel.x_label, ylabel=panel.y_label)
    ax.set_title(panel.title, loc="left")
    if panel.x_scale == "time":
        _times(ax, panel)
    if panel.x_scale == "log":
        ax.set_xscale("log")
        _decades(ax.xaxis)
    if panel.y_scale == "log":
        _decades(ax.yaxis)
        if any(curve.form == "steps" for curve in panel.curves):
            peak = max(curve.y.max() for curve in panel.curves)
            ax.set_ylim(peak * 10.0**-DECADES, 2 * peak)
    if panel.y_scale == "linear" and all(curve.y.min() >= 0 for curve in panel.curves):
        ax.set_ylim(bottom=0)
    longest = max(len(curve.label) for curve in panel.curves)
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=1 if longest > 26 else 2, fontsize=8, handlelength=3
    )
    return ax


def _line(ax: Axes, curve: Curve, place: int) -> None:
    style = _style(place)
    known = np.ones(curve.x.shape, np.bool_) if curve.known is None else curve.known
    beyond = ~known  # and the known points beside, so that there is no gap
    beyond[:-1] |= ~known[1:]
    beyond[1:] |= ~known[:-1]
    every = max(len(curve.x) // MOST_MARKS, 1)
    first = (place * every // 3) % every  # marks of neighbours stand side by side
    ax.plot(curve.x, curve.y, linestyle="none", markevery=(first, every), zorder=3, **style)
    for shown, dashes in ((known, "-"), (beyond, EXTRAPOLATED)):
        y = np.where(shown, curve.y, np.nan)
        ax.plot(curve.x, y, color=style["color"], linewidth=1.4, linestyle=dashes)
    ax.plot([], [], linestyle="-" if known.any() else EXTRAPOLATED, linewidth=1.4, label=curve.label, **style)
    if curve.band is not None:
        ax.fill_between(curve.x, *curve.band, color=style["color"], alpha=0.15, linewidth=0)


def _points(ax: Axes, curve: Curve, place: int) -> None:
    ax.plot(curve.x, curve.y, linestyle="none", label=curve.label, **_style(place))


def _steps(ax: Axes, curve: Curve, place: int) -> None:
    colour = COLOURS[place % len(COLOURS)]
    values = curve.y if ax.get_yscale() == "linear" else np.where(curve.y > 0, curve.y, np.nan)
    label = curve.label
    if place == 0:  # in the legend it is the filled one
        ax.stairs(curve.y, curve.x, color=colour, alpha=0.3, fill=True, linewidth=0, label=label)
        label = ""
    ax.stairs(values, curve.x, color=colour, baseline=None, linewidth=1.2, linestyle=_DASHES[place], label=label)


_DASHES = ("-", "-", ":")  # the first is filled; what is extrapolated alone is dashed


def _decades(axis: Axis) -> None:
    """Plain numbers on a log axis: mathematics is not parsed in figures."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _times(ax: Axes, panel: Panel) -> None:
    ax.set_xscale("log")
    low = min(curve.x[0] for curve in panel.curves)
    high = max(curve.x[-1] for curve in panel.curves)
    shown = {word: at for word, at in TIMES_S.items() if low * 0.999 <= at <= high * 1.001}
    ax.set_xticks(list(shown.values()), list(shown))
    ax.minorticks_off()


def _style(place: int) -> dict[str, Any]:
    colour = COLOURS[place % len(COLOURS)]
    return {
        "color": colour,
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 5,
        "markerfacecolor": "white" if place % 2 else colour,  # a difference that survives a print in grey
    }
