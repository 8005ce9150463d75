"""Sums that are converted again and again, against their twin: passes, changes of a row, noise; on any threads."""

from __future__ import annotations

import numpy as np
import pytest
from read_cases import ADCS, COLUMNS
from test_product import ROWS, made, scale_of
from test_sums import summed

from imcsim.kernels import jit, reference
from imcsim.kernels.held import Changes, Sums, convert_held, round_held
from imcsim.rng import child

PASSES, KEY = 3, np.uint64(7**20)
READ, ROW = np.array([1, -1, 0]), np.array([4, 0, ROWS - 1])  # the cells of the second pass are unchanged


def held_case(dtype=np.float64, sets=1, *, rounded=False, **options):
    """What convert_held gives, or round_held, and the case of its twin, whose samples are those of all passes."""
    _, case = made(**options)
    rng = child(0, "changes")
    shape = PASSES, *case.states.shape[3:]
    states, variances = rng.normal(size=shape), rng.random(shape)
    of_sets = (np.concatenate([np.roll(v, k, axis=1) for k in range(sets)]) for v in (case.x, *summed(case)))
    x, sums, of_cells = (np.ascontiguousarray(v) for v in of_sets)
    held, changes = Sums(sums, of_cells, x), Changes(READ, ROW, states, variances)
    how = case.column, case.column.noisy, case.column.linear, case.adc, case.weights, case.accumulate
    if rounded:
        got = round_held(held, changes, np.empty(0, dtype), case.column, case.adc, case.weights)
    else:
        got = convert_held(held, changes, np.empty(0, dtype), *how, KEY)
    explicit = reference.changed_sums(sums, x, changes, states)
    noises = reference.changed_sums(of_cells, np.square(x), changes, variances)
    samples = PASSES * sums.shape[1]
    return got, case, (v.reshape(1, samples, *v.shape[2:]) for v in (explicit, noises))


def of_twin(case, sums):
    explicit, noises = sums
    how = case.column, case.adc, case.weights, case.accumulate, np.array([KEY])
    codes = reference.codes_of(explicit, noises, *how)
    weights = np.ones(1) if case.accumulate else case.weights
    return np.einsum("k,mstkc->msc", weights, codes)[0]


@pytest.mark.parametrize("sets", [1, PASSES])
@pytest.mark.parametrize("pair", [1, 2])
@pytest.mark.parametrize("column", COLUMNS)
def test_values_of_each_pass_are_those_of_its_sums(column, pair, sets):
    got, case, sums = held_case(column=column, adc="ideal", pair=pair, sets=sets)
    want = of_twin(case, sums)
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=4e-6 * scale_of(case))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("adc", ADCS)
def test_codes_of_each_pass_are_those_of_its_sums_but_near_a_threshold(adc, accumulate, dtype):
    got, case, sums = held_case(dtype, column="everything", adc=adc, accumulate=accumulate)
    want = of_twin(case, sums)
    apart = np.abs(got.reshape(want.shape) - want)
    assert (apart < 1e-5 * scale_of(case)).mean() > 0.99
    assert (
        apart.max() < 3 * np.abs(case.weights).max() or accumulate
    )  # a code, or one of its trimmed ones, in each read


def test_a_change_that_is_left_out_is_found():
    got, case, sums = held_case(column="linear", adc="ideal")
    noises = list(sums)[1]
    unchanged = np.concatenate([next(iter(summed(case)))] * PASSES, axis=1)
    want = of_twin(case, (unchanged, noises))
    apart = np.abs(got.reshape(want.shape) - want).reshape(PASSES, -1).max(axis=1)
    assert (apart > 1e-3).tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column", ["linear", "pedestal"])
def test_where_only_what_changes_is_rounded_again_the_codes_are_those_of_all(column, dtype):
    got, case, sums = held_case(dtype, column=column, rounded=True)
    np.testing.assert_array_equal(got, held_case(dtype, column=column)[0])
    apart = np.abs(got.reshape(1, -1, got.shape[-1])[0] - of_twin(case, sums))
    assert (apart == 0).mean() > 0.99
    assert apart.max() <= np.abs(case.weights).max()
    unchanged = np.repeat(got[1:2], PASSES, axis=0)
    assert (unchanged != got).any(axis=(1, 2)).tolist() == [True, False, True]


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    options = {"column": "both noises", "adc": "noisy", "samples": 50}
    np.testing.assert_array_equal(*(on_threads(n, lambda: held_case(**options)[0]) for n in (1, 2)))
    quiet = {"rounded": True, "samples": 50}
    np.testing.assert_array_equal(*(on_threads(n, lambda: held_case(**quiet)[0]) for n in (1, 2)))
