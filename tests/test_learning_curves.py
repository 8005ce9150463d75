"""The figure of learning curves: means a line, each training on each die behind them, no further than all went."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from imcsim.learning_curves import curves_path, has_curves, learning_curves
from imcsim.plots import MARKERS
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import Interval
from imcsim.study.summary import Row, Summary

NOTHING = Interval(math.nan, math.nan, math.nan, 0, 0, "no value", math.nan)
EPOCHS = (1, 2, 3)


def row(coordinates, loss, diverged=0):
    """A row of 2 trainings on 2 dies, whose losses are `loss` (2, 2, 3)."""
    known = Interval(0.9, 0.8, 1.0, 2, 2, "a method", 1.0)
    series = {"epoch_loss": loss, "epoch_accuracy": 1 - loss / 2}
    values = np.full((2, 2, 1), 0.9)
    return Row(coordinates, known, NOTHING, values, ok=4, failed=0, missing=0, diverged=diverged, series=series)


def falling(scale=1.0):
    return scale * np.array([1.0, 0.5, 0.25]) + 0.01 * np.arange(4.0).reshape(2, 2, 1)


def summary_of(*rows, axes=("variant",), plot=None):
    along = dict.fromkeys(("epoch_loss", "epoch_accuracy"), EPOCHS)
    return Summary("learning", axes, tuple(rows), 0.1, plot, along=along)


@pytest.fixture
def axes():
    ax = Figure(layout="constrained").add_subplot()

    def draw(summary):
        learning_curves(summary, ax)
        return ax.figure.axes

    return draw


def means(ax):
    return [line for line in ax.lines if line.get_marker() in MARKERS]


def test_each_variant_has_the_mean_over_trainings_and_dies(axes):
    above, below = axes(summary_of(row({"variant": "dfa"}, falling()), row({"variant": "usf"}, falling(0.5))))
    for line, scale in zip(means(below), (1.0, 0.5), strict=True):
        np.testing.assert_allclose(line.get_xdata(), EPOCHS)
        np.testing.assert_allclose(line.get_ydata(), falling(scale).mean(axis=(0, 1)))
    np.testing.assert_allclose(means(above)[0].get_ydata(), 100 * (1 - falling().mean(axis=(0, 1)) / 2))
    assert [text.get_text() for text in above.figure.legends[0].get_texts()] == ["dfa", "usf"]
    assert len(below.lines) == 2 * (1 + 4)


def test_a_mean_ends_where_the_first_run_ends_and_the_figure_says_what_diverged(axes):
    loss = falling()
    loss[0, 1, 2] = np.nan
    _, below = axes(summary_of(row({"variant": "dfa"}, loss, diverged=1)))
    np.testing.assert_array_equal(np.isnan(means(below)[0].get_ydata()), [False, False, True])
    told = " ".join(text.get_text().replace("\n", " ") for text in below.texts)
    assert "Diverged: 1 of 4 points" in told


def test_runs_without_a_result_are_left_out_of_the_mean():
    loss = falling()
    loss[1] = np.nan
    np.testing.assert_allclose(row({}, loss).curve("epoch_loss"), falling()[0].mean(axis=0))
    assert np.isnan(row({}, np.full((2, 2, 3), np.nan)).curve("epoch_loss")).all()


def test_rows_without_curves_are_counted(axes):
    float_row = row({"variant": "in silico"}, np.full((2, 2, 3), np.nan))
    _, below = axes(summary_of(float_row, row({"variant": "dfa"}, falling())))
    assert len(means(below)) == 1
    assert "Without a curve: 1" in " ".join(text.get_text() for text in below.texts)
    assert not has_curves(summary_of(float_row))


def test_losses_over_more_than_a_decade_stand_on_a_logarithmic_axis(axes):
    loss = np.broadcast_to([1.0, 0.1, 0.01], (2, 2, 3))
    _, below = axes(summary_of(row({"variant": "dfa"}, loss)))
    assert below.get_yscale() == "log"


def test_lines_are_variants_or_the_plot_s_series_or_its_x():
    bits, rule = "chip.adc.bits", "training.rule"
    both = dataclasses.replace(summary_of(), axes=(bits, rule))
    assert curves_path(both) == rule
    plotted = dataclasses.replace(both, plot=PlotSpec(kind="accuracy_vs_bits", x=bits))
    assert curves_path(plotted) == bits
    assert (
        curves_path(dataclasses.replace(plotted, plot=PlotSpec(kind="accuracy_vs_bits", x=rule, series=bits))) == bits
    )
    assert curves_path(dataclasses.replace(plotted, axes=("variant", bits))) == "variant"
