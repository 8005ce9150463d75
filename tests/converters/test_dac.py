"""Inputs as codes, codes as the digits of cycles, and the levels that the converters of the rows make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.converters.dac import (
    accumulates,
    binary_signs,
    completion,
    conversion_weights,
    cycles,
    drives_both_ways,
    elements,
    input_step,
    largest_input,
    largest_value,
    row_errors,
    unit_input,
    values_may_be_negative,
)
from imcsim.kernels import reference
from imcsim.kernels.inputs import SIGNED, quantise_inputs
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC

BITS = (1, 2, 3, 8, 16)
ENCODINGS = ("twos_complement", "two_phase", "sign_magnitude")
ALL_DACS = [
    *(OneShotDAC(bits=bits, signed=signed) for bits in BITS for signed in (False, True)),
    *(BitSerialDAC(bits=bits, signed=signed) for bits in BITS for signed in (False, True)),
    *(BitSerialDAC(bits=8, signed=True, encoding=encoding, slice_bits=3) for encoding in ENCODINGS),
]
NAMES = [f"{i}-{dac.kind}-{dac.bits}-{'us'[dac.signed]}" for i, dac in enumerate(ALL_DACS)]
EVERY = pytest.mark.parametrize("dac", ALL_DACS, ids=NAMES)


@st.composite
def bit_serial(draw):
    bits, signed = draw(st.integers(1, 16)), draw(st.booleans())
    return BitSerialDAC(
        bits=bits,
        signed=signed,
        slice_bits=draw(st.integers(1, bits)),
        encoding=draw(st.sampled_from(ENCODINGS)) if signed else "twos_complement",
        accumulation=draw(st.sampled_from(["digital", "analog"])),
    )


def codes_of(dac):
    """Every code of a DAC; of more than 12 bits, some."""
    if dac.signed and dac.bits == 1:
        return np.array([-1, 1])
    top = 2 ** (dac.bits - 1) - 1 if dac.signed else 2**dac.bits - 1
    return np.unique(np.linspace(-top if dac.signed else 0, top, 4097).astype(np.int64))


# Cycles


@given(bit_serial() | st.sampled_from(ALL_DACS))
def test_the_digits_of_the_cycles_add_up_to_the_code(dac):
    driven, codes = cycles(dac), codes_of(dac)
    np.testing.assert_array_equal(reference.digits(codes, driven) @ driven.weights + completion(dac), codes)


@given(bit_serial())
def test_no_digit_takes_more_bits_than_a_slice_and_none_is_negative_but_with_a_sign(dac):
    digits = reference.digits(codes_of(dac), cycles(dac))
    assert np.abs(digits).max() <= 2**dac.slice_bits - 1
    assert drives_both_ways(dac) == (dac.signed and dac.encoding == "sign_magnitude")
    assert drives_both_ways(dac) or digits.min() >= 0
    assert (cycles(dac).part == SIGNED).any() == drives_both_ways(dac)


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ({"bits": 3}, [1, 2, 4]),
        ({"bits": 3, "signed": True}, [1, 2, -4]),
        ({"bits": 1, "signed": True}, [2]),
        ({"bits": 5, "slice_bits": 2}, [1, 4, 16]),
        ({"bits": 6, "slice_bits": 2, "signed": True}, [1, 4, 16, -32]),
        ({"bits": 5, "slice_bits": 3, "signed": True, "encoding": "two_phase"}, [1, 8, -1, -8]),
        ({"bits": 5, "slice_bits": 3, "signed": True, "encoding": "sign_magnitude"}, [1, 8]),
        ({"bits": 1, "signed": True, "encoding": "sign_magnitude"}, [1]),
    ],
)
def test_cycles_run_from_the_least_significant_slice(fields, weights):
    assert cycles(BitSerialDAC(**fields)).weights.tolist() == weights


def test_a_slice_that_does_not_divide_the_bits_leaves_fewer_to_the_last_cycle():
    assert cycles(BitSerialDAC(bits=8, slice_bits=3)).mask.tolist() == [7, 7, 3]
    assert cycles(BitSerialDAC(bits=9, slice_bits=3, signed=True)).mask.tolist() == [7, 7, 3, 1]


def test_only_signs_in_twos_complement_need_a_completion():
    for encoding in ENCODINGS:
        for bits in (1, 2, 8):
            dac = BitSerialDAC(bits=bits, signed=True, encoding=encoding)
            assert completion(dac) == (-1 if bits == 1 and encoding == "twos_complement" else 0)
    assert completion(OneShotDAC(bits=1, signed=True)) == completion(IdealDAC(signed=True)) == 0


# Sizes


@given(bit_serial())
def test_a_cell_gives_as_many_units_as_the_largest_digit(dac):
    assert unit_input(dac) == np.abs(reference.digits(codes_of(dac), cycles(dac))).max()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_a_full_input_in_one_shot_drives_a_cell_as_a_set_bit_does(bits, signed):
    dac = OneShotDAC(bits=bits, signed=signed)
    assert unit_input(dac) == largest_input(dac)
    assert unit_input(BitSerialDAC(bits=bits, signed=signed)) == 1


@given(bit_serial() | st.sampled_from(ALL_DACS))
def test_the_largest_value_is_what_some_input_gives(dac):
    driven = cycles(dac)
    given_by = reference.digits(codes_of(dac), driven)
    if accumulates(dac):
        given_by = given_by @ driven.weights
    most, told = np.abs(given_by).max(), largest_value(dac)
    # in two's complement the sign bit alone would be one more than the smallest code
    one_more = accumulates(dac) and dac.signed and dac.encoding == "twos_complement" and dac.bits > 1
    assert told == most + one_more
    assert values_may_be_negative(dac) or given_by.min() >= 0
    if given_by.min() < 0:
        assert values_may_be_negative(dac)


def test_cycles_that_accumulate_are_one_conversion():
    for signed in (False, True):
        apart = BitSerialDAC(bits=4, signed=signed)
        np.testing.assert_array_equal(conversion_weights(apart), cycles(apart).weights)
        assert conversion_weights(apart.replace("accumulation", "analog")).tolist() == [1]
    assert conversion_weights(OneShotDAC()).tolist() == [1]


def test_an_ideal_converter_drives_rows_by_at_most_one():
    for signed in (False, True):
        dac = IdealDAC(signed=signed)
        assert largest_input(dac) == unit_input(dac) == largest_value(dac) == 1
        assert drives_both_ways(dac) == values_may_be_negative(dac) == signed
        assert elements(dac) == 0


# Codes and their step


@EVERY
def test_the_largest_input_is_the_largest_code(dac):
    assert largest_input(dac) == codes_of(dac).max()
    assert binary_signs(dac) == (codes_of(dac).tolist() == [-1, 1] and dac.bits == 1)


@EVERY
def test_the_max_step_gives_the_largest_input_the_largest_code(dac):
    x = np.array([0.3, -2.0 if dac.signed else 2.0, 1.0])
    assert input_step(dac, x) == 2.0 / largest_input(dac)
    assert input_step(IdealDAC(signed=dac.signed), x) == 2.0


@EVERY
def test_the_mse_step_loses_no_more_than_any_of_a_scan(dac):
    dac = dac.replace("out_of_range", "clip").replace("input_scale", "mse")
    rng, top = child(0, "inputs"), largest_input(dac)
    x = rng.normal(size=1000) if dac.signed else np.abs(rng.normal(size=1000))

    def lost(step):
        codes, _ = quantise_inputs(x[None], step, -top if dac.signed else 0, top, binary_signs(dac))
        return float(np.square(x - step * codes[0]).sum())

    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    luck = 1 + 5 * np.sqrt(0.8 / x.size)
    widest = np.abs(x).max() / top
    assert lost(input_step(dac, x)) <= luck * min(lost(step) for step in widest * np.linspace(0.05, 1, 500))


@EVERY
def test_inputs_that_are_all_zero_have_a_step_nevertheless(dac):
    for of in (dac, dac.replace("out_of_range", "clip").replace("input_scale", "mse"), IdealDAC()):
        assert input_step(of, np.zeros((4, 3))) > 0


# The converters of the rows


def levels_of(dac, rows=40_000, spread=1.0):
    rng, size = child(0, "levels"), elements(dac)
    return row_errors(dac, spread * rng.normal(size=(1, 1, rows, 1)), rng.normal(size=(1, 1, rows, size))).levels[0, 0]


@pytest.mark.parametrize("d", [1, 5, 10, 14])
def test_the_levels_of_matched_units_are_a_brownian_bridge(assert_moments, d):
    dac, sigma, size = OneShotDAC(bits=4, unit_sigma_rel=0.01), 0.01, 15
    # INL of a string of D units with its ends tied: sigma sqrt(d (1 - d / D)) LSB
    assert_moments(levels_of(dac)[:, d] - d, 0.0, sigma * np.sqrt(d * (1 - d / size)))


def test_the_ends_of_the_levels_are_exact_ahead_of_the_gain(assert_moments):
    levels = levels_of(OneShotDAC(bits=4, unit_sigma_rel=0.1))
    assert levels.shape == (40_000, 16)
    assert (levels[:, 0] == 0).all()
    np.testing.assert_allclose(levels[:, -1], 15, rtol=1e-6)
    levels = levels_of(OneShotDAC(bits=4, gain_sigma_rel=0.03))
    assert_moments(levels[:, -1] / 15, 1.0, 0.03)
    np.testing.assert_allclose(levels, levels[:, -1:] * np.arange(16) / 15, rtol=1e-6)


def test_levels_are_those_of_the_slice_that_drives_a_row():
    dac = BitSerialDAC(bits=8, slice_bits=3, unit_sigma_rel=0.01, noise_lsb=0.2)
    assert elements(dac) == 7
    assert levels_of(dac, rows=5).shape == (5, 8)
    assert row_errors(dac, np.zeros((1, 1, 5, 1)), np.zeros((1, 1, 5, 7))).noise_lsb == 0.2


@EVERY
def test_exact_converters_have_neither_elements_nor_errors(dac):
    assert elements(dac) == 0
    assert row_errors(dac, np.zeros((1, 1, 5, 1)), np.zeros((1, 1, 5, 0))) is None


@pytest.mark.parametrize("rows_parallel", [None, 5, 4, 3])
@pytest.mark.parametrize("rows", [20, 13])
def test_a_row_is_driven_by_its_own_levels_however_many_are_read_at_a_time(rows, rows_parallel):
    array, dac = ArraySpec(rows=10, rows_parallel=rows_parallel), OneShotDAC(bits=4, gain_sigma_rel=0.1)
    die = manufacture(ChipSpec(cell=SramCell(), array=array, dac=dac, adc=IdealADC()), (rows, 6), 3)
    rng = child(0, "rows")
    xbar, codes = die.program(rng.normal(size=(rows, 6)), rng), rng.integers(0, 16, (7, rows))
    levels = die.dac.levels.reshape(-1, 16)[np.arange(rows), codes]
    # inputs run from 0 to 1 until the crossbar is calibrated
    np.testing.assert_allclose(xbar.mvm(codes / 15, rng), levels / 15 @ xbar.written, rtol=1e-5, atol=1e-5)
