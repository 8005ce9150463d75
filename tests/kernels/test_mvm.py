"""Reads of an array against their twins, in every form of column and converter; the same bits on any threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.kernels import reference
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.mvm import CHUNK, GROUP, SLAB, bit_serial_read, one_shot_read, shift_and_add, table_rows
from imcsim.rng import child

KEY = np.uint64(0xFEDCBA9876543210)
TILES, ROWS, COLUMNS_N, SAMPLES = 2, 2 * SLAB, 2 * CHUNK, 35
USED = ROWS - 3  # of the rows of a tile
CYCLES = 3
CYCLE_WEIGHTS = np.array([1.0, 2.0, -4.0])
GRID = 2.0**-8
NEAR = 1e-3  # LSB from a threshold: there float32 and float64 may round to different codes

LINEAR = Column(pedestal=0.0, droop=0.0, swing=math.inf, cell_variance=0.0, variance=0.0)
COLUMNS = {
    "linear": LINEAR,
    "swing": LINEAR._replace(swing=43.719),
    "droop and pedestal": LINEAR._replace(pedestal=0.3, droop=0.006, swing=90.0),
    "cell noise": LINEAR._replace(cell_variance=0.01),
    "column noise": LINEAR._replace(variance=0.2),
    "everything": Column(pedestal=0.3, droop=0.006, swing=90.0, cell_variance=0.01, variance=0.2),
}


def converters(*, max_code=0, errors=0.0, noise_lsb=0.0):
    gain, offset = child(0, "adc errors").normal(size=(2, TILES, COLUMNS_N)) * errors
    lo, lsb = np.linspace(-2, 1, COLUMNS_N), np.linspace(0.9, 2.6, COLUMNS_N)
    scale, shift = (1 + gain / 10) / lsb, offset - lo / lsb
    if max_code == 0:
        scale, shift = np.ones_like(scale), np.zeros_like(shift)
    return Converters(max_code, scale.astype(np.float32), shift.astype(np.float32), noise_lsb)


ADCS = {
    "ideal": converters(),
    "five bits": converters(max_code=31),
    "everything": converters(max_code=31, errors=0.5, noise_lsb=0.7),
}


def cells(rng, levels):
    """Programmed cells: integers in units of the grid, a third of them off."""
    currents = np.maximum(np.rint((1 + 0.2 * rng.normal(size=(TILES, ROWS, COLUMNS_N))) * levels), 0)
    return currents * (rng.random(currents.shape) < 2 / 3)


def twin_and_slack(inputs, states, variances, column, adc, weights):
    """The twin's output, and by how much a kernel may differ: a code at every conversion next to a threshold."""
    out = reference.read(inputs, states, variances, column, adc, weights, int(KEY))
    slack = np.zeros_like(out)
    if adc.max_code == 0:
        return out, slack
    unconverted = adc._replace(max_code=0)
    for sample, tile, cycle in np.ndindex(inputs.shape[:3]):
        x, conversion = inputs[sample, tile, cycle].astype(float), tile * inputs.shape[2] + cycle
        sums, variance = x @ states[tile] + column.pedestal, x**2 @ variances[tile]
        u = reference.read_column(sums, variance, column, unconverted, tile, int(KEY), conversion, sample)
        low, high = (np.clip(np.rint(u + shift), 0, adc.max_code) for shift in (-NEAR, NEAR))
        slack[sample] += abs(weights[cycle]) * (high - low)
    return out, slack


def assert_reads_agree(got, twin, slack, scale):
    assert (slack == 0).mean() > 0.9
    assert (np.abs(got - twin) <= slack + 3e-6 * scale).all()


def bit_serial_case(column, adc, dtype, samples=SAMPLES):
    rng = child(0, "bit serial")
    codes = rng.integers(-4, 4, size=(SAMPLES, TILES * USED - 5))[:samples]  # the last tile is not full
    states, variances = (cells(rng, 1 / GRID) for _ in range(2))
    picks = table_rows(codes, TILES, USED, ROWS, CYCLES)
    fixed = (states.astype(dtype), GRID, variances.astype(dtype), GRID)
    got = bit_serial_read(picks, *fixed, column, adc, CYCLE_WEIGHTS, KEY)
    return got, (reference.bits_of(tiled(codes), TILES, ROWS, CYCLES), states * GRID, variances * GRID)


def tiled(codes):
    """Codes where the twin expects them: as many to a tile as it has rows."""
    padded = np.zeros((len(codes), TILES * USED), np.int64)
    padded[:, : codes.shape[1]] = codes
    return np.pad(padded.reshape(-1, TILES, USED), ((0, 0), (0, 0), (0, ROWS - USED))).reshape(len(codes), -1)


