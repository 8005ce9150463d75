"""The front of a study: cells that no other beats in both of two numbers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from imcsim.errors import SpecError
from imcsim.pareto_figure import pareto_figure
from imcsim.study.axes import Axis, Replicates
from imcsim.study.pareto import pareto
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary

BITS, ROWS, NAME = "chip.adc.bits", "chip.array.rows", "variant"


def study(*cells, plot=None):
    """Cells of (bits, rows, variant, accuracy, writes)."""
    rows = []
    for bits, many, name, accuracy, writes in cells:
        mean = mean_interval(np.array([[accuracy - 0.01, accuracy + 0.01]]))
        values = np.full((1, 2, 1), accuracy)
        at = {BITS: bits, ROWS: many, NAME: name}
        rows.append(Row(at, mean, mean, values, ok=2, failed=0, missing=0, numbers={"cell_writes": writes}))
    return Summary("study", (BITS, ROWS, NAME), tuple(rows), 0.1, plot)


CELLS = (
    (4, 64, "a", 0.80, 10.0),
    (4, 128, "a", 0.85, 30.0),
    (6, 64, "a", 0.84, 20.0),  # beaten: 4 bits give 0.85
    (6, 128, "b", 0.92, 40.0),
    (8, 128, "b", 0.92, 35.0),  # beaten: 6 bits give as much
    (8, 64, "b", math.nan, 5.0),
)


def front(found):
    return [(one.x.value, one.y.value) for one in found.front]


def test_the_front_are_the_cells_that_no_other_beats_in_both():
    found = pareto(study(*CELLS), BITS, "accuracy")
    assert front(found) == [(4, pytest.approx(0.85)), (6, pytest.approx(0.92))]
    assert found.left_out == 1
    assert found.choices[0].y.low < 0.80 < found.choices[0].y.high
    assert math.isnan(found.choices[0].x.low)


def test_better_says_which_end_is():
    assert front(pareto(study(*CELLS), BITS, "accuracy", ("high", "high"))) == [(8, pytest.approx(0.92))]
    assert front(pareto(study(*CELLS), "accuracy", "cell_writes", ("high", "low"))) == [
        (pytest.approx(0.80), 10.0),
        (pytest.approx(0.84), 20.0),
        (pytest.approx(0.85), 30.0),
        (pytest.approx(0.92), 35.0),
    ]


def test_cells_that_are_equal_in_both_are_both_of_the_front():
    twins = study((4, 64, "a", 0.8, 1.0), (4, 128, "a", 0.8, 1.0))
    assert [one.best for one in pareto(twins, BITS, "accuracy").choices] == [True, True]


@pytest.mark.parametrize(("x", "y"), [("chip.adc.bit", "accuracy"), (BITS, "acuracy"), (NAME, "accuracy")])
def test_a_column_that_is_none_is_told_with_the_nearest(x, y):
    with pytest.raises(SpecError, match="must be a swept path of numbers") as told:
        pareto(study(*CELLS), x, y)
    if x != NAME:
        assert "did you mean" in str(told.value)


# Its figure


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


def test_the_figure_has_a_dot_a_cell_steps_along_the_front_and_its_cells_by_name(ax):
    pareto_figure(study(*CELLS, plot=PlotSpec(kind="pareto", x=BITS, series=NAME)), ax)
    dots = [line for line in ax.lines if len(line.get_xdata()) == 1 and line.get_marker() in "os"]
    assert len(dots) == 5
    (steps,) = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert steps.get_ydata() == pytest.approx([85, 92])
    told = [text.get_text() for text in ax.texts]
    assert told[:2] == ["1", "2"]
    small_print = told[-1].replace("\n", " ")
    assert "smaller is better along x, larger along y" in small_print
    assert "1: rows of an array 128, variant a; 2: rows of an array 128, variant b." in small_print
    assert ax.get_ylabel() == "accuracy (%)"


def test_the_figure_takes_any_number_of_the_study(ax):
    plot = PlotSpec(kind="pareto", x="cell_writes", y="accuracy_float", better=("low", "high"))
    pareto_figure(study(*CELLS[:5], plot=plot), ax)
    assert ax.get_xlabel() == "cell_writes"
    assert ax.get_ylabel() == "accuracy in float (%)"


# In a study


def test_a_plan_checks_what_pareto_sets_against_each_other(make_plan):
    def planned(**told):
        return make_plan(plot=PlotSpec(kind="pareto", **told), replicates=Replicates(trainings=1))

    planned(x="chip.adc.bits")
    planned(x="accuracy_float", y="chip.adc.bits", better=("high", "low"), series="chip.adc")
    with pytest.raises(SpecError, match=r'plot\.x = "chip\.adc": must be a swept path of numbers'):
        planned(x="chip.adc")
    with pytest.raises(SpecError, match=r'did you mean "chip\.adc\.bits"'):
        planned(x="accuracy", y="chip.adc.bit")
    with pytest.raises(SpecError, match="must differ from x"):
        planned(x="accuracy")
    # not swept in every cell: those that lack it are left out
    axes = (Axis("chip.adc.bits", (4, 6)), Axis("chip.array.rows", (64, 128)))
    plan = make_plan(axes)
    cells = tuple(
        dataclasses.replace(cell, coordinates={"chip.adc.bits": cell.coordinates["chip.adc.bits"]})
        if cell.coordinates["chip.array.rows"] == 64
        else cell
        for cell in plan.cells
    )
    make_plan(axes, cells=cells, plot=PlotSpec(kind="pareto", x="chip.array.rows"))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "dies", "y": "accuracy"}, 'has no meaning where no kind is "pareto"'),
        ({"kind": "pareto", "better": ("low",)}, "must say of x and of y"),
        ({"kind": "pareto", "better": ("low", "best")}, 'one of "low", "high"'),
        ({"kind": "losses", "also": ("dies",)}, "which has figures of its own"),
        ({"kind": "dies", "also": ("losses",)}, "each one of"),
    ],
)
def test_what_a_plot_cannot_ask_for_is_told(told, said):
    with pytest.raises(SpecError) as error:
        PlotSpec(x=BITS, **told)
    assert said in str(error.value)
