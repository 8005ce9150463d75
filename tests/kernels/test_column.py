"""A column between its cells and its code, against the twin, in its limits, and noise source by noise source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.kernels import reference
from imcsim.kernels.column import CELL_NOISE, Column, Converters, read_column
from imcsim.kernels.reference import transfer
from imcsim.rng import child

LINEAR = Column(pedestal=0.0, droop=0.0, swing=math.inf, cell_variance=0.0, variance=0.0)
COLUMNS = {
    "linear": LINEAR,
    "pedestal": LINEAR._replace(pedestal=1.5),
    "droop": LINEAR._replace(droop=0.005, swing=60.0),
    "swing": LINEAR._replace(swing=40.0),
    "cell noise": LINEAR._replace(cell_variance=0.04),
    "column noise": LINEAR._replace(variance=0.3),
    "both noises": LINEAR._replace(cell_variance=0.04, variance=0.3),
    "everything": Column(pedestal=1.5, droop=0.005, swing=60.0, cell_variance=0.04, variance=0.3),
}
NEAR = 1e-3  # LSB from a threshold: there float32 and float64 may round to different codes


def made(max_code, *, lo, lsb, gain=1.0, offset_lsb=0.0, noise_lsb=0.0):
    """Converters of range, gain and offset (tiles, columns) in the form of the kernels."""
    scale, shift = gain / lsb, offset_lsb - lo / lsb
    return Converters(max_code, scale.astype(np.float32), shift.astype(np.float32), noise_lsb)


def ideal(columns, tiles=1):
    return made(0, lo=np.zeros((tiles, columns)), lsb=np.ones((tiles, columns)))


def uniform(columns, tiles=1, *, bits=6, noise_lsb=0.0, errors=0.0):
    lo, lsb = np.linspace(-2, 1, columns), np.linspace(0.5, 3, columns)
    gain, offset = child(0, "adc errors").normal(size=(2, tiles, columns)) * errors
    return made(2**bits - 1, lo=lo, lsb=lsb, gain=1 + gain / 10, offset_lsb=offset, noise_lsb=noise_lsb)


ADCS = {
    "ideal": ideal,
    "uniform": uniform,
    "one bit": lambda n, tiles: uniform(n, tiles, bits=1),
    "gain and offset": lambda n, tiles: uniform(n, tiles, errors=0.5),
    "conversion noise": lambda n, tiles: uniform(n, tiles, noise_lsb=1.5),
    "everything": lambda n, tiles: uniform(n, tiles, noise_lsb=1.5, errors=0.5),
}


def kernel_read(v, variance_sum, column, adc, tile=0, key=1, conversion=0, sample=0):
    v, noise = v + v.dtype.type(column.pedestal), np.empty(v.size, np.float32)
    read_column(
        v, variance_sum, noise, column, adc.scale[tile], adc.shift[tile], adc.max_code, adc.noise_lsb,
        1, np.uint64(key), 0, conversion, sample,
    )  # fmt: skip
    return v


def twin_read(v, variance_sum, column, adc, **place):
    return reference.read_column(v.astype(float) + column.pedestal, variance_sum.astype(float), column, adc, **place)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_reads_as_its_twin_does(column, adc, dtype):
    n, place = 1001, {"tile": 1, "key": 2**63 + 5, "conversion": 7, "sample": 11}
    rng = child(0, "column", column, adc)
    v, variance_sum = (rng.uniform(0, 100, n).astype(dtype) for _ in range(2))
    chosen, converters = COLUMNS[column], ADCS[adc](n, 2)
    got = kernel_read(v, variance_sum, chosen, converters, **place)
    twin = twin_read(v, variance_sum, chosen, converters, **place)
    if adc == "ideal":
        np.testing.assert_allclose(got, twin, rtol=2e-6, atol=1e-5)
        return
    # where the codes are not held to their range, they tell how near a value is to the next code
    u = twin_read(v, variance_sum, chosen, converters._replace(max_code=0), **place)
    clear = np.abs(u - np.floor(u) - 0.5) > NEAR
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(got[clear], np.clip(np.rint(u), 0, converters.max_code)[clear])
    np.testing.assert_array_equal(twin[clear], got[clear])
    assert np.abs(got - twin).max() <= 1


def test_a_linear_column_with_an_ideal_converter_changes_nothing():
    v = child(0, "v").uniform(-5, 5, 100)
    np.testing.assert_array_equal(kernel_read(v, v, LINEAR, ideal(v.size)), v)


@pytest.mark.parametrize("droop", [1e-3, 0.01, 0.1])
def test_droop_follows_the_solution_of_its_differential_equation(droop):
    # dV/dtau = 1 - droop V, V(0) = 0: V = (1 - exp(-droop tau)) / droop
    swing = 0.6 / droop  # what the spec allows at most
    v = np.linspace(0, 1.2 * -math.log(0.4) / droop, 200)
    expected = np.minimum((1 - np.exp(-droop * v)) / droop, swing)
    column = LINEAR._replace(droop=droop, swing=swing)
    np.testing.assert_allclose(kernel_read(v, v, column, ideal(v.size)), expected, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(transfer(v, column), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("droop", [1e-3, 0.01])
def test_the_slope_of_a_drooping_column_is_one_less_the_droop_of_its_value(droop):
    column = LINEAR._replace(droop=droop, swing=0.6 / droop)
    v, h = np.linspace(0, 0.8 / droop, 50), 1e-3 / droop
    slope = (transfer(v + h, column) - transfer(v - h, column)) / (2 * h)
    np.testing.assert_allclose(slope, 1 - droop * transfer(v, column), rtol=1e-5)


def test_a_column_clips_at_its_swing_and_not_below():
    v = np.array([39.0, 40.0, 41.0, 1e9])
    np.testing.assert_array_equal(kernel_read(v, v, COLUMNS["swing"], ideal(4)), [39, 40, 40, 40])


def test_noise_may_take_a_column_below_zero_droop_or_not():
    v = np.zeros(1000)
    for column in (LINEAR, COLUMNS["droop"]):
        got = kernel_read(v, v, column._replace(variance=1.0), ideal(v.size))
        assert got.min() < -2


@given(
    st.sampled_from(list(COLUMNS.values())),
    st.sampled_from([1, 3, 127, 255, 65535]),
    st.lists(st.floats(0, 200), min_size=1),
)
def test_a_column_seen_in_a_smaller_unit_is_the_same_column(column, unit, sums):
    v = np.array(sums)
    read = kernel_read(v, v, column, ideal(v.size))
    # the inputs carry the unit, so the variance sum its square
    finer = kernel_read(unit * v, unit**2 * v, column.scaled(unit), ideal(v.size))
    np.testing.assert_allclose(finer, unit * read, rtol=1e-9, atol=1e-9 * unit)


def test_cell_noise_has_the_variance_of_its_sum_and_the_column_adds_its_own(assert_moments):
    n, column = 40_000, COLUMNS["both noises"]
    for variance_sum in (0.0, 3.0, 128.0):
        got = kernel_read(np.full(n, 50.0), np.full(n, variance_sum), column, ideal(n))
        assert_moments(got, 50, math.sqrt(0.04 * variance_sum + 0.3))


def test_conversion_noise_is_given_in_lsb_whatever_the_lsb(assert_moments):
    n, sigma = 40_000, 20.0
    for lsb in (0.25, 4.0):
        adc = made(2**16 - 1, lo=np.full((1, n), -1000 * lsb), lsb=np.full((1, n), lsb), noise_lsb=sigma)
        codes = kernel_read(np.zeros(n), np.zeros(n), LINEAR, adc)
        assert_moments(codes, 1000, math.sqrt(sigma**2 + 1 / 12))


def test_offsets_shift_codes_and_gains_scale_values_about_zero():
    gain, offset_lsb = np.array([[1, 1.5, 1, 1]]), np.array([[0, 0, 2, -2]])
    adc = made(63, lo=np.full((1, 4), -32.0), lsb=np.ones((1, 4)), gain=gain, offset_lsb=offset_lsb)
    np.testing.assert_array_equal(kernel_read(np.full(4, 10.0), np.zeros(4), LINEAR, adc), [42, 47, 44, 40])
    np.testing.assert_array_equal(kernel_read(np.zeros(4), np.zeros(4), LINEAR, adc), [32, 32, 34, 30])


def test_codes_saturate_at_both_ends():
    adc = made(63, lo=np.zeros((1, 3)), lsb=np.ones((1, 3)))
    np.testing.assert_array_equal(kernel_read(np.array([-5.0, 30.0, 1e6]), np.zeros(3), LINEAR, adc), [0, 30, 63])


def test_no_source_shares_its_normals_with_another_place_or_source():
    n, column = 20_000, LINEAR._replace(variance=1.0)
    # beside a nonlinearity, however far away, the noise of the converter is a draw of its own
    adc = made(2**16 - 1, lo=np.full((1, n), -500.0), lsb=np.full((1, n), 1 / 64), noise_lsb=640.0)  # 10 MAC units
    apart = LINEAR._replace(swing=1e30)
    zero = np.zeros(n)
    streams = [
        kernel_read(zero, zero, column, ideal(n), **place)
        for place in ({}, {"key": 2}, {"conversion": 1}, {"sample": 1})
    ]
    streams.append((kernel_read(zero, zero, apart, adc) / 64 - 500) / 10)
    for i, one in enumerate(streams):
        for other in streams[:i]:
            assert abs(np.mean(one * other)) < 5 / np.sqrt(n)
    np.testing.assert_allclose(streams[0], reference.normals(n, 1, 0, 0, CELL_NOISE), rtol=2e-6, atol=1e-9)


def test_where_nothing_is_nonlinear_one_draw_carries_the_noise_of_cells_and_converter(assert_moments):
    n, lsb = 40_000, 0.25
    adc = made(2**16 - 1, lo=np.full((1, n), -5000 * lsb), lsb=np.full((1, n), lsb), noise_lsb=30.0)
    codes = kernel_read(np.zeros(n), np.full(n, 50.0), LINEAR._replace(cell_variance=2.0, variance=7.0), adc)
    assert_moments(codes, 5000, math.sqrt((2.0 * 50 + 7.0) / lsb**2 + 30.0**2 + 1 / 12))


def test_cycles_read_together_are_those_read_one_by_one():
    n, cycles, column = 64, 3, COLUMNS["everything"]
    adc = uniform(n, noise_lsb=1.5, errors=0.5)
    v, variance_sum = (child(0, name).uniform(0, 100, cycles * n).astype(np.float32) for name in ("v", "variance"))
    together, noise = v.copy(), np.empty(cycles * n, np.float32)
    read_column(
        together, variance_sum, noise, column, np.tile(adc.scale[0], cycles), np.tile(adc.shift[0], cycles),
        adc.max_code, adc.noise_lsb, cycles, np.uint64(1), 0, 5, 2,
    )  # fmt: skip
    unpedestalled = column._replace(pedestal=0.0)
    for cycle in range(cycles):
        part = slice(cycle * n, (cycle + 1) * n)
        alone = kernel_read(v[part], variance_sum[part], unpedestalled, adc, conversion=5 + cycle, sample=2)
        np.testing.assert_array_equal(together[part], alone)
