"""Figures of a study, drawn from its summary: functions (summary, ax) -> ax that lay out and compute nothing."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from imcsim.study.statistics import Interval
from imcsim.study.store import write_atomic
from imcsim.study.summary import BEYOND, Row, Summary
from imcsim.x_axis import is_ordered, positions, scale, sidesteps, stands_apart, text

Floats = NDArray[np.float64]
Draw = Callable[[Summary, Axes], Axes]

KINDS: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # without dates

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "text.parse_math": False,  # a "$" in a study's name is a dollar
    "svg.fonttype": "none",  # text stays text: searchable, and set in the reader's font
    "svg.hashsalt": "imcsim",
    "pdf.fonttype": 42,
}

# Okabe & Ito (2008), without the yellow that vanishes on white; a marker for who sees or prints no colour. One marker
# more than colours: a pair comes again only after 56 lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
GREY = "0.35"
DASHES = (0, (2.5, 1.5))  # of what is extrapolated; shorter than those of float

# A cell of the heat map counts as near the float accuracy down to one percentage point below it.
NEAR = 0.01

WORDS = {
    "chip.adc": "ADC",
    "chip.adc.bits": "ADC bits",
    "chip.transpose.adc.bits": "ADC bits of the transposed read",
    "chip.transpose.mismatch_sigma_rel": "mismatch of the transposed read (sigma / unit current)",
    "chip.adc.noise_lsb": "ADC noise (LSB)",
    "chip.cell.device.cycle_sigma_rel": "noise of a pulse (sigma / step)",
    "chip.cell.device.dw_min": "step of a pulse",
    "chip.cell.device.dw_min_dtod_rel": "spread of steps (sigma / mean)",
    "chip.cell.device.up_down_dtod": "asymmetry of steps (sigma)",
    "chip.device": "device",
    "chip.loss_adc.bits": "bits of the loss ADC",
    "chip.adc.range": "ADC range",
    "chip.array.mapping": "weight mapping",
    "chip.array.rows": "rows of an array",
    "chip.array.weight_bits": "weight bits",
    "chip.cell.v_wl_V": "word-line voltage (V)",
    "chip.cell.mismatch_sigma_rel": "cell mismatch (sigma / unit current)",
    "chip.cell.stuck.off": "share of cells stuck at zero",
    "chip.cell.read_noise_rel": "read noise (sigma / unit current)",
    "chip.cell.sigma_vt_V": "threshold mismatch (V)",
    "chip.dac": "input converter",
    "chip.dac.bits": "input bits",
    "alignment.at": "weights",
    "training.rule": "rule",
    "network.hidden": "hidden layers",
    "chip.array.cols": "columns of an array",
    "chip.wires.r_col_ohm": "resistance of a bit-line segment (ohm)",
    "chip.wires.r_row_ohm": "resistance of a word-line segment (ohm)",
    "read.compensation": "drift compensation",
    "read.now_s": "time after programming",
    "training.epochs": "epochs",
}


def accuracy_vs_bits(summary: Summary, ax: Axes) -> Axes:
    """Accuracy in % against the plot's x, a line for each value of its series: means, 95 % intervals, replicates."""
    x, series, lines = lines_of(summary)
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
        ax.set(xlabel=words_of(x), ylabel="accuracy (%)", ylim=_limits(summary))
        ax.set_title(title_of(summary), loc="left")
        if beyond:
            handles.append(Line2D([], [], color=GREY, linestyle=DASHES, marker="o", markerfacecolor="white"))
            labels.append("extrapolated")
        if baseline is not None:
            handles, labels = [*handles, baseline], [*labels, _float_in_words(summary.rows)]
        chance = f"chance ({100 * summary.chance:.3g} %)"
        if _chance_is_near(summary):
            handles.append(ax.axhline(100 * summary.chance, color=GREY, linestyle=":"))
            labels.append(chance)
        legend_beside(ax, handles, labels, title="" if series is None else words_of(series))
        small_print(
            ax,
            _replicates_in_words(summary.rows),
            "Lines are shifted sideways to be told apart." if len(lines) > 1 else "",
            f"Everywhere the same: {' and '.join(words_of(path) for path in (x, *twins))}." if twins else "",
            f"Along x, these change, too: {', '.join(words_of(path) for path in others)}." if others else "",
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
        ax.set(xlabel=words_of(x), ylabel=words_of(series))
        ax.set_title(title_of(summary), loc="left")
        ax.figure.colorbar(image, ax=ax, label="accuracy (%)")
        small_print(ax, f"Mean accuracy in %, {count_of(summary.rows)}.", _border_in_words(near, summary.rows))
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
        ax.set_title(title_of(summary), loc="left")
        ax.grid(visible=False, axis="y")
        reference = next(row for row in summary.rows if row.coordinates[x] == first)
        level = f'"{text(first, x)}": {100 * reference.accuracy.mean:.1f} %'
        in_float = _float_in_words(summary.rows) if len(_float_levels(summary.rows)) == 1 else ""
        level = "; ".join(part for part in (level, in_float) if part) + "."
        methods = _methods(list(lost.values()))
        pairs = f"Differences of the same training on the same die: mean, 95 % interval ({methods})"
        small_print(ax, level, f"{pairs}; {count_of(summary.rows)}.", width=70)
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


def lines_of(summary: Summary) -> tuple[str, str | None, list[Summary]]:
    """The plot's x and series, and the rows of each value of the series; ValueError where they cannot be drawn."""
    x, series = _x_and_series(summary)
    return x, series, [summary] if series is None else [summary.at({series: one}) for one in summary.values(series)]


def _x_and_series(summary: Summary) -> tuple[str, str | None]:
    """The plot's axes; ValueError where `summary` cannot be drawn."""
    if summary.plot is None:
        raise ValueError("plots: the study has no [plot]")
    if not known_rows(summary.rows):
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


def _float_baseline(ax: Axes, lines: Sequence[Summary], along: Sequence[Floats]) -> Line2D | None:
    """The float accuracy, dashed, with its band: one level where all share it, else each line's in its colour."""
    levels = _float_levels(row for line in lines for row in line.rows)
    if not levels:
        return None
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
    known = _with_float(rows)
    complete = [row for row in known if not (row.failed or row.missing)]
    return {band(row.accuracy_float) for row in complete or known}


def band(interval: Interval) -> tuple[float, float, float]:
    """Mean and bounds; a single value, which has no bounds, as a band of no width."""
    if math.isnan(interval.low):
        return interval.mean, interval.mean, interval.mean
    return interval.mean, interval.low, interval.high


def known_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows with a result."""
    return [row for row in rows if not math.isnan(row.accuracy.mean)]


def _with_float(rows: Iterable[Row]) -> list[Row]:
    """Those of them whose weights have a counterpart in float."""
    return [row for row in known_rows(rows) if not math.isnan(row.accuracy_float.mean)]


def legend_beside(ax: Axes, handles: Sequence[Line2D], labels: Sequence[str], title: str) -> None:
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
    rows = known_rows(summary.rows)
    seen = [(*band(row.accuracy), *band(row.accuracy_float), *row.replicates) for row in rows]
    percent = np.clip([100 * value for values in seen for value in values if not math.isnan(value)], 0.0, 100.0)
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
    if not reference:
        return ""
    if near.all():
        return f"Every cell is within one point of {reference}."
    if not near.any():
        return f"No cell is within one point of {reference}."
    return f"White line: around the cells at most one point below {reference}."


# Words


def words_of(path: str) -> str:
    return WORDS.get(path, path)


def title_of(summary: Summary) -> str:
    fixed = ", ".join(
        f"{words_of(path)} = {text(value, path)}" for path, value in summary.fixed.items() if value is not None
    )
    return "\n".join([summary.name, *textwrap.wrap(fixed, 70)])


def _float_in_words(rows: Sequence[Row]) -> str:
    levels = _float_levels(rows)
    if not levels:
        return ""
    return f"float ({100 * levels.pop()[0]:.1f} %)" if len(levels) == 1 else "float"


def _replicates_in_words(rows: Sequence[Row]) -> str:
    """Where the bars, dots and bands come from."""
    on_chip, in_float = ([row.accuracy for row in known_rows(rows)], [row.accuracy_float for row in _with_float(rows)])
    if all(math.isnan(interval.low) for interval in on_chip):
        return f"{count_of(rows).capitalize()}: no interval."
    text = (
        f"Mean and 95 % interval of the mean: {_methods(on_chip)}; {count_of(rows)}. Dots: each training on each die."
    )
    if all(math.isnan(interval.low) for interval in in_float):
        return text
    return f"{text} Band of float: 95 % interval, {_methods(in_float)}."


def _methods(intervals: Iterable[Interval]) -> str:
    return " or ".join(dict.fromkeys(interval.method for interval in intervals))


def count_of(rows: Iterable[Row]) -> str:
    """How many replicates stand behind the means: "5 trainings x 3 dies", a range where cells differ."""
    known = known_rows(rows)
    trainings = _counted({row.accuracy.n_trainings for row in known}, "training")
    dies = _counted({row.accuracy.n_dies for row in known}, "die")
    return f"{trainings} x {dies}"


def repeats_of(summary: Summary) -> str:
    """The same of a whole summary, trainings on dies of their own told as such."""
    told = count_of(summary.rows)
    return told.partition(" x ")[0] + ", each on a die of its own" if summary.own_dies else told


def _counted(numbers: set[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low if low == high else f'{low} to {high}'} {noun}{'' if high == 1 else 's'}"


def small_print(ax: Axes, *sentences: str, width: int = 95) -> None:
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
