"""Figures of dies show the counts and accuracies of the summary, and say what a good die is."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from imcsim import plots
from imcsim.figures import study_figures
from imcsim.plots import MARKERS
from imcsim.study.questions import PlotSpec, YieldSpec
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary
from imcsim.study.yields import binomial_interval
from imcsim.yield_figures import dies_figure, yield_figure

SIGMA, BITS = "chip.cell.mismatch_sigma_rel", "chip.array.weight_bits"
FLOAT = mean_interval(np.array([[0.97]]))


def summary_of(good, *, dies=200, kind="yield", also=None, sigmas=(0.1, 0.2, 0.3), bits=(4, 6)):
    """A study in which good(sigma, bits) of so many dies reach 95 %."""
    rows = []
    for b, sigma in itertools.product(bits, sigmas):
        many = good(sigma, b)
        values = 0.93 + 0.0001 * np.arange(dies) % 0.01
        values[:many] += 0.03
        mean = mean_interval(values[None])
        rows.append(Row({BITS: b, SIGMA: sigma}, mean, FLOAT, values[None, :, None], ok=dies, failed=0, missing=0))
    plot = PlotSpec(kind=kind, x=SIGMA, series=BITS, also=also)
    asked = YieldSpec(accuracy=0.95, target=0.99)
    return Summary("study", (BITS, SIGMA), tuple(rows), 0.1, plot, yields=asked)


def falling(sigma, bits):
    return round(200 - 400 * sigma + 10 * (bits - 4))


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


def means(ax):
    return [line for line in ax.lines if line.get_marker() in MARKERS]


def small_print(ax):
    return " ".join(text.get_text().replace("\n", " ") for text in ax.texts)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_yield_of_every_series_stands_over_x_with_its_binomial_interval(ax):
    yield_figure(summary_of(falling), ax)
    four, six = means(ax)
    assert four.get_ydata() == pytest.approx([100 * falling(sigma, 4) / 200 for sigma in (0.1, 0.2, 0.3)])
    assert six.get_ydata() == pytest.approx([100 * falling(sigma, 6) / 200 for sigma in (0.1, 0.2, 0.3)])
    low, high = binomial_interval(160, 200)
    (bar,) = ax.collections[0].get_segments()[:1]
    assert bar[:, 1] == pytest.approx([100 * low, 100 * high])
    assert legend(ax) == ["4", "6", "target: 99 %"]
    assert "at least 95 %" in small_print(ax)
    assert "1 training x 200 dies" in small_print(ax)


def test_many_dies_stand_on_a_scale_of_logits_and_few_on_a_linear_one(ax):
    yield_figure(summary_of(lambda sigma, _: 200 if sigma < 0.3 else 0), ax)
    assert ax.get_ylim() == pytest.approx((0.25, 99.75))
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["0", "1", "10", "50", "90", "99", "100"]
    assert "log(yield / loss)" in small_print(ax)
    high = Figure(layout="constrained").add_subplot()
    yield_figure(summary_of(lambda *_: 190), high)
    assert [label.get_text() for label in high.get_yticklabels()] == ["50", "90", "99", "100"]
    other = Figure(layout="constrained").add_subplot()
    yield_figure(summary_of(lambda *_: 9, dies=10), other)
    assert other.get_yscale() == "linear"
    assert "log(" not in small_print(other)


def test_dies_that_are_left_out_are_told(ax):
    summary = summary_of(falling)
    values = summary.rows[0].values.copy()
    values[0, 3:5] = math.nan
    rows = (dataclasses.replace(summary.rows[0], values=values), *summary.rows[1:])
    yield_figure(dataclasses.replace(summary, rows=rows), ax)
    assert "2 dies with points that failed or are missing are left out." in small_print(ax)


def test_every_die_is_a_dot_and_many_have_a_box(ax):
    dies_figure(summary_of(falling, dies=200, kind="dies"), ax)
    strips = [line for line in ax.lines if len(line.get_ydata()) == 200]
    assert len(strips) == 6
    assert max(strips[0].get_ydata()) == pytest.approx(100 * (0.96 + 0.0001 * 99), abs=1e-6)
    assert len(ax.lines) > 6 + 6 * 5  # medians, boxes, whiskers and caps
    assert "1 and 99 % of the dies" in small_print(ax)
    assert legend(ax)[-1] == "good from 95 %"


def test_strips_of_neighbours_do_not_touch(ax):
    dies_figure(summary_of(falling, dies=200, kind="dies"), ax)
    strips = sorted((min(line.get_xdata()), max(line.get_xdata())) for line in ax.lines if len(line.get_xdata()) == 200)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(strips))


def test_few_dies_are_dots_alone(ax):
    dies_figure(summary_of(lambda *_: 3, dies=4, kind="dies"), ax)
    assert "quartiles" not in small_print(ax)


def test_values_that_are_texts_stand_side_by_side_unjoined(ax):
    summary = summary_of(lambda *_: 150)
    names = {0.1: "nominal", 0.2: "worst", 0.3: "trimmed"}
    rows = tuple(
        dataclasses.replace(row, coordinates={**row.coordinates, SIGMA: names[row.coordinates[SIGMA]]})
        for row in summary.rows
    )
    yield_figure(dataclasses.replace(summary, rows=rows), ax)
    assert all(line.get_linestyle() == "None" for line in means(ax))


class Table:
    """A table whose summary is given."""

    def __init__(self, summary):
        self.plot, self.series, self._summary = summary.plot, {}, summary

    def summary(self):
        return self._summary

    def write_csv(self, path):
        path.write_text(self._summary.csv())


def test_a_study_has_a_figure_of_each_kind_that_it_asks_for_and_its_yield_as_csv(tmp_path):
    table = Table(summary_of(falling, also=("dies", "accuracy_vs_bits")))
    names = {path.name for path in study_figures(table, tmp_path)}
    stems = ("yield", "dies", "accuracy_vs_bits", "heat_map")
    assert names == {"summary.csv", "yield.csv", *(f"{stem}.{kind}" for stem in stems for kind in plots.KINDS)}
    assert (tmp_path / "yield.csv").read_text().startswith(f"{BITS},{SIGMA},accuracy,good,dies,yield,")
    # the same bytes every time
    before = {name: (tmp_path / name).read_bytes() for name in names}
    study_figures(table, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == before
