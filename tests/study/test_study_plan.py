"""A plan knows its axes, its points and their names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.study import plan as plan_module
from imcsim.study.plan import Axis, Cell, PlotSpec, Replicates, point_id


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2, 4), np.array([2, 4], dtype=np.int64)),
        ((1, 0.5), np.array([1.0, 0.5])),
        (("full", "mse"), np.array(["full", "mse"])),
        ((True, False), np.array(["true", "false"])),
        (([32, 16], [8]), np.array(["[32, 16]", "[8]"])),
        (("ideal", {"bits": 6, "kind": "uniform"}), np.array(["ideal", "uniform bits=6"])),
        (({"hidden": [4], "gain": {"db": 0.5}},), np.array(["gain=(db=0.5) hidden=[4]"])),
    ],
)
def test_coordinates_are_integers_numbers_or_texts(values, expected):
    np.testing.assert_array_equal(Axis("x", values).coordinates(), expected, strict=True)


@pytest.mark.parametrize("values", [("6", 6), ("uniform", {"kind": "uniform"}), ("true", True), ("[1]", [1])])
def test_labels_differ_wherever_values_do(values):
    first, second = Axis("x", values).coordinates()
    assert first != second


@pytest.mark.parametrize("values", [(), (4, 4), (1, 1.0), ("a", "a"), ([1], [1])])
def test_an_axis_needs_different_values(values):
    with pytest.raises(SpecError, match=r"grid\.x"):
        Axis("x", values)


def test_points_are_in_c_order_over_axes_trainings_dies_and_reads(make_plan):
    plan = make_plan()
    places = [(*plan.cells[point.cell].index, point.training, point.die, point.read) for point in plan.points]
    assert places == list(np.ndindex(2, 3, 2, 3, 2))


def test_the_id_of_a_point_is_that_of_its_configuration_and_replicate(make_plan):
    plan = make_plan()
    for point in plan.points:
        assert point.id == point_id(plan.cells[point.cell].config, point.training, point.die, point.read)
    assert len({point.id for point in plan.points}) == len(plan.points)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.sampled_from([{"bits": 1}, {"bits": 2}]))
def test_ids_are_the_same_only_for_the_same_point(training, die, read, config):
    same = (config, training, die, read) == ({"bits": 1}, 1, 2, 3)
    assert (point_id(config, training, die, read) == point_id({"bits": 1}, 1, 2, 3)) is same


def test_an_id_has_32_digits_and_changes_with_the_model_version(monkeypatch):
    old = point_id({}, 0, 0, 0)
    monkeypatch.setattr(plan_module, "MODEL_VERSION", plan_module.MODEL_VERSION + 1)
    assert len(old) == 32
    assert point_id({}, 0, 0, 0) != old


def test_cells_of_the_same_configuration_share_their_results(make_plan):
    plan = make_plan(cells=tuple(Cell(index, {"at": index[1]}) for index in np.ndindex(2, 3)))
    assert len({point.id for point in plan.points}) == len(plan.points) / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plot": PlotSpec(kind="accuracy_vs_bits", x="chip.adc.bit")}, 'did you mean "chip.adc.bits"'),
        ({"plot": PlotSpec(kind="accuracy_vs_bits", x="chip.adc", series="chip.adc")}, "must differ from x"),
        ({"axes": (Axis("training", (1, 2)),)}, "cannot be swept"),
        ({"axes": (Axis("chip.adc.bits", (1, 2)), Axis("chip.adc.bits", (3, 4)))}, "cannot be swept"),
    ],
)
def test_a_plan_that_cannot_be_is_not_born(make_plan, changes, message):
    with pytest.raises(SpecError, match=message):
        make_plan(**changes)


def test_cells_out_of_order_are_refused(make_plan):
    with pytest.raises(ValueError, match="C order"):
        make_plan(cells=make_plan().cells[::-1])


@pytest.mark.parametrize("wrong", [0, 100_001, 1.5, True])
def test_replicates_are_counted_from_one(wrong):
    with pytest.raises(SpecError, match="from 1 to 100000"):
        Replicates(dies=wrong)