def one_shot_case(column, adc, samples=SAMPLES):
    rng = child(0, "one shot")
    lowest = 0 if column.droop else -3  # a bit line only discharges
    codes = rng.integers(lowest, 4, size=(SAMPLES, TILES, ROWS))[:samples]
    states, variances = (cells(rng, 256).astype(np.float32) / np.float32(256) for _ in range(2))
    got = one_shot_read(codes, states, variances, column, adc, KEY)
    return got, (codes[:, :, None], states.astype(float), variances.astype(float))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_bit_serial_read_gives_what_its_twin_gives(column, adc, dtype):
    got, operands = bit_serial_case(COLUMNS[column], ADCS[adc], dtype)
    twin, slack = twin_and_slack(*operands, COLUMNS[column], ADCS[adc], CYCLE_WEIGHTS)
    assert_reads_agree(got, twin, slack, scale=TILES * ROWS * np.abs(CYCLE_WEIGHTS).sum())


@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_one_shot_read_gives_what_its_twin_gives(column, adc):
    got, operands = one_shot_case(COLUMNS[column], ADCS[adc])
    twin, slack = twin_and_slack(*operands, COLUMNS[column], ADCS[adc], np.ones(1))
    assert_reads_agree(got, twin, slack, scale=TILES * ROWS * 3)


def test_the_comparison_with_the_twin_refuses_a_noise_that_is_five_percent_off():
    column = COLUMNS["everything"]
    got, operands = one_shot_case(column, ADCS["ideal"])
    wrong = column._replace(cell_variance=column.cell_variance * 1.05**2)
    twin, slack = twin_and_slack(*operands, wrong, ADCS["ideal"], np.ones(1))
    with pytest.raises(AssertionError):
        assert_reads_agree(got, twin, slack, scale=TILES * ROWS * 3)


def test_without_errors_both_reads_give_the_exact_product():
    rng = child(0, "exact")
    codes = rng.integers(-4, 4, size=(SAMPLES, TILES * ROWS))
    bits = rng.integers(0, 2, size=(TILES, ROWS, COLUMNS_N))
    product = codes @ bits.reshape(-1, COLUMNS_N)
    picks, states = table_rows(codes, TILES, ROWS, ROWS, CYCLES), bits.astype(np.uint8)
    serial = bit_serial_read(picks, states, 1.0, states, 1.0, LINEAR, ADCS["ideal"], CYCLE_WEIGHTS, KEY)
    np.testing.assert_array_equal(serial, product)
    states = bits.astype(np.float32)
    shot = one_shot_read(codes.reshape(SAMPLES, TILES, ROWS), states, states, LINEAR, ADCS["ideal"], KEY)
    np.testing.assert_array_equal(shot, product)


@pytest.mark.parametrize("case", [lambda *a: bit_serial_case(*a, np.uint16)[0], lambda *a: one_shot_case(*a)[0]])
def test_the_bits_do_not_depend_on_the_number_of_threads(case, on_threads):
    one, two = (on_threads(n, lambda: case(COLUMNS["everything"], ADCS["everything"])) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("adc", ["ideal", "everything"])
@pytest.mark.parametrize("samples", [1, 5, 34])
def test_the_first_samples_read_the_same_whatever_follows(samples, adc):
    noisy = COLUMNS["everything"], ADCS[adc]
    np.testing.assert_array_equal(
        bit_serial_case(*noisy, np.uint16, samples)[0], bit_serial_case(*noisy, np.uint16)[0][:samples]
    )
    np.testing.assert_array_equal(one_shot_case(*noisy, samples)[0], one_shot_case(*noisy)[0][:samples])


@given(
    st.integers(1, 3).flatmap(
        lambda tiles: st.tuples(
            st.just(tiles),
            st.integers(1, 16),
            hnp.arrays(np.int64, st.tuples(st.integers(0, 4), st.integers(1, 7 * tiles)), elements=st.integers(-9, 9)),
        )
    )
)
def test_a_pick_names_the_place_of_its_group_and_the_bits_of_its_inputs(case):
    tiles, cycles, codes = case
    picks = table_rows(codes, tiles, 7, 2 * SLAB, cycles)
    assert (picks >> 4 == np.arange(2 * SLAB // GROUP) % (SLAB // GROUP)).all()
    unpacked = (picks[..., None] >> np.arange(GROUP) & 1).reshape(len(codes), tiles, cycles, 2 * SLAB)
    np.testing.assert_array_equal(unpacked[..., :7], reference.bits_of(codes, tiles, 7, cycles))
    assert not unpacked[..., 7:].any()


def test_shift_and_add_weighs_each_column_by_what_it_is_worth():
    sums = child(0, "sums").integers(0, 99, size=(5, 2, 3, 4)).astype(float)
    worth, lsb, constant = np.array([[1.0, 2, 4], [-1, -2, -4]]), np.array([1.0, 0.5, 2]), np.array([0.0, 3, -1])
    values = lsb[:, None] * sums + constant[:, None]
    np.testing.assert_allclose(shift_and_add(sums, worth, lsb, constant), np.einsum("ps,npsc->nc", worth, values))


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_the_bits_of_a_code_add_up_to_it_in_twos_complement(bits):
    half = 2 ** (bits - 1)
    codes = np.unique([-half, half - 1, *child(bits, "codes").integers(-half, half, 50)])
    planes = reference.bits_of(codes[:, None], 1, 4, bits)[:, 0, :, 0]
    worth = 2.0 ** np.arange(bits) * np.where(np.arange(bits) == bits - 1, -1, 1)
    np.testing.assert_array_equal(planes @ worth, codes)
