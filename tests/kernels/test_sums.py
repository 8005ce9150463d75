"""Columns that are summed already against their twin; what drives the rows; the same bits on any threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from read_cases import ADCS, COLUMNS
from test_product import CODINGS, INPUTS, ROWS, TILES, made, scale_of

from imcsim.kernels import jit, reference
from imcsim.kernels.sums import convert_sums, drives
from imcsim.rng import child


def summed(case):
    """The sums of a read and the variances of its cells, by the twin's definition."""
    return (
        np.einsum("mstkr,mtrpc->mstkpc", drive, cells.astype(np.float64))
        for drive, cells in ((case.x, case.states), (np.square(case.x), case.variances))
    )


def converted(case, first=0):
    sums, variances = summed(case)
    how = case.column, case.column.noisy, case.column.linear, case.adc, case.weights, case.accumulate
    return convert_sums(sums[:, first:], variances[:, first:], *how, case.keys, first)


def assert_converts(case, got=None):
    """Assert the codes of the twin, but where a value is within a thousandth LSB of a threshold."""
    low, high = case.bounds()
    got, scale = converted(case) if got is None else got, scale_of(case)
    assert (high - low < 1e-6 * scale).mean() > 0.9
    assert np.maximum(low - got, got - high).max() <= 4e-6 * scale


@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_sums_convert_as_their_twin_says(column, adc):
    assert_converts(made(column=column, adc=adc, members=2)[1])


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("pair", [1, 2])
@pytest.mark.parametrize("column", ["both noises", "everything"])
def test_pairs_are_subtracted_and_cycles_added_up_ahead_of_the_converter(column, pair, accumulate):
    _, case = made(column=column, adc="noisy", pair=pair, accumulate=accumulate)
    assert_converts(case)
    ideal = replace(case, adc=case.adc._replace(max_code=0))
    wrong = ideal.column._replace(cell_variance=1.05**2 * ideal.column.cell_variance)
    with pytest.raises(AssertionError):
        assert_converts(ideal, converted(replace(ideal, column=wrong)))


def test_samples_keep_their_noise_where_a_batch_is_cut():
    _, case = made(column="both noises", adc="noisy")
    np.testing.assert_array_equal(converted(case, first=3), converted(case)[:, 3:])


def test_the_sums_given_stay_as_they_are():
    _, case = made(column="everything", adc="noisy")
    sums, variances = summed(case)
    before = sums.copy()
    how = case.column, case.column.noisy, case.column.linear, case.adc, case.weights, case.accumulate
    convert_sums(sums, variances, *how, case.keys, 0)
    np.testing.assert_array_equal(sums, before)


@pytest.mark.parametrize("noise_lsb", [0.0, 0.2])
@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
def test_rows_are_driven_as_the_twin_says(coding, errors, noise_lsb):
    read, case = made(coding, members=3, errors=errors, noise_lsb=noise_lsb)
    top, driven = CODINGS[coding]
    how = TILES, ROWS, driven, read.levels, noise_lsb, read.keys
    x = drives(read.codes, 2, 3, *how)
    np.testing.assert_allclose(x, case.x[:, 2:5], atol=1e-5)
    assert np.abs(x).max() > top / 2 or driven.mask[0]
    assert INPUTS < TILES * ROWS
    assert not x[:, :, -1, :, INPUTS - ROWS :].any()


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    _, case = made(column="both noises", adc="noisy", members=3, samples=50)
    np.testing.assert_array_equal(*(on_threads(n, lambda: converted(case)) for n in (1, 2)))
    codes = child(0, "codes").integers(0, 8, (3, 50, INPUTS)).astype(np.float32)
    how = 0, 50, TILES, ROWS, CODINGS["two phases"][1], np.zeros((0, 0, 0), np.float32), 0.0, case.keys
    np.testing.assert_array_equal(*(on_threads(n, lambda: drives(codes, *how)) for n in (1, 2)))
    assert reference.digits(codes, CODINGS["two phases"][1]).sum() == drives(codes, *how).sum()
