"""A plan knows its axes, its points and their names."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.study import plan as plan_module
from imcsim.study.axes import Axis, Cell, Replicates, column
from imcsim.study.canonical import digest
from imcsim.study.questions import PlotSpec
from imcsim.version import MODEL_VERSION


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


def test_a_column_has_no_number_or_no_text_where_a_path_does_not_apply():
    np.testing.assert_array_equal(column([4, None, 6]), np.array([4.0, np.nan, 6.0]), strict=True)
    np.testing.assert_array_equal(column(["sgd", None]), np.array(["sgd", ""]), strict=True)


def test_points_are_in_c_order_over_cells_trainings_dies_and_reads(make_plan):
    plan = make_plan()
    places = [tuple(point[1:]) for point in plan.points]
    assert places == list(np.ndindex(6, 2, 3, 2))


def one_cell(make_plan, config, **replicates):
    """The points of a study of one cell."""
    cells = (Cell.of({"chip.adc.bits": 4}, config),)
    return make_plan(axes=AXIS, cells=cells, replicates=Replicates(**replicates)).points


AXIS = (Axis("chip.adc.bits", (4,)),)


def test_the_id_of_a_point_is_that_of_its_configuration_replicate_and_model_version(make_plan):
    for point in one_cell(make_plan, {"bits": 1}, trainings=2, dies=2):
        determines = {"config": digest({"bits": 1}), "training": point.training, "die": point.die, "read": point.read}
        assert point.id == digest({**determines, "model_version": MODEL_VERSION})[:32]


def test_ids_are_the_same_only_for_the_same_point(make_plan):
    few = one_cell(make_plan, {"bits": 1}, trainings=2, dies=3, reads=2)
    other = one_cell(make_plan, {"bits": 2}, trainings=2, dies=3, reads=2)
    assert len({point.id for point in (*few, *other)}) == 24
    many = {point[2:]: point.id for point in one_cell(make_plan, {"bits": 1}, trainings=3, dies=3, reads=3)}
    assert all(many[point[2:]] == point.id for point in few)


def test_an_id_changes_with_the_model_version(make_plan, monkeypatch):
    (old,) = one_cell(make_plan, {})
    monkeypatch.setattr(plan_module, "MODEL_VERSION", MODEL_VERSION + 1)
    (new,) = one_cell(make_plan, {})
    assert len(new.id) == 32
    assert new.id != old.id


def test_cells_of_the_same_configuration_share_their_results(make_plan):
    cells = tuple(Cell.of(cell.coordinates, {"at": number % 3}) for number, cell in enumerate(make_plan().cells))
    plan = make_plan(cells=cells)
    assert len({point.id for point in plan.points}) == len(plan.points) / 2


def test_the_text_of_a_cell_is_its_configuration():
    config = {"chip": {"adc": {"bits": 4}}, "seed": 0}
    assert Cell.of({}, config).config == config
    assert Cell.of({}, dict(reversed(config.items()))) == Cell.of({}, config)


def test_a_plan_knows_whether_its_cells_are_the_product_of_its_axes(make_plan):
    cells = make_plan().cells
    assert make_plan().is_product
    assert not make_plan(cells=cells[:-1]).is_product
    assert not make_plan(cells=cells[::-1]).is_product
    lacking = Cell({"chip.adc.bits": 6}, cells[-1].text)
    assert not make_plan(cells=(*cells[:-1], lacking), plot=None).is_product


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


@pytest.mark.parametrize("key", ["x", "series"])
def test_a_plot_along_a_path_that_some_cells_lack_is_refused(make_plan, key):
    plan = make_plan()
    lacking = Cell({"chip.adc": "sar"}, plan.cells[-1].text)
    paths = {"x": "chip.adc", "series": "chip.adc", key: "chip.adc.bits"}
    plot = PlotSpec(kind="accuracy_vs_bits", **paths)
    make_plan(plot=plot)
    with pytest.raises(SpecError, match=f'{key} = "chip.adc.bits": must be swept in every cell'):
        make_plan(plot=plot, cells=(*plan.cells[:-1], lacking))


@pytest.mark.parametrize("wrong", [0, 100_001, 1.5, True])
def test_replicates_are_counted_from_one(wrong):
    with pytest.raises(SpecError, match="from 1 to 100000"):
        Replicates(dies=wrong)
