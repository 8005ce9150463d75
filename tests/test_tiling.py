"""Where inputs and columns come to lie: each on exactly one place, reads of so many rows, unit columns behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.specs.array import ArraySpec
from imcsim.tiling import tile


@st.composite
def layouts(draw, **fields):
    """An array and the shape of a matrix on it."""
    rows, cols = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    parallel = draw(st.none() | st.integers(1, rows))
    tiling = draw(st.sampled_from(["maximal", "equal"]))
    array = ArraySpec(rows=rows, cols=cols, tiling=tiling, rows_parallel=parallel, **fields)
    return array, (draw(st.integers(1, 150)), draw(st.integers(1, 70)))


UNIT = {"mapping": "offset", "offset_correction": "unit_column"}


# Rows


@given(layouts())
def test_every_input_lands_on_one_row_of_one_tile(case):
    array, (rows, cols) = case
    plan = tile(array, (rows, cols))
    assert plan.used <= array.rows
    assert (plan.tiles - 1) * plan.used < rows <= plan.tiles * plan.used
    assert plan.parallel <= (array.rows_parallel or array.rows)
    assert (plan.groups - 1) * plan.parallel < plan.used <= plan.groups * plan.parallel


@given(layouts())
def test_every_input_is_read_exactly_once_by_the_row_that_holds_its_cells(case):
    array, (rows, cols) = case
    plan = tile(array, (rows, cols))
    inputs = np.arange(1.0, rows + 1)
    cells = np.zeros(plan.tiles * plan.used)
    cells[:rows] = inputs  # a cell that knows its input
    of_reads = plan.read_rows(cells.reshape(1, plan.tiles, plan.used, 1), 1)[0, :, :, 0]
    assert of_reads.shape == (plan.tiles * plan.groups, plan.parallel)
    entering = plan.read_inputs(inputs[None])[0]
    driven = np.zeros(of_reads.size)
    assert entering.size <= driven.size
    driven[: entering.size] = entering
    np.testing.assert_array_equal(driven.reshape(of_reads.shape), of_reads)
    np.testing.assert_array_equal(np.sort(driven[driven > 0]), inputs)


@pytest.mark.parametrize(("tiling", "tiles", "used"), [("maximal", 3, 64), ("equal", 3, 44)], ids=["maximal", "equal"])
def test_tiles_are_maximal_and_a_rest_or_equal(tiling, tiles, used):
    plan = tile(ArraySpec(rows=64, tiling=tiling), (130, 4))
    assert (plan.tiles, plan.used, plan.groups, plan.parallel) == (tiles, used, 1, used)


@pytest.mark.parametrize("tiling", ["maximal", "equal"])
def test_a_matrix_that_fits_takes_one_tile_of_its_own_rows(tiling):
    plan = tile(ArraySpec(rows=64, cols=32, tiling=tiling), (50, 20))
    assert (plan.tiles, plan.used, plan.arrays) == (1, 50, 1)


def test_rows_that_are_read_apart_need_not_divide_a_tile():
    plan = tile(ArraySpec(rows=10, rows_parallel=4), (20, 3))
    assert (plan.tiles, plan.used, plan.groups, plan.parallel) == (2, 10, 3, 4)
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, -1, -1], [10, 11, 12, 13], [14, 15, 16, 17], [18, 19, -1, -1]]
    entering = plan.read_inputs(np.arange(1, 21)[None])[0] - 1
    assert entering.reshape(6, 4).tolist() == expected


def test_inputs_whose_reads_follow_each_other_are_passed_on_as_they_are():
    plan = tile(ArraySpec(rows=12, rows_parallel=4), (30, 3))
    codes = np.arange(60).reshape(2, 30)
    assert plan.read_inputs(codes) is codes


# Columns


@given(layouts())
def test_every_column_lands_on_one_place_of_one_array(case):
    array, (rows, cols) = case
    plan = tile(array, (rows, cols))
    assert plan.columns == cols
    np.testing.assert_array_equal(plan.weights, np.arange(cols))
    assert plan.unit_of is None
    assert plan.place.max() < array.cols
    assert len({*zip(plan.array_of.tolist(), plan.place.tolist(), strict=True)}) == cols
    assert set(plan.array_of) == set(range(plan.arrays))
    assert plan.arrays == -(-cols // array.cols)


@given(layouts(**UNIT))
def test_the_unit_column_of_an_array_is_its_last_behind_those_of_its_weights(case):
    array, (rows, cols) = case
    plain, plan = tile(array.replace("offset_correction", "digital"), (rows, cols)), tile(array, (rows, cols))
    assert plan.columns == cols + plan.arrays
    # the weights lie where they lay without
    np.testing.assert_array_equal(plan.array_of[plan.weights], plain.array_of)
    np.testing.assert_array_equal(plan.place[plan.weights], plain.place)
    units = np.setdiff1d(np.arange(plan.columns), plan.weights)
    assert plan.array_of[units].tolist() == list(range(plan.arrays))
    assert (plan.place[units] == array.cols).all()
    np.testing.assert_array_equal(plan.unit_of, units[plain.array_of])
    assert (np.diff(plan.array_of) >= 0).all()
    for unit in units:
        assert unit + 1 == plan.columns or plan.array_of[unit + 1] == plan.array_of[unit] + 1


def test_columns_of_equal_arrays_are_shared_out_evenly():
    of = {tiling: tile(ArraySpec(cols=8, tiling=tiling), (4, 17)).array_of for tiling in ("maximal", "equal")}
    assert np.bincount(of["maximal"]).tolist() == [8, 8, 1]
    assert np.bincount(of["equal"]).tolist() == [6, 6, 5]


# What is no matrix


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 3, 4)])
def test_a_shape_of_no_matrix_is_refused(shape):
    with pytest.raises(SpecError) as caught:
        tile(ArraySpec(), shape)
    assert str(caught.value) == f"shape = {shape}: must be (rows, cols), each at least 1"


def test_more_arrays_than_have_a_number_are_refused():
    assert tile(ArraySpec(cols=1), (1, 2**16 - 1)).arrays == 2**16 - 1
    with pytest.raises(SpecError, match="takes more than 65535 arrays of 1 columns"):
        tile(ArraySpec(cols=1), (1, 2**16))
