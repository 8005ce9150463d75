"""Reads in one pass: of codes, conversions and products what the separate kernels, and their twins, make."""

from __future__ import annotations

import numpy as np
import pytest
from read_cases import COLUMNS, Case, arrays, assert_reads, converters
from test_product import CODINGS, EXACT_LEVELS, INPUTS, ROWS, TILES, chunked, scale_of

from imcsim.kernels import jit, reference
from imcsim.kernels.direct import read_direct
from imcsim.kernels.inputs import quantise_inputs
from imcsim.kernels.product import BLOCK, round_products
from imcsim.kernels.recombine import shift_and_add
from imcsim.rng import child

LOW, TOP = -7, 7


def operands(column="both noises", *, members=3, shared=False, samples=5, chunks=(2, 64), dtype=np.float32, noise=0.7):
    """Inputs, steps, cells, column, converters, what a code is worth, a constant beside, and keys."""
    rng, columns = child(0, "direct"), chunks[0] * chunks[1]
    step = rng.uniform(0.1, 0.2, members)
    x = rng.uniform(-0.7, 0.7, (1 if shared else members, 600, INPUTS))[:, :samples].astype(dtype)
    shape = members, TILES, ROWS, 1, columns
    states, variances = (np.abs(1 + 0.2 * rng.normal(size=shape)).astype(np.float32) for _ in range(2))
    adc = converters(members * TILES, columns, noise_lsb=noise, lo=-60.0, hi=60.0)
    keys = child(1, "keys").integers(0, 2**63, 3).astype(np.uint64)[:members]
    lsb, constant = rng.uniform(0.5, 2, members), rng.normal(size=members)
    column = arrays(COLUMNS[column], columns)
    return x, step, (states, variances), chunks, column, adc, lsb, constant, keys


def direct(x, step, cells, chunks, column, adc, lsb, constant, keys, *, cols=None, binary=False):
    laid = [chunked(values, chunks) for values in cells]
    noisy = column.noisy or adc.noise_lsb > 0
    cols = chunks[0] * chunks[1] if cols is None else cols
    low, top = (-1, 1) if binary else (LOW, TOP)
    return read_direct(x, step, low, top, binary, ROWS, lsb, constant, *laid, column, noisy, adc, cols, keys)


def apart(x, step, cells, chunks, column, adc, lsb, constant, keys, *, binary=False):
    """The same by the kernels of each step."""
    low, top = (-1, 1) if binary else (LOW, TOP)
    codes = np.stack([quantise_inputs(x[m % len(x)], step[m], low, top, binary)[0] for m in range(len(step))])
    laid, noisy = [chunked(values, chunks) for values in cells], column.noisy or adc.noise_lsb > 0
    driven = CODINGS["whole"][1]
    sums = round_products(codes, driven, ROWS, EXACT_LEVELS, 0.0, *laid, column, noisy, adc, keys)
    out = np.empty_like(sums)
    shift_and_add(sums[:, :, None, None], np.ones((1, 1)), lsb[:, None], constant[:, None], out)
    return out


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("column", ["linear", "pedestal", "cell noise", "column noise", "both noises"])
def test_a_read_in_one_pass_gives_the_codes_of_the_twin(column, noise):
    x, step, cells, _, column, adc, _, _, keys = args = operands(column, noise=noise)
    codes = np.stack([reference.quantise_inputs(one, s, LOW, TOP, False)[0] for one, s in zip(x, step, strict=True)])
    driven = CODINGS["whole"][1]
    case = Case(
        reference.drives(codes, TILES, ROWS, driven, EXACT_LEVELS, 0.0, keys), *cells, column, adc, driven.weights,
        False, keys,
    )  # fmt: skip
    of_codes = *args[:6], np.ones(3), np.zeros(3), keys
    assert_reads(direct(*of_codes)[0], case, scale_of(case))


@pytest.mark.parametrize("samples", [1, 5, BLOCK, BLOCK + 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("column", ["pedestal", "both noises"])
def test_one_pass_has_the_bits_of_the_steps_apart(column, shared, dtype, samples):
    args = operands(column, shared=shared, dtype=dtype, samples=samples)
    product, wrong = direct(*args)
    np.testing.assert_array_equal(product, apart(*args))
    assert not wrong.any()


def test_signs_enter_as_minus_one_and_one():
    args = operands(samples=9)
    np.testing.assert_array_equal(direct(*args, binary=True)[0], apart(*args, binary=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 100.0])
def test_inputs_without_a_code_are_counted_in_their_block(bad):
    args = operands(members=1, samples=BLOCK + 3, chunks=(1, 64))
    args[0][0, BLOCK + 1, INPUTS - 1] = bad
    assert direct(*args)[1].tolist() == [0, 1]


def test_columns_that_fill_up_the_last_chunk_are_not_given():
    args = operands()
    np.testing.assert_array_equal(direct(*args, cols=83)[0], direct(*args)[0][..., :83])


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    args = operands(samples=BLOCK + 9)
    one, two = (on_threads(n, lambda: direct(*args)[0]) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
