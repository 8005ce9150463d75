"""Inputs become codes, and codes the digits of the cycles, as their twins have it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.kernels import jit, reference
from imcsim.kernels.inputs import (
    AS_IS,
    BINARY,
    CODE,
    EXACT,
    NEGATIVE,
    POSITIVE,
    SIGNED,
    Cycles,
    drive,
    part_of,
    quantise_inputs,
)
from imcsim.rng import child

PARTS = {"code": CODE, "positive": POSITIVE, "negative": NEGATIVE, "signed": SIGNED, "binary": BINARY}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "top", "binary"), [(0, 255, False), (-127, 127, False), (-1, 1, True), (0, 1, False)])
def test_inputs_get_the_codes_of_the_twin(low, top, binary, dtype):
    rng, step = child(0, "inputs", low, top), 0.3
    x = rng.uniform(1.2 * min(low, -1), 1.2 * top, (50, 40)) * step
    x = np.where(np.abs(x / step % 1 - 0.5) < 1e-3, 0.0, x).astype(dtype)  # no ties, which float32 may break otherwise
    codes, wrong = quantise_inputs(x, step, low, top, binary)
    expected, told = reference.quantise_inputs(x, step, low, top, binary)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(wrong, told)
    assert wrong.any() == (not binary)


def test_inputs_that_are_not_finite_are_counted_sample_by_sample():
    x = np.array([[1.0, np.nan, np.inf], [0.0, 2.0, 3.0], [-np.inf, 1.0, 1.0]])
    for dtype in (np.float32, np.float64):
        _, wrong = quantise_inputs(x.astype(dtype), 1.0, 0, 7, False)
        assert wrong.tolist() == [2, 0, 1]
        assert quantise_inputs(x.astype(dtype), 1.0, -1, 1, True)[1].tolist() == [2, 0, 1]


def test_a_value_halfway_goes_to_the_even_code():
    codes, wrong = quantise_inputs(np.array([[0.5, 1.5, 2.5, 7.5, 7.4]]), 1.0, 0, 7, False)
    assert codes.tolist() == [[0, 2, 2, 7, 7]]
    assert wrong.tolist() == [1]


@pytest.mark.parametrize("code", [0, 2**24 - 1, -(2**24) + 1])
def test_the_largest_codes_are_exact(code):
    codes, _ = quantise_inputs(np.array([[float(code)]]), 1.0, -EXACT, EXACT, False)
    assert codes[0, 0] == code


def test_codes_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    x = child(0, "threads").normal(size=(301, 17))
    one, two = (on_threads(n, lambda: quantise_inputs(x, 0.1, -7, 7, False)) for n in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@given(st.sampled_from(list(PARTS.values())), st.integers(-32768, 65535), st.integers(0, 15), st.integers(1, 16))
def test_a_digit_is_what_its_twin_takes_of_a_code(part, code, shift, width):
    if part == BINARY:
        code = 1 if code > 0 else -1
    mask = 2**width - 1
    cycles = Cycles(np.ones(1), np.array([shift]), np.array([mask]), np.array([part]))
    size = part_of(code, part) >> shift & mask
    twin = reference.digits(np.array([code]), cycles)[0, 0]
    assert (-size if part == SIGNED and code < 0 else size) == twin


@given(
    hnp.arrays(np.float32, st.integers(1, 20), elements=st.integers(-500, 500).map(float)),
    st.integers(0, 19),
    st.integers(0, 5),
    st.sampled_from(list(PARTS.values())),
)
def test_rows_are_driven_by_the_digits_of_their_inputs_and_others_by_zero(codes, first, beyond, part):
    first = min(first, codes.size)
    if part == BINARY:
        codes = np.where(codes < 0, np.float32(-1), np.float32(1))
    cycles = Cycles(np.ones(2), np.array([0, 2]), np.array([3, 7]), np.full(2, part))
    used = codes.size - first
    for cycle in range(2):
        x = np.full(used + beyond, np.nan, np.float32)
        drive(codes, first, used, cycles, cycle, x)
        np.testing.assert_array_equal(x[:used], reference.digits(codes[first:], cycles)[:, cycle])
        assert (x[used:] == 0).all()


def test_codes_that_enter_as_they_are_need_not_be_whole():
    cycles = Cycles(np.ones(1), np.zeros(1, int), np.zeros(1, int), np.array([AS_IS]))
    codes, x = np.array([0.25, -1.5, 0.0]), np.empty(4)
    drive(codes, 0, 3, cycles, 0, x)
    np.testing.assert_array_equal(x, [0.25, -1.5, 0.0, 0.0])
    np.testing.assert_array_equal(reference.digits(codes, cycles)[:, 0], codes)
