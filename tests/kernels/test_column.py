"""A column between its cells and its code, against the twin, in its limits, and noise source by noise source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_cases import ADCS, COLUMNS, NEAR, arrays, converters

from imcsim.kernels import column as kernels
from imcsim.kernels import reference
from imcsim.kernels.column import ADC_NOISE, CELL_NOISE, SECOND_CELL_NOISE, Column, Converters, static_transfer
from imcsim.rng import child

LINEAR = Column()
PLACE = {"tile": 0, "key": 1, "conversion": 0, "sample": 0}


def alike(column, n):
    """n columns of the same numbers, in the form of the kernels."""
    return Column(
        **{name: value if name == "cell_variance" else np.full(n, value) for name, value in column._asdict().items()}
    )


def made(max_code, *, lo, lsb, gain=1.0, offset_lsb=0.0, noise_lsb=0.0):
    """Converters to the nearest code of range, gain and offset (tiles, columns)."""
    scale, shift = (np.float32(np.broadcast_to(v, lo.shape)) for v in (gain / lsb, offset_lsb - lo / lsb))
    rest = np.zeros((0, 0, 0), np.float32), 0, np.zeros((1, 0), np.float32), np.zeros(lo.shape, np.int32), 0.0
    return Converters(max_code, scale, shift, noise_lsb, *rest)


def ideal(n):
    return made(0, lo=np.zeros((1, n)), lsb=1.0)


def analog(v, variance_sum, column, *, key=1, conversion=0, sample=0, source=CELL_NOISE, start=0, size=None):
    """The values that the kernel makes of sums, of `size` columns from `start` on."""
    out, here = v.copy(), slice(start, start + (size or v.size))
    out, variance_sum = out[here], variance_sum[here]
    deviation, noise = np.full_like(out, np.nan), np.full(out.size, np.nan, np.float32)
    kernels.analog(
        out, variance_sum, deviation, noise, column, column.noisy, column.linear, here,
        np.uint64(key), start // 64, conversion, sample, source,
    )  # fmt: skip
    return out


def convert(v, adc, *, tile=0, key=1, conversion=0, sample=0):
    out, noise = v.copy(), np.full(v.size, np.nan, np.float32)
    kernels.convert(out, noise, adc, tile, slice(0, v.size), np.uint64(key), 0, conversion, sample)
    return out


def convert_linear(v, variance_sum, column, adc, *, tile=0, key=1, conversion=0, sample=0):
    out, noise = v.copy(), np.full(v.size, np.nan, np.float32)
    kernels.convert_linear(
        out, variance_sum, noise, column, adc, tile, slice(0, v.size), np.uint64(key), 0, conversion, sample
    )
    return out


def sums(*name, n=1001, dtype=np.float32):
    rng = child(0, "column", *name)
    return tuple(rng.uniform(low, 100, n).astype(dtype) for low in (-20, 0))


def assert_codes_agree(got, twin, adc):
    """Codes are those of the twin, but next to a threshold. `twin(adc)` gives the codes by some converters."""
    near = [twin(adc._replace(shift=adc.shift.astype(float) + shift)) for shift in (-NEAR, 0, NEAR)]
    assert (near[0] == near[2]).mean() > 0.98
    tolerance = 1e-5 if adc.max_code == 0 or adc.trim.size else 0
    assert np.any([np.abs(got - each) <= tolerance for each in near], axis=0).all()


# Against the twin


@pytest.mark.parametrize("source", [CELL_NOISE, SECOND_CELL_NOISE])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column", COLUMNS)
def test_sums_become_values_as_the_twin_has_it(column, dtype, source):
    v, variance_sum = sums(column, dtype=dtype)
    of, place = arrays(COLUMNS[column], v.size), {"key": 2**63 + 5, "conversion": 7, "sample": 11, "source": source}
    got = analog(v, variance_sum, of, **place)
    assert got.dtype == dtype
    twin = reference.analog(v.astype(float), variance_sum.astype(float), of, **place)
    np.testing.assert_allclose(got, twin, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("adc", ADCS)
def test_values_become_codes_as_the_twin_has_it(adc, dtype):
    v, place = sums(adc, dtype=dtype)[0], {"tile": 1, "key": 2**63 + 5, "conversion": 7, "sample": 11}
    of = converters(2, v.size, **ADCS[adc])
    if adc == "ideal":
        np.testing.assert_array_equal(convert(v, of, **place), v)
    else:
        got = convert(v, of, **place)
        assert_codes_agree(got, lambda adc: reference.convert(v.astype(float), adc, **place), of)


@pytest.mark.parametrize("adc", ADCS)
@pytest.mark.parametrize("column", [name for name, column in COLUMNS.items() if column.linear])
def test_one_draw_for_cells_and_converter_gives_the_codes_of_the_twin(column, adc):
    (v, variance_sum), place = sums(column, adc), {"tile": 1, "key": 2**63 + 5, "conversion": 7, "sample": 11}
    of, converter = arrays(COLUMNS[column], v.size), converters(2, v.size, **ADCS[adc])

    def twin(adc):
        return reference.convert_linear(v.astype(float), variance_sum.astype(float), of, adc, **place)

    got = convert_linear(v, variance_sum, of, converter, **place)
    if adc == "ideal":
        np.testing.assert_allclose(got, twin(converter), rtol=2e-6, atol=2e-5)
    else:
        assert_codes_agree(got, twin, converter)


def test_a_part_of_the_columns_has_the_values_that_it_has_in_the_whole():
    v, variance_sum = sums("parts", n=200)
    of = arrays(COLUMNS["everything"], v.size)
    whole = analog(v, variance_sum, of)
    parts = [analog(v, variance_sum, of, start=start, size=size) for start, size in ((0, 64), (64, 128), (192, 8))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


# The static transfer


@pytest.mark.parametrize("column", COLUMNS)
def test_the_static_transfer_of_a_calibration_is_that_of_the_twin(column):
    v = np.linspace(-100, 200, 1001)
    np.testing.assert_allclose(static_transfer(v, COLUMNS[column]), reference.transfer(v, COLUMNS[column]), rtol=1e-13)


def test_a_linear_column_changes_nothing():
    v = child(0, "v").uniform(-5, 5, 100)
    np.testing.assert_array_equal(analog(v, v, alike(LINEAR, v.size)), v)
    np.testing.assert_array_equal(static_transfer(v, LINEAR), v)


@pytest.mark.parametrize("droop", [1e-3, 0.01, 0.1])
def test_droop_follows_the_solution_of_its_differential_equation(droop):
    # dV/dtau = 1 - droop V, V(0) = 0: V = (1 - exp(-droop tau)) / droop
    swing = 0.6 / droop  # what the spec allows at most
    v = np.linspace(0, 1.2 * -math.log(0.4) / droop, 200)
    expected = np.minimum((1 - np.exp(-droop * v)) / droop, swing)
    column = LINEAR._replace(droop=droop, swing=swing)
    np.testing.assert_allclose(analog(v, v, alike(column, v.size)), expected, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(static_transfer(v, column), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("droop", [1e-3, 0.01])
def test_the_slope_of_a_drooping_column_is_one_less_the_droop_of_its_value(droop):
    column = LINEAR._replace(droop=droop, swing=0.6 / droop)
    v, h = np.linspace(0, 0.8 / droop, 50), 1e-3 / droop
    slope = (static_transfer(v + h, column) - static_transfer(v - h, column)) / (2 * h)
    np.testing.assert_allclose(slope, 1 - droop * static_transfer(v, column), rtol=1e-5)


@pytest.mark.parametrize("load", [1e-3, 0.05])
def test_a_load_divides_the_current_between_itself_and_the_column(load):
    # v = i - load |v0| v with v0 the unloaded value: v (1 + load |i|) = i, odd in the current
    v = np.linspace(-80, 80, 161)
    got = analog(v, v, alike(LINEAR._replace(load=load), v.size))
    np.testing.assert_allclose(got * (1 + load * np.abs(v)), v, rtol=1e-12)
    np.testing.assert_allclose(got, -got[::-1], rtol=1e-12)


def test_a_column_clips_at_its_limits_and_not_before():
    v = np.array([-1e9, -41.0, -40.0, -39.0, 39.0, 40.0, 41.0, 1e9])
    column = alike(LINEAR._replace(swing=40.0, low=-40.0), v.size)
    np.testing.assert_array_equal(analog(v, v, column), [-40, -40, -40, -39, 39, 40, 40, 40])


def test_noise_may_take_a_column_below_zero_droop_or_not():
    v = np.zeros(1000)
    for column in (LINEAR, COLUMNS["droop"]):
        assert analog(v, v, alike(column._replace(variance=1.0), v.size)).min() < -2


@given(
    st.sampled_from(list(COLUMNS.values())),
    st.sampled_from([1, 3, 127, 255, 65535]),
    st.lists(st.floats(0, 150), min_size=1),
)
def test_a_column_seen_in_a_smaller_unit_is_the_same_column(column, unit, values):
    v = np.array(values)
    read = analog(v, v, alike(column, v.size))
    # the inputs carry the unit, so the variance sum its square
    finer = analog(unit * v, unit**2 * v, alike(column.scaled(unit), v.size))
    np.testing.assert_allclose(finer, unit * read, rtol=1e-9, atol=1e-9 * unit)


def test_a_column_knows_whether_it_is_noisy_and_whether_it_is_linear():
    noisy = {"cell noise", "column noise", "both noises", "everything"}
    nonlinear = {"swing", "load", "droop", "everything"}
    for name, column in COLUMNS.items():
        for of in (column, arrays(column, 3)):
            assert (of.noisy, of.linear) == (name in noisy, name not in nonlinear)
            assert not of.noiseless().noisy


# Noise


def test_cell_noise_has_the_variance_of_its_sum_and_the_column_adds_its_own(assert_moments):
    n, column = 40_000, alike(LINEAR._replace(cell_variance=0.04, variance=0.3), 40_000)
    for variance_sum in (0.0, 3.0, 128.0):
        got = analog(np.full(n, 50.0), np.full(n, variance_sum), column)
        assert_moments(got, 50, math.sqrt(0.04 * variance_sum + 0.3))


def test_conversion_noise_is_given_in_lsb_whatever_the_lsb(assert_moments):
    n, sigma = 40_000, 20.0
    for lsb in (0.25, 4.0):
        adc = made(2**16 - 1, lo=np.full((1, n), -1000 * lsb), lsb=lsb, noise_lsb=sigma)
        assert_moments(convert(np.zeros(n), adc), 1000, math.sqrt(sigma**2 + 1 / 12))


def test_where_nothing_is_nonlinear_one_draw_carries_the_noise_of_cells_and_converter(assert_moments):
    n, lsb = 40_000, 0.25
    adc = made(2**16 - 1, lo=np.full((1, n), -5000 * lsb), lsb=lsb, noise_lsb=30.0)
    column = alike(LINEAR._replace(cell_variance=2.0, variance=7.0), n)
    codes = convert_linear(np.zeros(n), np.full(n, 50.0), column, adc)
    assert_moments(codes, 5000, math.sqrt((2.0 * 50 + 7.0) / lsb**2 + 30.0**2 + 1 / 12))


def test_no_source_shares_its_normals_with_another_place_or_source():
    n, zero = 20_000, np.zeros(20_000)
    column = alike(LINEAR._replace(variance=1.0), n)
    places = ({}, {"key": 2}, {"conversion": 1}, {"sample": 1}, {"source": SECOND_CELL_NOISE})
    streams = [analog(zero, zero, column, **place) for place in places]
    adc = made(2**16 - 1, lo=np.full((1, n), -500.0), lsb=1 / 64, noise_lsb=640.0)  # 10 MAC units
    streams.append((convert(zero, adc) / 64 - 500) / 10)
    for i, one in enumerate(streams):
        for other in streams[:i]:
            assert abs(np.mean(one * other)) < 5 / np.sqrt(n)
    for stream, source in ((streams[0], CELL_NOISE), (streams[4], SECOND_CELL_NOISE)):
        np.testing.assert_allclose(stream, reference.normals(n, 1, 0, 0, source), rtol=2e-6, atol=1e-9)
    # codes resolve 1/640 of a sigma
    np.testing.assert_allclose(streams[5], reference.normals(n, 1, 0, 0, ADC_NOISE), atol=0.51 / 640)


# Codes


def test_offsets_shift_codes_and_gains_scale_values_about_zero():
    gain, offset_lsb = np.array([[1, 1.5, 1, 1]]), np.array([[0, 0, 2, -2]])
    adc = made(63, lo=np.full((1, 4), -32.0), lsb=1.0, gain=gain, offset_lsb=offset_lsb)
    np.testing.assert_array_equal(convert(np.full(4, 10.0), adc), [42, 47, 44, 40])
    np.testing.assert_array_equal(convert(np.zeros(4), adc), [32, 32, 34, 30])


def test_codes_saturate_at_both_ends():
    adc = made(63, lo=np.zeros((1, 3)), lsb=1.0)
    np.testing.assert_array_equal(convert(np.array([-5.0, 30.0, 1e6]), adc), [0, 30, 63])


def test_trimming_takes_gain_and_offset_off_the_codes():
    adc = made(63, lo=np.zeros((1, 3)), lsb=1.0)
    trimmed = adc._replace(trim=np.float32([[[1.0, 2.0, 0.5]], [[0.0, 4.0, -1.0]]]))
    np.testing.assert_array_equal(convert(np.full(3, 30.0), trimmed), [30, (30 - 4) / 2, (30 + 1) / 0.5])


def test_without_noise_both_conversions_give_the_same_codes():
    v, variance_sum = sums("both conversions")
    of, adc = arrays(COLUMNS["pedestal"], v.size), converters(1, v.size)
    np.testing.assert_array_equal(convert_linear(v, variance_sum, of, adc), convert(analog(v, variance_sum, of), adc))
