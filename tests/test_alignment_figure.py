"""The figure of alignment shows the numbers of the summary, a panel a layer and a swept path."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from imcsim.alignment_figure import alignment, panels
from imcsim.plots import MARKERS
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import Interval
from imcsim.study.summary import Row, Summary, format_summary

RULE, NOISE, BITS, TWIN = "training.rule", "chip.cell.read_noise_rel", "chip.adc.bits", "chip.transpose.adc.bits"
NOTHING = Interval(0.9, 0.8, 1.0, 2, 2, "t", 2.0)
LAYERS = (1, 2)


def row(coordinates, cosine, snr_db=20.0):
    spread = np.array([[-0.01, 0.0], [0.0, 0.01]])[..., None]
    series = {
        "cosine": cosine + np.array([0.0, 0.05]) + spread,
        "single_cosine": cosine - 0.1 + np.zeros(2) + spread,
        "snr_db": snr_db + np.zeros(2) + spread,
    }
    return Row(coordinates, NOTHING, NOTHING, np.full((2, 2, 1), 0.9), ok=4, failed=0, missing=0, series=series)


def summary():
    rows = []
    for rule, worth in (("on_chip_backprop", 0.9), ("dfa", 0.1)):
        rows += [row({RULE: rule, NOISE: noise}, worth - noise, np.inf if noise == 0 else 20) for noise in (0.0, 0.1)]
        rows += [row({RULE: rule, BITS: bits, TWIN: bits}, worth + 0.001 * bits) for bits in (4, 8, 6)]
    along = dict.fromkeys(("cosine", "single_cosine", "snr_db"), LAYERS)
    plot = PlotSpec(kind="alignment", x=RULE)
    return Summary("aligned", (RULE, NOISE, BITS, TWIN), tuple(rows), 0.1, plot, along=along)


def curves(ax):
    return [line for line in ax.lines if line.get_marker() in MARKERS]


def test_a_path_that_some_cells_alone_have_has_a_panel_and_a_twin_shares_it():
    assert panels(summary()) == [NOISE, BITS]


def test_the_lines_are_the_means_of_each_layer():
    figure = alignment(summary())
    axes = np.array(figure.axes).reshape(3, 2)  # two layers and the ratio, by two paths
    backprop, dfa = curves(axes[1, 1])
    np.testing.assert_allclose(backprop.get_xdata(), [4, 6, 8])
    np.testing.assert_allclose(backprop.get_ydata(), 0.95 + 0.001 * np.array([4, 6, 8]))
    np.testing.assert_allclose(dfa.get_ydata(), 0.15 + 0.001 * np.array([4, 6, 8]))
    # each training on each die lies within the bars
    (bars,) = (one for one in axes[1, 1].collections if to_hex(one.get_color()) == to_hex(backprop.get_color()))
    np.testing.assert_allclose(np.array(bars.get_segments())[0, :, 1], 0.954 + np.array([-0.01, 0.01]))
    # where estimates have no noise there is no finite ratio
    np.testing.assert_allclose(curves(axes[2, 0])[0].get_ydata(), [np.nan, 20.0])


def test_it_says_what_is_drawn():
    figure = alignment(summary())
    axes = np.array(figure.axes).reshape(3, 2)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == [
        "cosine, layer 1",
        "cosine, layer 2",
        "SNR (dB), layer 1",
    ]
    assert axes[-1, 1].get_xlabel().replace("\n", " ") == "ADC bits and ADC bits of the transposed read"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["on_chip_backprop", "dfa"]
    assert legend.get_title().get_text() == "rule; mean and range of 2 trainings x 2 dies"


def test_no_two_lines_look_alike():
    rows = [row({RULE: f"rule {k}", NOISE: 0.1}, 0.0) for k in range(14)]
    many = Summary("many", (RULE, NOISE), tuple(rows), 0.1, PlotSpec(kind="alignment", x=RULE), along=summary().along)
    lines = curves(alignment(many).axes[0])
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 14


def test_the_numbers_of_every_layer_stand_in_the_csv_and_in_the_table():
    first = next(csv.DictReader(io.StringIO(summary().csv())))
    assert float(first["cosine_1"]) == pytest.approx(0.9)
    assert float(first["cosine_2"]) == pytest.approx(0.95)
    assert float(first["cosine_1_low"]) < 0.9 < float(first["cosine_1_high"])
    assert first["snr_db_1"] == ""
    assert "+0.900  +0.950" in format_summary(summary())
