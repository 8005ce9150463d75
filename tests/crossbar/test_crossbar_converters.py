"""Every ADC through a crossbar: without errors they agree, and their errors follow from closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossbar_chips import MAPPINGS, by_cells, by_conversions, chip, inputs_of, programmed, read, weights_of

from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import FlashADC, IdealADC, MeasuredADC, PipelineADC, RampADC, SarADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, OneShotDAC

N = 40_000  # columns or samples of a statistic

# mismatched cells without noise, so that values lie anywhere between the codes
CELL = SramCell(mismatch_sigma_rel=0.2)


def adcs(**ranged):
    """A converter of each kind, without errors, of 4 bits."""
    measured = {"transitions": tuple(k + 0.5 for k in range(15))}
    # certain codes but within 2^-13 LSB of a transition
    steps = [k + 0.5 + side * 2.0**-13 for k in range(15) for side in (-1, 1)]
    certain = {"inputs": tuple(steps), "probabilities": tuple(one_hot(round(s)) for s in steps)}
    kinds = [SarADC, RampADC, FlashADC, PipelineADC]
    return {
        **{kind.kind: kind(bits=4, **ranged) for kind in kinds},
        "split sar": SarADC(bits=4, split_bits=2, **ranged),
        "measured transitions": MeasuredADC(bits=4, **measured, **ranged),
        "measured probabilities": MeasuredADC(bits=4, **certain, **ranged),
    }


def one_hot(code):
    return tuple(float(k == code) for k in range(16))


@pytest.mark.parametrize("range_", ["mse", "full"])
@pytest.mark.parametrize("dac", [BitSerialDAC(bits=3, signed=True), OneShotDAC(bits=3)], ids=lambda dac: dac.kind)
@pytest.mark.parametrize("subtraction", ["digital", "analog"])
@pytest.mark.parametrize("adc", adcs())
def test_a_converter_without_errors_gives_the_codes_of_the_uniform_one(adc, subtraction, dac, range_):
    spec = chip(cell=CELL, dac=dac, subtraction=subtraction, adc=UniformADC(bits=4, range=range_))
    weights, x = weights_of(4, (19, 5)), inputs_of(dac, 40, 19)
    uniform = read(programmed(spec, weights, x), x)
    other = read(programmed(spec.replace("adc", adcs(range=range_)[adc]), weights, x), x)
    # a value within float32 of a transition may fall either way
    assert (np.abs(other - uniform) > 1e-9).mean() < (0.02 if adc == "measured probabilities" else 0.002)
    assert (np.abs(other - read(programmed(spec.replace("adc.bits", 2), weights, x), x)) > 1e-9).mean() > 0.1


def converting_a_constant(adc, value, columns, *, array=None):
    """The codes of `columns` columns, each with a converter of its own, that all take `value` MAC units."""
    spec = chip(mapping="offset", weight_bits=1, rows=1, adc=adc, dac=OneShotDAC(bits=16), **(array or {}))
    top = 2**16 - 1
    xbar = programmed(spec, np.ones((1, columns)), np.full((1, 1), float(top)))
    y = read(xbar, np.full(1, float(value)))
    return (y + value) / 2  # a weight of 1 is stored as one cell on: 2 v - v


GIVEN = {"range": "given", "lo": 0.0, "hi": 255.0}  # 8 bits: codes of one MAC unit


@pytest.mark.parametrize(("errors", "std"), [({"offset_sigma_lsb": 3.0}, 3.0), ({"gain_sigma_rel": 0.02}, 0.02 * 100)])
@pytest.mark.parametrize("kind", [UniformADC, SarADC, RampADC, PipelineADC, FlashADC], ids=lambda kind: kind.kind)
def test_offsets_and_gains_are_drawn_once_a_column(kind, errors, std, assert_moments):
    codes = converting_a_constant(kind(bits=8, **GIVEN, **errors), 100, N)
    assert_moments(codes, 100, math.sqrt(std**2 + 1 / 12))


def test_noise_of_a_conversion_is_drawn_at_each(assert_moments):
    for kind in (UniformADC, SarADC, PipelineADC):
        codes = converting_a_constant(kind(bits=8, noise_lsb=3.0, **GIVEN), 100, N)
        assert_moments(codes, 100, math.sqrt(9 + 1 / 12))


def test_the_comparators_of_a_ramp_offset_its_columns(assert_moments):
    codes = converting_a_constant(RampADC(bits=8, comparator_sigma_lsb=3.0, **GIVEN), 100, N)
    assert_moments(codes, 100, math.sqrt(9 + 1 / 12))


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_the_comparators_of_a_flash_trip_each_by_itself(sigma, assert_moments):
    codes = converting_a_constant(FlashADC(bits=8, comparator_sigma_lsb=sigma, **GIVEN), 100, N)
    # the code is the number of comparators that trip, each with probability Phi((v - t_k) / sigma)
    p = np.array([0.5 * math.erfc((k + 0.5 - 100) / sigma / math.sqrt(2)) for k in range(255)])
    assert_moments(codes, p.sum(), math.sqrt((p * (1 - p)).sum()))


def test_a_string_of_resistors_bends_the_codes_as_a_brownian_bridge(assert_moments):
    sigma, k = 0.14, 128
    codes = converting_a_constant(FlashADC(bits=8, unit_sigma_rel=sigma, **GIVEN), k, N)
    # the code counts the taps below: it errs by the bridge at tap k, rounded
    assert_moments(codes, k, math.sqrt(sigma**2 * k * (1 - k / 256) + 1 / 12))


def test_the_capacitors_of_a_sar_err_by_the_units_that_a_code_takes():
    sigma = 0.14
    codes = converting_a_constant(SarADC(bits=10, unit_sigma_rel=sigma, range="given", lo=0, hi=1023), 512, N)
    # the first decision compares with half of the units, whose share errs by sigma sqrt(2^b) / 2 LSB: below 512 where
    # it lies more than half an LSB too high
    wrong, deviation = (codes < 512).mean(), sigma * math.sqrt(1024) / 2
    expected = 0.5 * math.erfc(0.5 / deviation / math.sqrt(2))
    assert abs(wrong - expected) < 5 * math.sqrt(expected * (1 - expected) / N)
    assert abs(wrong - 0.5) > 5 * math.sqrt(0.25 / N)


def test_columns_that_share_a_converter_share_its_errors():
    array = {"cols": 6}
    errors = {"offset_sigma_lsb": 3.0, "gain_sigma_rel": 0.02}
    shared = converting_a_constant(UniformADC(bits=8, columns_per_adc=3, **GIVEN, **errors), 100, 18, array=array)[0:18]
    own = converting_a_constant(UniformADC(bits=8, **GIVEN, **errors), 100, 18, array=array)
    by_converter = shared.reshape(6, 3)
    assert (by_converter == by_converter[:, :1]).all()
    assert len(set(by_converter[:, 0])) > 3
    # the first column of each keeps the errors that it has by itself
    np.testing.assert_array_equal(by_converter[:, 0], own[::3])
    assert (shared != own).mean() > 0.3


@pytest.mark.parametrize("kind", [SarADC, RampADC, FlashADC, PipelineADC], ids=lambda kind: kind.kind)
def test_columns_that_share_a_converter_share_what_it_is_made_of(kind):
    elements = {
        SarADC: {"unit_sigma_rel": 0.14},
        RampADC: {"unit_sigma_rel": 0.14},
        FlashADC: {"comparator_sigma_lsb": 2.0},
        PipelineADC: {"capacitor_sigma_rel": 0.05},
    }[kind]
    adc = kind(bits=8, columns_per_adc=2, **GIVEN, **elements)
    # neighbours read the same at every value, where others, in other arrays for a ramp, do not
    codes = np.stack([converting_a_constant(adc, v, 8, array={"cols": 4}) for v in range(20, 240, 7)])
    np.testing.assert_array_equal(codes[:, 0::2], codes[:, 1::2])
    assert (codes[:, 0] != codes[:, 4]).any()
    assert (codes[:, 0] != codes[:, 2]).any() == (kind is not RampADC)  # one ramp an array


# Unbiased rounding


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_the_mean_of_stochastic_rounding_is_the_unconverted_value(mapping):
    adc = UniformADC(bits=6, range="given", lo=-80.0, hi=80.0, rounding="stochastic")  # an LSB of 2.58 MAC units
    dac = BitSerialDAC(bits=3, slice_bits=3)
    spec = chip(cell=CELL, mapping=mapping, adc=adc, dac=dac)
    weights, x = weights_of(4, (19, 6)), inputs_of(dac, 2, 19)
    xbar = programmed(spec, weights, x)
    value = read(programmed(spec.replace("adc", IdealADC()), weights, x), x)[1]
    y = read(xbar, np.tile(x[1], (N, 1)))
    deviation = y.std(axis=0)
    assert (deviation > 0).all()
    assert (np.abs(y.mean(axis=0) - value) < 5 * deviation / math.sqrt(N)).all()
    # to the nearest code is the same every time, and so is its error
    nearest = read(programmed(spec.replace("adc.rounding", "nearest"), weights, x), np.tile(x[1], (3, 1)))
    np.testing.assert_array_equal(nearest, nearest[:1].repeat(3, axis=0))
    assert (np.abs(nearest[0] - value) > 5 * deviation / math.sqrt(N)).mean() > 0.5


def test_the_variance_of_stochastic_rounding_is_that_of_a_coin(assert_moments):
    adc = UniformADC(bits=8, rounding="stochastic", range="given", lo=0.0, hi=255.0 * 4)
    for value, p in ((101, 0.25), (102, 0.5)):
        codes = converting_a_constant(adc, value, N) / 4
        assert_moments(codes, value / 4, math.sqrt(p * (1 - p)))


def test_rounding_to_nearest_of_a_value_in_noise_is_unbiased_where_the_noise_is_wide_and_else_not():
    for noise_lsb, biased in ((0.05, True), (1.0, False)):
        adc = UniformADC(bits=8, noise_lsb=noise_lsb, range="given", lo=0.0, hi=255.0 * 4)
        codes = converting_a_constant(adc, 101, N) / 4
        assert (abs(codes.mean() - 101 / 4) > 5 * max(codes.std(), 1e-3) / math.sqrt(N)) == biased


# Signal to noise


def test_the_noise_to_signal_of_an_array_is_the_sum_of_its_parts():
    n, sigma, noise = 64, 0.05, 0.04
    rng = child(0, "signs")
    weights, x = rng.choice([-1.0, 1.0], (n, 400)), rng.integers(0, 2, (400, n)).astype(float)
    x[0] = 1
    lsb = 2.3  # 5 bits cover the 64 rows; whole sums lie at 23 places between two codes
    cell = SramCell(mismatch_sigma_rel=sigma, read_noise_rel=noise)
    spec = chip(cell=cell, rows=n, cols=128, weight_bits=1, dac=BitSerialDAC(bits=1))
    exact = x @ weights
    parts = {
        "mismatch": sigma**2 * x.sum(axis=1).mean(),  # one conducting cell of the pair a driven row
        "read noise": noise**2 * x.sum(axis=1).mean(),
        "conversion": 2 * lsb**2 / 12,  # of both polarities
    }

    def noise_power(cell, adc):
        return np.mean((read(programmed(spec.replace("cell", cell).replace("adc", adc), weights, x), x) - exact) ** 2)

    coarse = UniformADC(bits=5, range="given", lo=0.0, hi=31 * lsb)
    measured = noise_power(cell, coarse)
    assert measured == pytest.approx(sum(parts.values()), rel=0.05)
    alone = {
        "mismatch": noise_power(cell.replace("read_noise_rel", 0.0), IdealADC()),
        "read noise": noise_power(cell.replace("mismatch_sigma_rel", 0.0), IdealADC()),
    }
    for part, power in alone.items():
        assert power == pytest.approx(parts[part], rel=0.05), part
    signal = np.var(exact)
    assert signal / measured == pytest.approx(1 / sum(part / signal for part in parts.values()), rel=0.05)


def test_converters_of_a_die_differ_from_those_of_another():
    spec = chip(adc=FlashADC(bits=4, comparator_sigma_lsb=1.0, offset_sigma_lsb=1.0))
    one, again, other = (manufacture(spec, (19, 5), key).adc for key in (1, 1, 2))
    np.testing.assert_array_equal(one.elements, again.elements)
    assert (one.elements != other.elements).mean() > 0.99
    assert (one.offset_lsb != other.offset_lsb).mean() > 0.99


@pytest.mark.parametrize("by", [by_cells, by_conversions])
def test_engines_agree_on_what_is_not_exact(by):
    adc = UniformADC(bits=5, offset_sigma_lsb=0.5, gain_sigma_rel=0.05)
    for dac in (BitSerialDAC(bits=3), OneShotDAC(bits=3, signed=True), BitSerialDAC(bits=4, slice_bits=2)):
        spec = chip(cell=CELL, adc=adc, dac=dac)
        weights, x = weights_of(4, (19, 5)), inputs_of(dac, 40, 19)
        xbar = programmed(spec, weights, x)
        # a value within float32 of a transition may fall either way
        assert (np.abs(read(by(xbar), x) - read(xbar, x)) > 1e-9 * np.abs(x @ weights).max()).mean() < 0.01
