"""A table as a figure: what each value of the plot's series reaches at each value of its x, and where it cannot run."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from imcsim.plots import STYLE, known_rows, repeats_of, title_of, words_of
from imcsim.study.statistics import Interval
from imcsim.study.summary import Summary
from imcsim.x_axis import text


def table_figure(summary: Summary) -> Figure:
    """Series in rows, x in columns: mean accuracy in % with half the width of its 95 % interval; gaps are hatched."""
    assert summary.plot is not None
    assert summary.plot.series is not None
    x, series = summary.plot.x, summary.plot.series
    across, down = summary.values(x), summary.values(series)
    known = [row.accuracy.mean for row in known_rows(summary.rows)]
    low, high = min(known), max(known)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.8 + 1.35 * len(across), 1.6 + 0.36 * len(down)), layout="constrained")
        ax = figure.add_subplot()
        ax.grid(visible=False)
        shades, reasons = mpl.colormaps["cividis"], dict[str, None]()
        for row in summary.rows:
            column, line = across.index(row.coordinates[x]), down.index(row.coordinates[series])
            place = (column - 0.48, line - 0.46)
            if row.gap or math.isnan(row.accuracy.mean):
                reasons[row.gap or "no value yet"] = None
                number = list(reasons).index(row.gap or "no value yet") + 1
                look: dict[str, Any] = {"facecolor": "white", "hatch": "////", "edgecolor": "0.75", "linewidth": 0}
                ax.add_patch(Rectangle(place, 0.96, 0.92, **look))
                ax.text(column, line, f"gap ({number})", ha="center", va="center", fontsize=8)
                continue
            shade = shades((row.accuracy.mean - low) / (high - low) if high > low else 1.0)
            ax.add_patch(Rectangle(place, 0.96, 0.92, facecolor=shade, linewidth=0))
            colour = "black" if float(np.dot(shade[:3], (0.299, 0.587, 0.114))) > 0.5 else "white"
            ax.text(column, line, _told(row.accuracy), ha="center", va="center", fontsize=8, color=colour)
        ax.set_xticks(range(len(across)), [textwrap.fill(text(value, x), 16) for value in across])
        ax.xaxis.tick_top()
        ax.set_yticks(range(len(down)), [textwrap.fill(text(value, series), 34) for value in down])
        ax.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        figure.suptitle(f"{title_of(summary)}, by {words_of(x)}", x=0.01, ha="left", fontsize=10)
        told = f"Mean accuracy in %, ± half the 95 % interval; {repeats_of(summary)}."
        gaps = [f"({number}) {reason}." for number, reason in enumerate(reasons, start=1)]
        width = int(18 * (2.8 + 1.35 * len(across)))
        figure.supxlabel(textwrap.fill(" ".join([told, *gaps]), width), fontsize=7, color="0.3", x=0.01, ha="left")
    return figure


def _told(accuracy: Interval) -> str:
    if math.isnan(accuracy.low):
        return f"{100 * accuracy.mean:.1f}"
    return f"{100 * accuracy.mean:.1f} ± {50 * (accuracy.high - accuracy.low):.1f}"
