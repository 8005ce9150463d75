"""Figures show the numbers of the summary, say where they come from, and are the same bytes every time."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from imcsim import figures, plots
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import Interval
from imcsim.study.summary import Row, Summary

ADC, WEIGHTS = "chip.adc.bits", "chip.array.weight_bits"
METHOD = "crossed random effects of trainings and dies, Satterthwaite t"
FLOAT = Interval(0.95, 0.94, 0.96, 3, 1, "t over trainings", 2.0)


def row(coordinates, mean, float_=FLOAT, half=0.02):
    if math.isnan(mean):
        nothing = Interval(mean, mean, mean, 0, 0, "no value", mean)
        return Row(coordinates, nothing, nothing, np.full((3, 2, 1), np.nan), ok=0, failed=6, missing=0)
    interval = Interval(mean, mean - half, mean + half, 3, 2, METHOD, 2.5)
    values = mean + 0.001 * np.arange(-3, 3).reshape(3, 2, 1)
    return Row(coordinates, interval, float_, values, ok=6, failed=0, missing=0)


def summary_of(mean_of, *, x=(ADC, (3, 4, 6)), series=(WEIGHTS, (2, 4)), name="study", chance=0.1):
    """A summary whose mean accuracy in the cell of x = i and series = j is `mean_of(i, j)`."""
    rows = [row({series[0]: j, x[0]: i}, mean_of(i, j)) for j, i in itertools.product(series[1], x[1])]
    plot = PlotSpec(kind="accuracy_vs_bits", x=x[0], series=series[0])
    return Summary(name, (series[0], x[0]), tuple(rows), chance, plot)


def saturating(bits, weights):
    return 0.95 - 0.6 * 2.0**-bits - 0.1 * 2.0**-weights


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


def curves(ax):
    """The lines of means: those with markers that are neither dots nor the caps of bars."""
    return [line for line in ax.lines if line.get_marker() in plots.MARKERS]


def small_print(ax):
    return " ".join(text.get_text().replace("\n", " ") for text in ax.texts)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# accuracy_vs_bits


def test_a_line_shows_the_means_of_its_series_in_percent(ax):
    plots.accuracy_vs_bits(summary_of(saturating), ax)
    for line, weights in zip(curves(ax), (2, 4), strict=True):
        np.testing.assert_allclose(line.get_ydata(), [100 * saturating(bits, weights) for bits in (3, 4, 6)])
        np.testing.assert_allclose(line.get_xdata(), (3, 4, 6), atol=0.25)  # shifted by less than a quarter of a bit


def test_bars_span_the_intervals(ax):
    plots.accuracy_vs_bits(summary_of(saturating), ax)
    bars = [bar for container in ax.containers for bar in container.lines[2][0].get_segments()]
    means = [100 * saturating(bits, weights) for weights in (2, 4) for bits in (3, 4, 6)]
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [(mean - 2, mean + 2) for mean in means])


def test_every_replicate_is_a_dot(ax):
    summary = summary_of(saturating)
    plots.accuracy_vs_bits(summary, ax)
    dots = [y for line in ax.lines if line.get_marker() == "." for y in line.get_ydata()]
    np.testing.assert_allclose(dots, [100 * value for row in summary.rows for value in row.replicates])


def test_axes_and_legend_speak_the_field_s_words(ax):
    plots.accuracy_vs_bits(summary_of(saturating, name="how many bits"), ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ADC bits", "accuracy (%)")
    assert ax.get_title(loc="left") == "how many bits"
    assert ax.get_legend().get_title().get_text() == "weight bits"
    assert legend(ax) == ["2", "4", "float (95.0 %)"]


def test_a_path_without_a_word_stands_for_itself(ax):
    plots.accuracy_vs_bits(summary_of(saturating, x=("chip.cell.v_t_V", (1, 2, 3))), ax)
    assert ax.get_xlabel() == "chip.cell.v_t_V"


def test_bits_have_a_tick_each_and_none_between(ax):
    plots.accuracy_vs_bits(summary_of(saturating), ax)
    assert ax.get_xticks().tolist() == [3, 4, 6]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["3", "4", "6"]


def test_texts_stand_side_by_side_and_are_not_joined(ax):
    x = ("chip.adc", ("ideal", "uniform bits=6"))
    plots.accuracy_vs_bits(summary_of(lambda adc, weights: 0.9 if adc == "ideal" else 0.8, x=x), ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["ideal", "uniform bits=6"]
    assert {line.get_linestyle() for line in curves(ax)} == {"None"}


def test_lines_differ_in_colour_and_marker_and_every_other_is_hollow(ax):
    plots.accuracy_vs_bits(summary_of(saturating, series=(WEIGHTS, (1, 2, 3, 4, 6, 8))), ax)
    lines = curves(ax)
    assert len({to_hex(line.get_color()) for line in lines}) == len({line.get_marker() for line in lines}) == 6
    hollow = [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in lines]
    assert hollow == [False, True] * 3


def test_the_pairs_of_colour_and_marker_do_not_come_again_before_56_lines():
    pairs = [(plots.COLOURS[i % len(plots.COLOURS)], plots.MARKERS[i % len(plots.MARKERS)]) for i in range(56)]
    assert len(set(pairs)) == 56


def test_a_float_accuracy_that_all_share_is_one_dashed_level_with_its_band(ax):
    plots.accuracy_vs_bits(summary_of(saturating), ax)
    [level] = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert set(level.get_ydata()) == {95.0}
    [band] = ax.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((94, 96))


def test_float_accuracies_that_differ_are_dashed_in_the_colour_of_their_line(ax):
    summary = summary_of(saturating)
    other = Interval(0.9, 0.89, 0.91, 3, 1, "t over trainings", 2.0)
    rows = [
        dataclasses.replace(row, accuracy_float=other) if row.coordinates[WEIGHTS] == 4 else row for row in summary.rows
    ]
    plots.accuracy_vs_bits(dataclasses.replace(summary, rows=tuple(rows)), ax)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [set(line.get_ydata()) for line in dashed] == [{95.0}, {90.0}]
    assert [line.get_color() for line in dashed] == [line.get_color() for line in curves(ax)]
    assert legend(ax)[-1] == "float"


def test_chance_is_dotted_where_it_is_near_and_in_words_where_it_would_press_the_data_together(ax):
    plots.accuracy_vs_bits(summary_of(lambda bits, weights: 0.2 + 0.1 * bits), ax)
    [dotted] = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert set(dotted.get_ydata()) == {10.0}
    assert ax.get_ylim()[0] < 10
    assert legend(ax)[-1] == "chance (10 %)"
    high = Figure().add_subplot()
    plots.accuracy_vs_bits(summary_of(lambda bits, weights: 0.9 + 0.001 * bits), high)
    assert not [line for line in high.lines if line.get_linestyle() == ":"]
    assert "Chance (10 %) lies below this axis." in small_print(high)
    assert high.get_ylim()[0] > 80


def test_the_small_print_states_method_and_numbers(ax):
    plots.accuracy_vs_bits(summary_of(saturating), ax)
    assert f"95 % interval of the mean: {METHOD}; 3 trainings x 2 dies" in small_print(ax)


def test_an_axis_ends_at_100_percent_whatever_the_interval(ax):
    summary = summary_of(lambda bits, weights: 0.99)
    wide = dataclasses.replace(summary.rows[0].accuracy, low=-0.3, high=2.28)
    rows = [dataclasses.replace(row, accuracy=wide) for row in summary.rows]
    plots.accuracy_vs_bits(dataclasses.replace(summary, rows=tuple(rows)), ax)
    assert -10 < ax.get_ylim()[0] < ax.get_ylim()[1] < 110


def test_single_values_are_drawn_without_bars_and_said_to_have_none(ax):
    single = Interval(0.8, math.nan, math.nan, 1, 1, "one value", math.nan)
    rows = [Row({ADC: bits}, single, single, np.full((1, 1, 1), 0.8), ok=1, failed=0, missing=0) for bits in (3, 4)]
    plot = PlotSpec(kind="accuracy_vs_bits", x=ADC)
    plots.accuracy_vs_bits(Summary("one", (ADC,), tuple(rows), 0.1, plot), ax)
    assert "1 training x 1 die: no interval." in small_print(ax)
    assert legend(ax)[0] == "on the chip"


def test_gaps_leave_the_rest_as_it_is(ax):
    plots.accuracy_vs_bits(summary_of(lambda bits, weights: math.nan if bits == 4 else 0.8), ax)
    np.testing.assert_array_equal(np.isnan(curves(ax)[0].get_ydata()), [False, True, False])
    assert "3 trainings x 2 dies" in small_print(ax)
    assert legend(ax)[-1] == "float (95.0 %)"


def test_axes_that_the_plot_does_not_name_are_never_mixed(ax):
    summary = summary_of(saturating)
    alone = dataclasses.replace(summary, plot=PlotSpec(kind="accuracy_vs_bits", x=ADC))
    with pytest.raises(ValueError, match="weight_bits swept, too"):
        plots.accuracy_vs_bits(alone, ax)


@pytest.mark.parametrize("draw", [plots.accuracy_vs_bits, plots.heat_map])
def test_a_study_without_a_result_cannot_be_drawn(ax, draw):
    with pytest.raises(ValueError, match="no point has a result"):
        draw(summary_of(lambda bits, weights: math.nan), ax)


# heat_map


def test_the_heat_map_writes_each_mean_in_its_cell(ax):
    plots.heat_map(summary_of(saturating), ax)
    cells = {text.get_position(): text.get_text() for text in ax.texts[:6]}
    expected = {
        (c, r): f"{100 * saturating(bits, weights):.1f}"
        for r, weights in enumerate((2, 4))
        for c, bits in enumerate((3, 4, 6))
    }
    assert cells == expected
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ADC bits", "weight bits")
    assert ax.images[0].get_cmap().name == "cividis"


def borders(ax):
    """The edges drawn, each as the pair of cells (x, y) that it parts."""
    edges = [line for line in ax.collections if isinstance(line, LineCollection)][-1].get_segments()
    parted = set()
    for (x0, y0), (x1, y1) in edges:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        step = (0.5, 0) if x0 == x1 else (0, 0.5)
        parted.add(((x - step[0], y - step[1]), (x + step[0], y + step[1])))
    return parted


def test_the_line_parts_the_cells_at_most_one_point_below_float_from_the_others(ax):
    near = {(6, 2), (4, 4), (6, 4)}  # (ADC bits, weight bits)
    plots.heat_map(summary_of(lambda bits, weights: 0.941 if (bits, weights) in near else 0.939), ax)
    # cells by column (3, 4, 6 bits) and row (2, 4 bits)
    assert borders(ax) == {((1, 0), (2, 0)), ((1, 0), (1, 1)), ((0, 1), (1, 1))}
    assert "around the cells at most one point below float (95.0 %)" in small_print(ax)


@pytest.mark.parametrize(
    ("mean", "words"), [(0.945, "Every cell is within one point"), (0.9, "No cell is within one point")]
)
def test_where_there_is_nothing_to_part_the_heat_map_says_so(ax, mean, words):
    plots.heat_map(summary_of(lambda bits, weights: mean), ax)
    assert borders(ax) == set()
    assert words in small_print(ax)


def test_a_cell_without_a_value_says_so(ax):
    plots.heat_map(summary_of(lambda bits, weights: math.nan if bits == 3 else 0.9), ax)
    assert [text.get_text() for text in ax.texts[:6]] == ["no value", "90.00", "90.00"] * 2


def test_a_heat_map_needs_a_series(ax):
    rows = tuple(row({ADC: bits}, 0.9) for bits in (3, 4))
    with pytest.raises(ValueError, match="no series"):
        plots.heat_map(Summary("one", (ADC,), rows, 0.1, PlotSpec(kind="accuracy_vs_bits", x=ADC)), ax)


# Files


class Table:
    """A table whose summary is given."""

    def __init__(self, summary):
        self.plot = summary.plot
        self._summary = summary

    def summary(self):
        return self._summary

    def write_csv(self, path):
        path.write_text(self._summary.csv())


ALL = {
    "accuracy_vs_bits.csv",
    *(f"{name}.{kind}" for name in ("accuracy_vs_bits", "heat_map") for kind in ("png", "svg", "pdf")),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The files of a study whose name is no formula."""
    folder = tmp_path_factory.mktemp("drawn")
    return figures.study_figures(Table(summary_of(saturating, name=r"for $\frac$ the price")), folder)


