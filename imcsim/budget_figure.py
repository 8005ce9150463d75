"""The figure of a budget: SNR, and what makes the error, against ADC bits and rows of an array; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imcsim.budget.results import Budget, Point, snr_dB
from imcsim.budget.sources import WORDS
from imcsim.plots import GREY, STYLE, save_as

# Okabe & Ito (2008), light and dark by turns along the stack; a hatch for who sees or prints no colour.
FILLS: dict[str, tuple[str, str]] = {
    "weights": ("#56B4E9", ""),
    "inputs": ("#0072B2", "///"),
    "dac_levels": ("#BBBBBB", ""),
    "dac_noise": ("#777777", "xxx"),
    "lost_bits": ("#FFFFFF", "|||"),
    "mismatch": ("#E69F00", ""),
    "read_noise": ("#D55E00", "\\\\\\"),
    "column_noise": ("#F0E442", "..."),
    "compression": ("#CC79A7", ""),
    "clipping": ("#882255", "++"),
    "adc_range": ("#8FD9C0", "---"),
    "adc_rounding": ("#009E73", ""),
    "adc_offset": ("#DDDDDD", "///"),
    "adc_gain": ("#DDDDDD", "ooo"),
    "adc_noise": ("#DDDDDD", "..."),
}
SMALLEST = 0.002  # of the stack: less cannot be seen, and needs no place in the legend


def write_figure(budget: Budget, by_rows: Sequence[Point], name: str, path: Path) -> None:
    """Draw a budget into a file of the kind that its ending tells."""
    save_as(budget_figure(budget, by_rows, name), path)


def budget_figure(budget: Budget, by_rows: Sequence[Point], name: str) -> Figure:
    """SNR above, shares of the sources below, against ADC bits (left, where they can be changed) and rows (right)."""
    panels = [
        (points, words) for points, words in ((budget.by_bits, "ADC bits"), (by_rows, "rows of an array")) if points
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.7 * len(panels) + 2.0, 5.2), layout="constrained")
        axes = figure.subplots(2, len(panels), squeeze=False, sharex="col", sharey="row", height_ratios=(1, 1.25))
        shown = _shown([point for points, _ in panels for point in points])
        for column, (points, words) in enumerate(panels):
            snr(points, axes[0, column])
            shares(points, shown, axes[1, column])
            axes[1, column].set_xlabel(words)
        axes[0, 0].set_ylabel("SNR of an output (dB)")
        axes[1, 0].set_ylabel("share of the sources (%)")
        rows, cols = budget.layer
        bits = getattr(budget.spec.adc, "bits", None)
        converter = "" if bits is None else f"; right: ADC of {bits} bits"
        left = f"left: arrays of {budget.spec.array.rows} rows" if budget.by_bits else ""
        text = "".join((left, converter)).lstrip("; ")
        figure.suptitle(f"{name}: layer {rows} x {cols}\n{text}", x=0.01, ha="left", fontsize=10)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        handles, labels = axes[1, 0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right lower", fontsize=8)
    return figure


def snr(points: Sequence[Point], ax: Axes) -> Axes:
    """The total's SNR in dB at each point: emulated, and in closed form."""
    at = np.arange(len(points))
    ax.plot(at, [snr_dB(p.total) for p in points], color=GREY, linewidth=1.3, label="closed form")
    emulated = [snr_dB(p.emulated) for p in points]
    ax.plot(at, emulated, "o", color="#0072B2", markersize=5, markerfacecolor="white", label="emulated")
    return ax


def shares(points: Sequence[Point], shown: Sequence[str], ax: Axes) -> Axes:
    """Stacked bars: the sources' shares of their sum in closed form, in %."""
    at = np.arange(len(points))
    below = np.zeros(len(points))
    for name in shown:
        height = np.array([100 * p.closed_forms.get(name, 0.0) / (_sum(p) or 1.0) for p in points])
        colour, hatch = FILLS[name]
        style: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "black", "linewidth": 0.4}
        ax.bar(at, height, 0.85, bottom=below, label=WORDS[name], **style)
        below += height
    ax.set_xticks(at, [str(p.at) for p in points])
    ax.set_ylim(0, 100)
    return ax


def _shown(points: Sequence[Point]) -> list[str]:
    return [name for name in FILLS if any(p.closed_forms.get(name, 0.0) > SMALLEST * _sum(p) for p in points)]


def _sum(point: Point) -> float:
    return sum(point.closed_forms.values())
