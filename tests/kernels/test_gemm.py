"""Products of a part of a matrix where it lies: exact of integers, numpy's of others, and nothing else is touched."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.kernels.blas import single_threaded_blas
from imcsim.kernels.gemm import multiply, multiply_transposed
from imcsim.kernels.product import multiply_block
from imcsim.rng import child

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@nb.njit
def product(x, row, col, rows, weights, out):
    multiply(x, row, col, rows, weights, out)


@nb.njit
def product_of_transpose(x, row, col, rows, weights, out):
    multiply_transposed(x, row, col, rows, weights, out)


@nb.njit
def product_in_strips(x, row, col, rows, weights, out):
    multiply_block(x, row, col, rows, weights, out)


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(0, 5)] * 4),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 1000),
)
def test_a_part_of_a_matrix_is_multiplied_where_it_lies(sizes, around, dtype, seed):
    (rows, inner, columns), (above, left, below, right) = sizes, around
    rng = child(seed, "gemm")
    x = rng.integers(-50, 50, (above + rows + below, left + inner + right)).astype(dtype)
    weights = rng.integers(-50, 50, (inner, columns)).astype(dtype)
    out = np.full((rows + below, columns), np.nan, dtype)
    product(x, above, left, rows, weights, out)
    np.testing.assert_array_equal(out[:rows], x[above : above + rows, left : left + inner] @ weights)
    assert np.isnan(out[rows:]).all()


@BOTH
def test_products_of_any_numbers_are_those_of_numpy_within_rounding(dtype):
    rng = child(0, "gemm")
    x, weights = rng.normal(size=(256, 128)).astype(dtype), rng.normal(size=(128, 80)).astype(dtype)
    out = np.empty((256, 80), dtype)
    product(x, 0, 0, 256, weights, out)
    exact, size = x.astype(np.longdouble) @ weights.astype(np.longdouble), np.abs(x) @ np.abs(weights)
    # each of the 128 additions rounds by half a unit in the last place of the sum of sizes, at most
    assert (np.abs(out - exact) <= 128 * np.finfo(dtype).eps / 2 * size).all()


@BOTH
def test_a_product_of_fixed_shape_has_the_same_bits_wherever_its_rows_lie(dtype):
    rng = child(1, "gemm")
    part, weights = rng.normal(size=(64, 33)).astype(dtype), rng.normal(size=(33, 48)).astype(dtype)
    alone, inside = np.empty((64, 48), dtype), np.empty((64, 48), dtype)
    whole = rng.normal(size=(200, 90)).astype(dtype)
    whole[7:71, 5:38] = part
    product(part, 0, 0, 64, weights, alone)
    product(whole, 7, 5, 64, weights, inside)
    np.testing.assert_array_equal(inside, alone)


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(0, 5)] * 4), st.integers(0, 1000))
def test_a_part_of_a_matrix_is_multiplied_as_its_transpose(sizes, around, seed):
    (rows, inner, columns), (above, left, below, right) = sizes, around
    rng = child(seed, "gemm")
    x = rng.integers(-50, 50, (above + inner + below, left + rows + right)).astype(np.float32)
    weights = rng.integers(-50, 50, (inner, columns)).astype(np.float32)
    out = np.full((rows + below, columns), np.nan, np.float32)
    product_of_transpose(x, above, left, rows, weights, out)
    np.testing.assert_array_equal(out[:rows], x[above : above + inner, left : left + rows].T @ weights)
    assert np.isnan(out[rows:]).all()


@BOTH
@pytest.mark.parametrize(
    ("rows", "inner", "columns"), [(256, 128, 256), (64, 112, 256), (16, 256, 256), (256, 300, 64)]
)
def test_strips_have_the_bits_of_the_whole_product(rows, inner, columns, dtype):
    rng = child(2, "gemm", inner)
    x, weights = rng.normal(size=(rows, inner)).astype(dtype), rng.normal(size=(inner, columns)).astype(dtype)
    whole, strips = np.empty((rows, columns), dtype), np.empty((rows, columns), dtype)
    with single_threaded_blas():
        product(x, 0, 0, rows, weights, whole)
        product_in_strips(x, 0, 0, rows, weights, strips)
    np.testing.assert_array_equal(strips, whole)