def test_a_study_has_its_figures_in_three_formats_with_the_numbers_beside(drawn):
    assert {path.name for path in drawn} == {path.name for path in drawn[0].parent.iterdir()} == ALL


def test_the_same_study_gives_the_same_bytes_without_a_date(drawn, tmp_path):
    again = figures.study_figures(Table(summary_of(saturating, name=r"for $\frac$ the price")), tmp_path)
    for one, other in zip(drawn, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert b"CreationDate" not in one.read_bytes()
        assert b"<dc:date>" not in one.read_bytes()


def test_text_in_svg_stays_text_and_a_dollar_a_dollar(drawn):
    for path in drawn:
        if path.suffix == ".svg":
            assert ">ADC bits</text>" in path.read_text()
            assert r"for $\frac$ the price" in path.read_text()


def test_texts_have_no_order_and_so_no_heat_map(tmp_path):
    summary = summary_of(lambda adc, weights: 0.9, x=("chip.adc", ("ideal", "sar")))
    paths = figures.study_figures(Table(summary), tmp_path)
    assert not [path for path in paths if path.name.startswith("heat_map")]


def test_other_axes_get_a_figure_for_each_combination(tmp_path):
    mismatch = "chip.cell.mismatch_sigma_rel"
    parts = [summary_of(saturating), summary_of(lambda bits, weights: math.nan)]
    rows = [
        dataclasses.replace(row, coordinates={mismatch: sigma, **row.coordinates})
        for sigma, part in zip((0.0, 0.1), parts, strict=True)
        for row in part.rows
    ]
    summary = dataclasses.replace(parts[0], axes=(mismatch, WEIGHTS, ADC), rows=tuple(rows))
    names = {path.name for path in figures.study_figures(Table(summary), tmp_path)}
    assert {"accuracy_vs_bits_1.png", "heat_map_1.png"} <= names
    assert not {name for name in names if "_2" in name}  # without a single value there is nothing to draw
    assert "cell mismatch (sigma / unit current) = 0" in (tmp_path / "accuracy_vs_bits_1.svg").read_text()


def test_a_study_without_a_plot_has_its_numbers_and_no_figures(tmp_path):
    table = Table(dataclasses.replace(summary_of(saturating), plot=None))
    assert figures.study_figures(table, tmp_path) == [tmp_path / "summary.csv"]


def test_drawing_changes_no_global_setting(ax, tmp_path):
    before = dict(mpl.rcParams)
    plots.save(plots.accuracy_vs_bits(summary_of(saturating), ax).figure, tmp_path / "figure")
    assert dict(mpl.rcParams) == before


def test_pyplot_is_not_needed():
    code = "import sys, imcsim.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Losses


def losses_of(*means):
    rows = [row({"variant": f"variant {i}"}, mean) for i, mean in enumerate(means)]
    return Summary("losses", ("variant",), tuple(rows), 0.1, PlotSpec(kind="losses", x="variant"))


def test_losses_are_points_below_the_first_variant_a_line_each_the_first_on_top(ax):
    plots.losses(losses_of(0.95, 0.94, 0.75), ax)
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xdata(), [1, 20])
    assert points.get_ydata().tolist() == [1, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["variant 1", "variant 2"]
    assert ax.get_xlabel() == 'accuracy lost against "variant 0" (points)'
    assert "+20.00" in [text.get_text() for text in ax.texts]
    assert '"variant 0": 95.0 %; float (95.0 %).' in small_print(ax)


def test_losses_without_anything_to_compare_are_refused(ax):
    with pytest.raises(ValueError, match="incomplete"):
        plots.losses(losses_of(0.95), ax)


# Logarithmic axes

TIME, WIRE, OTHER_WIRE = "read.now_s", "chip.wires.r_row_ohm", "chip.wires.r_col_ohm"
TIMES = (1.0, 60.0, 3600.0, 86400.0, 31536000.0)


def ticks(ax):
    return dict(zip(ax.get_xticks().tolist(), [label.get_text() for label in ax.get_xticklabels()], strict=True))


def over(path, values, beyond=()):
    """A summary along one path, two lines, extrapolated at the values `beyond`."""
    summary = summary_of(lambda i, j: 0.9, x=(path, values))
    rows = [dataclasses.replace(row, extrapolated=6 * (row.coordinates[path] in beyond)) for row in summary.rows]
    return dataclasses.replace(summary, rows=tuple(rows))


def test_times_stand_on_a_logarithmic_axis_in_units_to_be_read(ax):
    plots.accuracy_vs_bits(over(TIME, TIMES), ax)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "time after programming"
    assert ticks(ax) == {1: "1 s", 60: "1 min", 3600: "1 h", 86400: "1 day", 31536000: "1 year"}


@pytest.mark.parametrize(("values", "scale"), [((0.1, 1.0, 11.0), "log"), ((0.1, 1.0, 10.0), "linear")])
def test_values_that_span_more_than_two_decades_stand_on_a_logarithmic_axis(ax, values, scale):
    plots.accuracy_vs_bits(over(WIRE, values), ax)
    assert ax.get_xscale() == scale


def test_negative_values_have_no_logarithm(ax):
    plots.accuracy_vs_bits(over(WIRE, (-1.0, 1.0, 1000.0)), ax)
    assert ax.get_xscale() == "linear"


def test_few_values_have_a_tick_each_and_many_the_decades(ax):
    plots.accuracy_vs_bits(over(WIRE, (0.1, 0.3, 30.0)), ax)
    assert ticks(ax) == {0.1: "0.1", 0.3: "0.3", 30: "30"}
    many = Figure().add_subplot()
    plots.accuracy_vs_bits(over(WIRE, tuple(0.1 * 1.5**k for k in range(20))), many)
    assert ticks(many) == {0.1: "0.1", 1: "1", 10: "10", 100: "100"}


def test_lines_on_a_logarithmic_axis_are_shifted_by_factors(ax):
    plots.accuracy_vs_bits(over(WIRE, (0.1, 1.0, 100.0)), ax)
    one, other = (line.get_xdata() for line in curves(ax))
    np.testing.assert_allclose(other / one, other[0] / one[0])
    assert 1 < other[0] / one[0] < 2
    np.testing.assert_allclose(np.sqrt(one * other), (0.1, 1, 100))


def test_a_zero_stands_left_of_a_logarithmic_axis_and_no_line_leads_there(ax):
    plots.accuracy_vs_bits(over(WIRE, (0.0, 0.1, 1.0, 100.0)), ax)
    assert list(ticks(ax).values()) == ["0", "0.1", "1", "100"]
    assert min(ticks(ax)) < 0.05
    joined = [line for line in curves(ax) if line.get_linestyle() == "-"]
    alone = [line for line in curves(ax) if line.get_linestyle() == "None"]
    assert len(joined) == len(alone) == 2
    for line, point in zip(joined, alone, strict=True):
        assert np.isnan(line.get_ydata()).tolist() == [True, False, False, False]
        assert np.isnan(point.get_ydata()).tolist() == [False, True, True, True]


def test_an_axis_that_always_agrees_with_x_leaves_its_points_joined(ax):
    def with_twin(factor):
        summary = over(WIRE, (0.1, 1.0, 100.0))
        rows = [
            dataclasses.replace(row, coordinates={**row.coordinates, OTHER_WIRE: factor * row.coordinates[WIRE]})
            for row in summary.rows
        ]
        return dataclasses.replace(summary, axes=(*summary.axes, OTHER_WIRE), rows=tuple(rows))

    plots.accuracy_vs_bits(with_twin(1), ax)
    assert {line.get_linestyle() for line in curves(ax)} == {"-"}
    assert "Everywhere the same: resistance of a word-line segment (ohm) and resistance" in small_print(ax)
    other = Figure().add_subplot()
    plots.accuracy_vs_bits(with_twin(2), other)
    assert {line.get_linestyle() for line in curves(other)} == {"None"}
    assert "Along x, these change, too: resistance of a bit-line segment (ohm)." in small_print(other)


# What is extrapolated


def test_segments_to_extrapolated_points_are_dashed_and_their_markers_open(ax):
    plots.accuracy_vs_bits(over(TIME, TIMES, beyond=TIMES[3:]), ax)
    hollow = [line for line in curves(ax) if to_hex(line.get_markerfacecolor()) == "#ffffff"]
    filled = [line for line in curves(ax) if line not in hollow]
    assert [np.isnan(line.get_ydata()).tolist() for line in hollow] == [[True] * 3 + [False] * 2] * 2
    assert [np.isnan(line.get_ydata()).tolist() for line in filled] == [[False] * 3 + [True] * 2] * 2
    dashed = [line.get_xdata() for line in ax.lines if line.get_linestyle() == "--" and line.get_color() != plots.GREY]
    assert len(dashed) == 4  # of each line, from an hour to a day and on to a year
    for start, end in dashed:
        assert start == pytest.approx(3600, rel=0.5) or start == pytest.approx(86400, rel=0.5)
        assert end > 1.5 * start
    assert "extrapolated" in legend(ax)
    assert "beyond the states or times that the device model was measured for" in small_print(ax)


def test_without_extrapolation_nothing_is_said_of_it(ax):
    plots.accuracy_vs_bits(over(TIME, TIMES), ax)
    assert "extrapolated" not in legend(ax)
    assert "beyond" not in small_print(ax)


def test_a_single_line_is_not_said_to_be_shifted(ax):
    both = over(TIME, TIMES)
    plots.accuracy_vs_bits(both, ax)
    assert "shifted sideways" in small_print(ax)
    rows = tuple(row for row in both.rows if row.coordinates[WEIGHTS] == 2)
    single = Figure().add_subplot()
    plots.accuracy_vs_bits(dataclasses.replace(both, rows=rows), single)
    assert "shifted sideways" not in small_print(single)
