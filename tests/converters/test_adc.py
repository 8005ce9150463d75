"""The converters of a die: what each gets wrong, which columns share one, and when nothing is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.converters.adc import converters, lossless, manufactured, no_errors
from imcsim.converters.ranges import Ranges, fixed_ranges
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import FlashADC, IdealADC, RampADC, SarADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec

MEMBERS, TILES, COLUMNS = 2, 3, 8
ITS_OWN = np.arange(COLUMNS)
PAIRS = np.arange(COLUMNS) // 2 * 2  # every converter serves two columns
HALVES = np.arange(COLUMNS) // 4  # two arrays


def normals(shape=(MEMBERS, TILES, COLUMNS), arrays=2):
    """Frozen normals (members, tiles, n, columns) of every source."""
    members, tiles, columns = shape

    def drawn(source, n):
        places = arrays if source == "element of an array" else columns
        return child(0, "die", source).normal(size=(members, tiles, n, places)).astype(np.float32)

    return drawn


def made(adc, first=ITS_OWN, array=HALVES):
    return manufactured(adc, normals(), first, array)


# Errors


def test_gain_and_offset_spread_as_given(assert_moments):
    adc, n = UniformADC(gain_sigma_rel=0.02, offset_sigma_lsb=1.5, noise_lsb=0.3), 10_000
    errors = manufactured(adc, normals((2, 3, n), arrays=1), np.arange(n), np.zeros(n, int))
    assert_moments(errors.gain, 1, 0.02)
    assert_moments(errors.offset_lsb, 0, 1.5)
    assert errors.noise_lsb == 0.3
    assert abs(np.mean((errors.gain - 1) / 0.02 * errors.offset_lsb / 1.5)) < 5 / math.sqrt(errors.gain.size)


@pytest.mark.parametrize("adc", [RampADC, FlashADC])
def test_the_offset_of_a_comparator_adds_to_that_of_its_converter_where_one_serves_a_column(adc, assert_moments):
    n = 10_000
    of = adc(bits=3, offset_sigma_lsb=0.3, comparator_sigma_lsb=0.4)
    errors = manufactured(of, normals((2, 3, n), arrays=1), np.arange(n), np.zeros(n, int))
    # of a flash converter each threshold has a comparator of its own
    assert_moments(errors.offset_lsb, 0, 0.5 if adc is RampADC else 0.3)


@pytest.mark.parametrize("adc", [IdealADC(), UniformADC(), SarADC(), RampADC(), FlashADC()])
def test_a_flawless_converter_has_gain_one_and_no_offset(adc):
    for errors in (made(adc), no_errors(adc, MEMBERS, TILES, COLUMNS)):
        assert errors.gain.shape == errors.owner.shape == (MEMBERS, TILES, COLUMNS)
        assert (errors.gain == 1).all()
        assert (errors.offset_lsb == 0).all()
        assert errors.noise_lsb == 0


# Sharing

FAULTY = {"gain_sigma_rel": 0.02, "offset_sigma_lsb": 1.5}


@pytest.mark.parametrize("adc", [UniformADC(**FAULTY), SarADC(unit_sigma_rel=0.05, **FAULTY)])
def test_columns_that_share_a_converter_share_its_errors_and_no_others_do(adc):
    errors = made(adc, first=PAIRS)
    for values in (errors.gain, errors.offset_lsb, errors.owner):
        np.testing.assert_array_equal(values, values[..., PAIRS])
        assert np.unique(values).size == MEMBERS * TILES * COLUMNS // 2
    assert len(errors.elements) == MEMBERS * TILES * COLUMNS // 2
    if isinstance(adc, SarADC):
        assert np.unique(errors.elements[:, 0]).size == len(errors.elements)


def test_a_converter_that_is_shared_is_that_of_its_first_column():
    adc = SarADC(bits=4, unit_sigma_rel=0.05, **FAULTY)
    alone, shared = made(adc), made(adc, first=PAIRS)
    np.testing.assert_array_equal(shared.gain, alone.gain[..., PAIRS])
    np.testing.assert_array_equal(shared.elements[shared.owner], alone.elements[alone.owner[..., PAIRS]])


def test_the_columns_of_an_array_share_its_ramp_but_not_their_comparators():
    errors = made(RampADC(bits=4, unit_sigma_rel=0.05, comparator_sigma_lsb=0.3))
    for half in (HALVES == 0, HALVES == 1):
        owners = errors.owner[..., half]
        assert (owners == owners[..., :1]).all()
    assert np.unique(errors.owner).size == len(errors.elements) == MEMBERS * TILES * 2
    assert np.unique(errors.offset_lsb).size == MEMBERS * TILES * COLUMNS


@pytest.mark.parametrize("columns_per_adc", [1, 3, 4, 100])
def test_neighbours_in_an_array_share_a_converter_and_arrays_polarities_and_slices_do_not(columns_per_adc):
    # 25 columns on arrays of 10: ten, ten and five, whose last converters serve what is left
    adc = UniformADC(columns_per_adc=columns_per_adc, range="full", **FAULTY)
    spec = ChipSpec(cell=SramCell(), array=ArraySpec(rows=8, cols=10, weight_bits=3), adc=adc)
    gain = manufacture(spec, (16, 25), 5).adc.gain[0].reshape(2, 2, 2, 25)  # tiles, polarities, slices, columns
    column = np.arange(25)
    converter = column // 10 * 1000 + column % 10 // columns_per_adc
    same = converter[:, None] == converter
    np.testing.assert_array_equal(gain[..., :, None] == gain[..., None, :], np.broadcast_to(same, (2, 2, 2, 25, 25)))
    assert np.unique(gain).size == 8 * np.unique(converter).size


def test_a_member_has_the_converters_that_it_has_alone():
    adc = SarADC(bits=4, unit_sigma_rel=0.05, range="full", **FAULTY)
    spec = ChipSpec(cell=SramCell(), array=ArraySpec(rows=8, cols=10, weight_bits=3), adc=adc)
    together = manufacture(spec, (16, 25), [3, 4]).adc
    for member, key in enumerate((3, 4)):
        alone = manufacture(spec, (16, 25), key).adc
        np.testing.assert_array_equal(together.gain[member], alone.gain[0])
        np.testing.assert_array_equal(together.elements[together.owner[member]], alone.elements[alone.owner[0]])


# In the form of the kernels

RANGE = np.linspace(-3, 1, COLUMNS)[None], np.linspace(0.5, 2, COLUMNS)[None]


def test_scale_and_shift_are_range_gain_and_offset():
    adc = UniformADC(bits=4, noise_lsb=0.25, **FAULTY)
    errors, (lo, lsb) = made(adc), RANGE
    got = converters(adc, 15, lo, lsb, errors, 1, None)
    v = child(1, "values").uniform(-5, 5, COLUMNS)
    # the gain acts on the value, the offset on the code: u = gain v / lsb + offset - lo / lsb
    u = (errors.gain * v / lsb + errors.offset_lsb - lo / lsb).reshape(MEMBERS * TILES, COLUMNS)
    np.testing.assert_allclose(v * got.scale + got.shift, u, rtol=1e-5, atol=1e-5)
    assert (got.max_code, got.noise_lsb, got.trim.size) == (15, 0.25, 0)
    assert got.scale.dtype == got.shift.dtype == np.float32


def test_members_may_have_ranges_of_their_own():
    adc, lsb = UniformADC(bits=4), np.array([[1.0] * COLUMNS, [4.0] * COLUMNS])
    got = converters(adc, 15, 0 * lsb, lsb, made(adc), 1, None)
    np.testing.assert_array_equal(got.scale, np.repeat(1 / lsb, TILES, axis=0))


def test_an_array_that_is_read_in_groups_has_the_same_converters_each_time():
    adc = SarADC(bits=4, unit_sigma_rel=0.05, **FAULTY)
    trim = child(2, "trim").normal(size=(2, MEMBERS, TILES, COLUMNS))
    once, thrice = (converters(adc, 15, *RANGE, made(adc), groups, trim) for groups in (1, 3))
    for name in ("scale", "shift", "which"):
        np.testing.assert_array_equal(getattr(thrice, name), np.repeat(getattr(once, name), 3, axis=0))
    np.testing.assert_array_equal(thrice.trim, np.repeat(once.trim, 3, axis=1))
    np.testing.assert_array_equal(once.trim, np.float32(trim.reshape(2, -1, COLUMNS)))
    np.testing.assert_array_equal(thrice.table, once.table)


def test_ideal_converters_pass_values_on():
    adc = IdealADC()
    got = converters(adc, 0, np.zeros((1, COLUMNS)), np.ones((1, COLUMNS)), made(adc), 2, None)
    assert got.max_code == 0
    assert got.scale.shape == (MEMBERS * TILES * 2, COLUMNS)
    assert (got.scale == 1).all()
    assert (got.shift == 0).all()


# Losing nothing


def nothing_wrong(adc):
    return no_errors(adc, 1, 1, 4)


@given(st.integers(1, 16), st.integers(1, 70_000), st.booleans())
def test_a_full_range_loses_nothing_where_an_lsb_of_one_covers_every_sum(bits, largest, signed):
    adc = UniformADC(bits=bits, range="full")
    ranges = fixed_ranges(adc, [largest, 1], signed)
    reach = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    assert lossless(adc, [ranges], nothing_wrong(adc), [largest, 1], signed) == (largest <= reach)


def test_only_converters_without_any_error_lose_nothing():
    flawless, good = UniformADC(bits=4), [Ranges((0.0,), (1.0,), 15)]
    assert lossless(flawless, good, nothing_wrong(flawless), [15], signed=False)
    assert not lossless(flawless, good, nothing_wrong(flawless), [16], signed=False)
    assert not lossless(flawless, good, nothing_wrong(flawless), [7], signed=True)
    for wrong in ({"noise_lsb": 0.1}, {"gain_sigma_rel": 0.01}, {"offset_sigma_lsb": 0.1}):
        adc = UniformADC(bits=4, **wrong)
        assert not lossless(adc, good, made(adc), [15], signed=False)
    sar = SarADC(bits=4)
    assert not lossless(sar, good, nothing_wrong(sar), [15], signed=False)
    assert lossless(IdealADC(), good, nothing_wrong(IdealADC()), [10**9], signed=True)


@pytest.mark.parametrize(("lo", "lsb"), [(0.5, 1.0), (0.0, 2.0), (0.0, 0.5), (1.0, 1.0)])
def test_a_range_off_the_integers_or_above_zero_loses_something(lo, lsb):
    adc = UniformADC(bits=8)
    ranges = [Ranges((0.0,), (1.0,), 255), Ranges((lo,), (lsb,), 255)]
    assert lossless(adc, ranges[:1], nothing_wrong(adc), [10], signed=False)
    assert not lossless(adc, ranges, nothing_wrong(adc), [10], signed=False)
