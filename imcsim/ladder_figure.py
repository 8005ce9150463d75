"""The figures of a study with ladders: thresholds, degradation, accuracy at a cost, loss beside the cosine."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from imcsim.plots import COLOURS, GREY, MARKERS, STYLE, band, repeats_of, words_of
from imcsim.study.budgets import ACCURACY
from imcsim.study.prediction import COSINE, Prediction
from imcsim.study.summary import Row, Summary
from imcsim.study.text import LADDER
from imcsim.study.thresholds import IDEAL, LEVEL, TUNE_AT, VARIANT, Threshold, Thresholds
from imcsim.x_axis import text

TUNED = {"base": "tuned at level 0 alone", "cell": "tuned again in every cell", "": ""}
SHADES = "Blues"  # light to dark: how early a rule has lost; its numbers are in the cells
PER_LINE = 3  # panels
DASHED = ("-", "--", ":")


def thresholds_figure(found: Thresholds, at: str) -> Figure:
    """Rules in rows, ladders in columns: where each has lost its points, darker the earlier."""
    cells, variants, ladders = found.at(at), list(found.base), list(found.paths)
    steps = {ladder: max(len(one.steps) for one in found.found if one.ladder == ladder) for ladder in ladders}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 + 1.22 * len(ladders), 1.75 + 0.36 * len(variants)), layout="constrained")
        ax = figure.add_subplot()
        ax.grid(visible=False)
        shades = mpl.colormaps[SHADES]
        for row, variant in enumerate(variants):
            for column, ladder in enumerate(ladders):
                if (one := cells.get((variant, ladder))) is not None:
                    _cell(ax, (column, row), one, shades(_shade(one, steps[ladder])))
        heads = [_head(ladder, found.paths[ladder]) for ladder in ladders]
        ax.set_xticks(range(len(ladders)), heads, fontsize=7.5)
        ax.xaxis.tick_top()
        labels = [f"{name}   {100 * base.mean:.1f}" for name, base in found.base.items()]
        ax.set_yticks(range(len(variants)), labels)
        ax.set(xlim=(-0.5, len(ladders) - 0.5), ylim=(len(variants) - 0.5, -0.5))
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        points = f"{100 * found.lost:g} points"
        title = f"{found.name}: where {points} are lost" + (f", {TUNED[at]}" if TUNED.get(at) else "")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        told = (
            f"Beside each rule its accuracy in % at level 0, the ideal chip. a to b: at a it stands, at b it has lost"
            f" more than {points} against that, paired by training; darker is earlier. ~: an interval (95 %) holds"
            f" {points}. Hatched: the rule cannot run."
        )
        _below(figure, told, int(20 * (2.6 + 1.22 * len(ladders))))
    return figure


def _head(ladder: str, path: str) -> str:
    """The name of a ladder, and the unit of its values where the words of its path tell one."""
    _, bracket, unit = words_of(path).partition("(")
    return textwrap.fill(ladder, 13) + (f"\n({unit}" if bracket else "")


def _cell(ax: Axes, place: tuple[int, int], one: Threshold, shade: tuple[float, ...]) -> None:
    column, row = place
    look: dict[str, Any] = (
        {"facecolor": "white", "hatch": "////", "edgecolor": "0.75"} if one.gap else {"facecolor": shade}
    )
    ax.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, linewidth=0, **look))
    luminance = 1.0 if one.gap else float(np.dot(shade[:3], (0.299, 0.587, 0.114)))
    colour = "black" if luminance > 0.5 else "white"
    ax.text(column, row, one.text, ha="center", va="center", fontsize=8, color=colour)


def _shade(one: Threshold, steps: int) -> float:
    """0.02 where a rule never loses its points, up to 0.85 where it does so at once."""
    return 0.02 if one.gap or one.stands == len(one.steps) else 0.15 + 0.7 * (1 - one.position / steps)


def degradation_figure(summary: Summary, found: Thresholds, at: str) -> Figure:
    """A panel a ladder: accuracy in % level by level, a line a variant."""
    ladders, variants = list(found.paths), list(found.base)
    base = {row.coordinates[VARIANT]: row for row in summary.rows if row.coordinates.get(LEVEL) == 0}
    lines = math.ceil(len(ladders) / PER_LINE)
    across = min(PER_LINE, len(ladders))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * across + 0.4, 2.35 * lines + 1.7), layout="constrained")
        axes = figure.subplots(lines, across, sharey=True, squeeze=False)
        handles: list[Line2D] = []
        for ladder, ax in zip(ladders, axes.flat, strict=False):
            path = found.paths[ladder]
            rows = [row for row in summary.rows if row.coordinates.get(LADDER) == ladder]
            rows = [row for row in rows if row.coordinates.get(TUNE_AT, "") == at]
            levels = {row.coordinates[LEVEL]: row.coordinates[path] for row in rows}
            handles = [
                _line(ax, [base[name], *_of_variant(rows, name)], place, len(variants))
                for place, name in enumerate(variants)
            ]
            ticks = [IDEAL, *(text(levels[level], path) for level in sorted(levels))]
            ax.set_xticks(range(len(ticks)), ticks)
            ax.set_xlabel(textwrap.fill(words_of(path), 34), fontsize=8)
            ax.set_title(ladder, loc="left", fontsize=9)
        for ax in axes.flat[len(ladders) :]:
            ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("accuracy (%)")
        title = summary.name + (f", {TUNED[at]}" if TUNED.get(at) else "")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        legend = f"Mean and 95 % interval, {repeats_of(summary)}; shifted sideways to be told apart"
        figure.legend(
            handles, variants, title=legend, loc="outside lower center", ncols=3, fontsize=8, title_fontsize=8
        )
    return figure


def _of_variant(rows: Sequence[Row], variant: str) -> list[Row]:
    own = [row for row in rows if row.coordinates[VARIANT] == variant]
    return sorted(own, key=lambda row: row.coordinates[LEVEL])


def _line(ax: Axes, rows: Sequence[Row], place: int, count: int) -> Line2D:
    """The rows of a variant, level by level, a little beside those of the others."""
    at = np.array([row.coordinates[LEVEL] for row in rows], dtype=np.float64) + 0.3 * (place / max(1, count - 1) - 0.5)
    mean, low, high = 100 * np.array([band(row.accuracy) for row in rows]).T
    look = _look(place)
    ax.errorbar(at, mean, yerr=(mean - low, high - mean), fmt="none", ecolor=look["color"], elinewidth=0.7, alpha=0.5)
    (line,) = ax.plot(at, mean, linewidth=1.1, markersize=4, **look)
    return line


def _look(place: int) -> dict[str, Any]:
    """Colour, marker and dashes of the variant at a place; every other one is hollow, which a print in grey keeps."""
    colour = COLOURS[place % len(COLOURS)]
    return {
        "color": colour,
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHED[place // len(COLOURS) % len(DASHED)],
        "markerfacecolor": "white" if place % 2 else colour,
    }


COSTS = {"epoch_forward_passes": "forward passes (samples)", "epoch_cell_writes": "cell writes"}


def costs_figure(summary: Summary) -> Figure:
    """At level 0, accuracy on the test samples against the passes and the writes that it took, epoch by epoch."""
    rows = [row for row in summary.rows if row.coordinates.get(LEVEL) == 0]
    variants = [row.coordinates[VARIANT] for row in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 4.6), layout="constrained")
        axes = figure.subplots(1, len(COSTS), sharey=True)
        handles: dict[str, Line2D] = {}
        for ax, (series, words) in zip(axes, COSTS.items(), strict=True):
            for place, row in enumerate(rows):
                accuracy, spent = row.curve(ACCURACY), row.curve(series)
                known = np.isfinite(accuracy) & np.isfinite(spent)
                if known.any():
                    look = {**_look(place), "markevery": max(1, int(known.sum()) // 6), "markersize": 4}
                    (handles[variants[place]],) = ax.plot(spent[known], 100 * accuracy[known], linewidth=1.1, **look)
            ax.set(xscale="log", xlabel=words)
            low, high = ax.get_xlim()
            ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            ax.xaxis.set_minor_formatter(lambda *_: "")
        axes[0].set_ylabel("accuracy on the test samples (%)")
        figure.suptitle(f"{summary.name}: the ideal chip, after each epoch", x=0.01, ha="left", fontsize=10)
        legend = (
            f"Means of {repeats_of(dataclasses.replace(summary, rows=tuple(rows)))}; without what is trained in float"
        )
        figure.legend(
            handles.values(), handles, title=legend, loc="outside lower center", ncols=3, fontsize=8, title_fontsize=8
        )
    return figure


def prediction_figure(summary: Summary, found: Prediction) -> Figure:
    """Points lost against the cosine between a rule's estimates and the gradient of its die, a dot a cell."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.0), layout="constrained")
        ax = figure.add_subplot()
        handles, labels = [], []
        for place, variant in enumerate(dict.fromkeys(dot.variant for dot in found.dots)):
            dots = [dot for dot in found.dots if dot.variant == variant]
            look = {**_look(place), "linestyle": "none"}
            (handle,) = ax.plot([dot.cosine for dot in dots], [100 * dot.lost for dot in dots], markersize=5, **look)
            handles.append(handle)
            rho = found.rho.get(variant, math.nan)
            labels.append(variant if math.isnan(rho) else f"{variant} ({rho:+.2f})")
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        ax.set(xlabel="cosine between one estimate and the gradient of the die", ylabel="accuracy lost (points)")
        ax.set_title(f"{summary.name}: does the cosine tell what is lost?", loc="left")
        legend = f"Against own level 0. In brackets Spearman's rho; of all cells {found.rho_of_all:+.2f}"
        figure.legend(handles, labels, title=legend, loc="outside lower center", ncols=2, fontsize=8, title_fontsize=8)
    return figure


def has_costs(summary: Summary) -> bool:
    """Whether rows have what `costs_figure` draws."""
    return {ACCURACY, *COSTS} <= summary.along.keys() and _any_finite(row.series[ACCURACY] for row in summary.rows)


def has_cosines(summary: Summary) -> bool:
    """Whether rows have what `prediction_figure` draws."""
    return any(math.isfinite(row.numbers.get(COSINE, math.nan)) for row in summary.rows)


def _any_finite(arrays: Iterable[np.ndarray]) -> bool:
    return any(np.isfinite(array).any() for array in arrays)


def _below(figure: Figure, sentence: str, width: int) -> None:
    figure.supxlabel(textwrap.fill(sentence, width), fontsize=7, color="0.3", x=0.01, ha="left")
