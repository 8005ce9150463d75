"""What the figures of studies share: fonts, colours and markers, and the words for swept paths."""

from __future__ import annotations

import math
from typing import Any

from imcsim.study.statistics import Interval

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

WORDS = {
    "chip.adc": "ADC",
    "chip.adc.bits": "ADC bits",
    "chip.transpose.adc.bits": "ADC bits of the transposed read",
    "chip.adc.noise_lsb": "ADC noise (LSB)",
    "chip.adc.range": "ADC range",
    "chip.array.mapping": "weight mapping",
    "chip.array.rows": "rows of an array",
    "chip.array.weight_bits": "weight bits",
    "chip.cell.v_wl_V": "word-line voltage (V)",
    "chip.cell.mismatch_sigma_rel": "cell mismatch (sigma / unit current)",
    "chip.transpose.mismatch_sigma_rel": "mismatch of the transposed read (sigma / unit current)",
    "chip.cell.read_noise_rel": "read noise (sigma / unit current)",
    "chip.cell.sigma_vt_V": "threshold mismatch (V)",
    "chip.dac": "input converter",
    "chip.dac.bits": "input bits",
    "alignment.at": "weights",
    "alignment.rule": "rule",
    "network.hidden": "hidden layers",
    "chip.array.cols": "columns of an array",
    "chip.wires.r_col_ohm": "resistance of a bit-line segment (ohm)",
    "chip.wires.r_row_ohm": "resistance of a word-line segment (ohm)",
    "read.compensation": "drift compensation",
    "read.now_s": "time after programming",
    "training.epochs": "epochs",
}


def words(path: str) -> str:
    """A swept path in words, where there are some."""
    return WORDS.get(path, path)


def band(interval: Interval) -> tuple[float, float, float]:
    """Mean and bounds; a single value, which has no bounds, as a band of no width."""
    if math.isnan(interval.low):
        return interval.mean, interval.mean, interval.mean
    return interval.mean, interval.low, interval.high
