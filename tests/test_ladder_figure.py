"""The figures of studies with ladders, and tables as figures: what is drawn is what the tables say."""

import dataclasses
import math

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.ladder_figure import (
    costs_figure,
    degradation_figure,
    has_cosines,
    has_costs,
    prediction_figure,
    thresholds_figure,
)
from imcsim.study.prediction import prediction
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary
from imcsim.study.thresholds import thresholds
from imcsim.table_figure import table_figure

AXES = ("variant", "level", "ladder", "chip.adc.bits", "chip.cell.read_noise_rel", "tune.at")
SERIES = ("epoch_accuracy_test", "epoch_forward_passes", "epoch_cell_writes")


def row(mean, gap="", **coordinates):
    values = np.full((2, 1, 1), mean) + (0 if gap else np.array([0.0, 0.01]).reshape(2, 1, 1))
    interval = mean_interval(values[:, :, 0])
    series = {name: np.tile(np.array([1.0, 2.0, 4.0]) / (5 if "acc" in name else 0.01), (2, 1, 1)) for name in SERIES}
    told = {"gap": gap, "series": series, "numbers": {"gradient_cosine": math.nan if gap else mean}}
    return Row(coordinates, interval, interval, values, 0 if gap else 2, 0, 0, **told)


@pytest.fixture
def summary():
    rows = []
    for variant, falls in {"one": (0.0, 0.01, 0.3), "other": (0.05, 0.1, 0.5)}.items():
        rows.append(row(0.9, variant=variant, level=0))
        for at in ("base", "cell"):
            for level, fall in enumerate(falls, start=1):
                place = {"variant": variant, "level": level, "tune.at": at}
                rows.append(row(0.9 - fall, **place, ladder="ADC", **{"chip.adc.bits": 8 - 2 * level}))
                gap = "no noise" if variant == "other" else ""
                mean = math.nan if gap else 0.9 - fall / 2
                rows.append(row(mean, gap, **place, ladder="noise", **{"chip.cell.read_noise_rel": 0.1 * level}))
    plot = PlotSpec(kind="ladders", x="level", series="variant")
    return Summary("study", AXES, tuple(rows), 0.1, plot, along=dict.fromkeys(SERIES, (1, 2, 3)), own_dies=True)


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_every_cell_of_the_thresholds_is_told_and_gaps_are_hatched(summary):
    found = thresholds(summary)
    figure = thresholds_figure(found, "cell")
    assert sorted(texts(figure)) == sorted(one.text for one in found.found if one.at == "cell")
    assert sum(patch.get_hatch() is not None for patch in figure.axes[0].patches) == 1
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["one   90.5", "other   90.5"]


def test_what_is_lost_earlier_is_darker(summary):
    shades = [
        sum(patch.get_facecolor()[:3]) for patch in thresholds_figure(thresholds(summary), "cell").axes[0].patches
    ]
    one_on_adc, _, other_on_adc, _ = shades
    assert other_on_adc < one_on_adc


def test_a_panel_a_ladder_with_a_line_a_variant_from_the_ideal_chip_on(summary):
    figure = degradation_figure(summary, thresholds(summary), "base")
    panels = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in panels] == ["ADC", "noise"]
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == ["ideal", "6", "4", "2"]
    one = panels[0].lines[0]
    assert one.get_ydata() == pytest.approx([90.5, 90.5, 89.5, 60.5])


def test_costs_are_drawn_where_there_are_curves(summary):
    assert has_costs(summary)
    passes, _ = costs_figure(summary).axes
    assert passes.lines[0].get_xdata() == pytest.approx([100, 200, 400])
    assert passes.lines[0].get_ydata() == pytest.approx([20, 40, 80])
    assert not has_costs(dataclasses.replace(summary, along={}))


def test_cosines_are_drawn_against_what_is_lost(summary):
    assert has_cosines(summary)
    found = prediction(summary)
    figure = prediction_figure(summary, found)
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() != "None")
    assert drawn == len(found.dots) == 18
    assert found.rho_of_all == pytest.approx(-1.0)


def test_a_table_has_its_gaps_hatched_and_their_reasons_below():
    rows = [row(0.9, device="pcm", rule="a"), row(math.nan, "no pulses", device="pcm", rule="b")]
    plot = PlotSpec(kind="table", x="device", series="rule")
    figure = table_figure(Summary("study", ("device", "rule"), tuple(rows), 0.1, plot))
    assert texts(figure)[0].startswith("90.5")
    assert texts(figure)[1] == "gap (1)"
    assert "(1) no pulses" in figure.get_supxlabel().replace("\n", " ")


@pytest.mark.parametrize(
    ("plot", "told"),
    [
        ({"kind": "ladders", "x": "level"}, 'set x = "level" and series = "variant"'),
        ({"kind": "table", "x": "chip.device"}, "its values are the rows"),
        ({"kind": "losses", "x": "variant", "series": "level"}, "has no meaning"),
    ],
)
def test_plots_that_cannot_be_are_refused(plot, told):
    with pytest.raises(SpecError, match=told):
        PlotSpec(**plot)
