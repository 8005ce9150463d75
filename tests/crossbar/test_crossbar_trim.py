"""Trimming: a chip measures gain and offset of its converters and takes them off, down to what averaging leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossbar_chips import DACS, chip, inputs_of, planes_of, programmed, read, weights_of

from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import RampADC, UniformADC
from imcsim.specs.dac import BitSerialDAC, OneShotDAC

N = 40_000  # columns: a converter each
GIVEN = {"range": "given", "lo": 0.0, "hi": 255.0}
# of 40000 converters none clips the highest level that trimming looks at, 242 of 255 codes, by much
ERRORS = {"offset_sigma_lsb": 1.5, "gain_sigma_rel": 0.01}


def columns_of(adc):
    """Columns of one cell that read any code from 0 to 255 of 8 bits, each with a converter of its own."""
    spec = chip(mapping="offset", weight_bits=1, rows=1, adc=adc, dac=OneShotDAC(bits=8))
    return programmed(spec, np.ones((1, N)), np.full((1, 1), 255.0))


def codes(xbar, value):
    return (read(xbar, np.full(1, float(value))) + value) / 2  # a weight of 1 is stored as one cell on: 2 v - v


def residual(levels, reads, variance, value):
    """The standard deviation, in codes, that a fitted line has at a value: variance of its mean and of its slope."""
    known = np.linspace(0.05, 0.95, levels) * 255
    centred = known - known.mean()
    return math.sqrt(variance / reads * (1 / levels + (value - known.mean()) ** 2 / (centred**2).sum()))


@pytest.mark.parametrize(("levels", "reads"), [(9, 16), (2, 64), (5, 8)])
def test_trimming_leaves_what_averaging_does_of_the_noise(levels, reads, assert_moments):
    noise = 2.0
    adc = UniformADC(bits=8, noise_lsb=noise, **GIVEN, **ERRORS)
    xbar = columns_of(adc)
    trimmed = xbar.trim(child(0, "trim"), levels=levels, reads=reads)
    variance = noise**2 + 1 / 12  # rounding of what is as noisy is noise itself
    for value in (40, 128):
        left = residual(levels, reads, variance, value)
        assert_moments(codes(trimmed, value), value, math.sqrt(left**2 + variance))
        # before it was as manufactured
        spread = math.sqrt(1.5**2 + (0.01 * value) ** 2 + variance)
        assert_moments(codes(xbar, value), value, spread)


def test_trimming_without_noise_leaves_no_more_than_rounding():
    xbar = columns_of(UniformADC(bits=8, offset_sigma_lsb=1.0, gain_sigma_rel=0.005, **GIVEN))
    trimmed = xbar.trim(child(0, "trim"), levels=65, reads=1)
    for value in (40, 128, 200):
        # half a step of the code, and of the fit to codes that were rounded
        assert np.abs(codes(trimmed, value) - value).max() < 0.5 / 0.97 + 6 * residual(65, 1, 1 / 12, value)
        assert np.abs(codes(xbar, value) - value).max() > 4


def test_trimming_leaves_what_bends_the_line(assert_moments):
    sigma = 0.14
    bent = columns_of(RampADC(bits=8, unit_sigma_rel=sigma, **GIVEN))
    straight = columns_of(UniformADC(bits=8, **GIVEN))
    trimmed = bent.trim(child(0, "trim"), levels=65, reads=1)
    # all columns of an array share a ramp: 4 columns an array here
    errors = (codes(trimmed, 128) - 128)[::4]
    # the taps err as a Brownian bridge B: at the middle its variance is sigma^2 256 / 4; of a bridge the least squares
    # line takes off its mean, whose variance is 1 / 12 with covariance 1 / 8: 1/4 - 2/8 + 1/12 in units of sigma^2 256
    expected = math.sqrt(sigma**2 * 256 / 12 + 1 / 12)
    assert errors.std() == pytest.approx(expected, rel=0.1)
    assert errors.std() > 5 * (codes(straight.trim(child(0, "trim")), 128) - 128).std()


ARRAYS = {
    "slices with ranges of their own": {"cell_bits": 2, "rows": 64},
    "offset, three rows at a time": {"mapping": "offset", "rows_parallel": 3},
    "subtracted": {"subtraction": "analog"},
    "unit column": {"mapping": "offset", "offset_correction": "unit_column"},
}


@pytest.mark.parametrize("dac", ["sign and magnitude", "one shot, signed"])
@pytest.mark.parametrize("array", ARRAYS)
def test_products_through_trimmed_converters_err_by_noise_alone(array, dac):
    dac = DACS[dac]
    weights, x = weights_of(4, (150, 40)), inputs_of(dac, 40, 150)
    # symmetric ranges: values about zero, so that no offset clips them; and noise, so that no error repeats itself
    adc = UniformADC(bits=8, range="full", noise_lsb=1.0, offset_sigma_lsb=3.0, gain_sigma_rel=0.02)
    xbar = programmed(chip(dac=dac, adc=adc, **ARRAYS[array]), weights, x)
    before, after = (np.std(read(y, x) - x @ weights) for y in (xbar, xbar.trim(child(0, "trim"), levels=65)))
    plan, lsb = xbar.die.plan, np.array(xbar.ranges[0].lsb)
    _, cycle_worth, _ = planes_of(dac, x[0])
    reads = plan.tiling.tiles * plan.tiling.groups * np.square(cycle_worth).sum()
    columns = np.square(plan.layout.worth[: plan.converted] * lsb).sum() * (2 if array == "unit column" else 1)
    assert after == pytest.approx(math.sqrt(reads * columns * (1 + 1 / 12)), rel=0.1)
    assert before > 2 * after
    assert (len(set(lsb)) > 1) == (array == "slices with ranges of their own")


def test_trims_outlive_writes_and_end_with_ranges_and_die():
    spec = chip(adc=UniformADC(bits=8, range="full", **ERRORS))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    xbar = programmed(spec, weights, x).trim(child(0, "trim"))
    assert xbar.write(-2 * weights, child(0, "write")).trimmed is xbar.trimmed
    assert xbar.calibrate(x).trimmed is None
    assert xbar.on_die(manufacture(spec, weights.shape, 9)).trimmed is None
    again = xbar.trim(child(1, "trim"))  # of the converters, not of what is left
    np.testing.assert_allclose(again.trimmed, xbar.trimmed, atol=0.01 * np.abs(xbar.trimmed).max())


def test_members_of_an_ensemble_are_trimmed_as_they_are_alone():
    adc = UniformADC(bits=6, noise_lsb=0.5, **ERRORS)
    spec, keys = chip(adc=adc), [1, 2, 3]
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    together = manufacture(spec, weights.shape, keys).program(weights, child(0, "write")).calibrate(x)
    trimmed = together.trim([child(0, "trim", k) for k in keys])
    y = trimmed.mvm(x, [child(0, "read", k) for k in keys])
    for member, key in enumerate(keys):
        alone = programmed(spec, weights, x, key).trim(child(0, "trim", key))
        np.testing.assert_array_equal(trimmed.trimmed[:, member], alone.trimmed[:, 0])
        np.testing.assert_array_equal(y[member], alone.mvm(x, child(0, "read", key)))
    with pytest.raises(SpecError, match="a generator a member"):
        together.trim(child(0, "trim"))


def test_what_cannot_be_trimmed_is_refused():
    ideal = programmed(chip(), np.ones((3, 2)), np.ones((1, 3)))
    with pytest.raises(CapabilityError, match="ideal converters have nothing to trim"):
        ideal.trim(child(0, "trim"))
    uncalibrated = manufacture(chip(adc=UniformADC()), (3, 2), 1).program(np.ones((3, 2)), child(0, "write"))
    with pytest.raises(CapabilityError, match="must be calibrated"):
        uncalibrated.trim(child(0, "trim"))
    xbar = programmed(chip(adc=UniformADC()), np.ones((3, 2)), np.ones((1, 3)))
    for levels, reads in ((1, 9), (9, 0)):
        with pytest.raises(SpecError, match="a line needs at least 2 levels and 1 read"):
            xbar.trim(child(0, "trim"), levels=levels, reads=reads)


def test_trims_do_not_depend_on_the_threads(on_threads):
    xbar = programmed(chip(adc=UniformADC(noise_lsb=1.0)), weights_of(4, (19, 40)), np.full((1, 19), 7.0))
    one, two = (on_threads(threads, lambda: xbar.trim(child(0, "trim")).trimmed) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_converters_whose_codes_do_not_follow_the_values_are_left_as_they_are():
    # offsets of many LSB pin one-bit converters at one of their codes
    adc = UniformADC(bits=1, range="full", offset_sigma_lsb=3.0)
    spec = chip(adc=adc, dac=BitSerialDAC(bits=1))
    weights, x = weights_of(4, (8, 40)), inputs_of(spec.dac, 20, 8)
    y = read(programmed(spec, weights, x).trim(child(0, "trim")), x)
    assert np.isfinite(y).all()
