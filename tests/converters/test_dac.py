"""Inputs as codes, and codes as the bits of cycles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.converters.dac import cycle_weights, input_codes, input_step, largest_input, serial_codes, unit_input
from imcsim.rng import child
from imcsim.specs.converters import BitSerialDAC, OneShotDAC

BITS = (1, 2, 3, 8, 16)
KINDS = (BitSerialDAC, OneShotDAC)
ALL_DACS = [kind(bits=bits, signed=signed) for kind in KINDS for bits in BITS for signed in (False, True)]
EVERY = pytest.mark.parametrize("dac", ALL_DACS, ids=lambda dac: f"{dac.kind}-{dac.bits}-{'us'[dac.signed]}")


def codes_of(dac):
    """Every code of a DAC; of 16 bits, some."""
    if dac.signed and dac.bits == 1:
        return np.array([-1, 1])
    top = 2 ** (dac.bits - 1) - 1 if dac.signed else 2**dac.bits - 1
    return np.unique(np.linspace(-top if dac.signed else 0, top, 1001).astype(np.int64))


@EVERY
def test_the_largest_input_is_the_largest_code(dac):
    assert largest_input(dac) == codes_of(dac).max()


@EVERY
def test_inputs_that_are_codes_keep_their_values(dac):
    step = 0.125
    np.testing.assert_array_equal(input_codes(dac, codes_of(dac) * step, step), codes_of(dac))


@EVERY
def test_inputs_saturate_at_the_outermost_codes(dac):
    far = input_codes(dac, np.array([-1e9, 1e9]), 0.1)
    assert far.tolist() == [codes_of(dac).min(), codes_of(dac).max()]


@given(st.sampled_from(ALL_DACS), hnp.arrays(float, 20, elements=st.floats(0, 50)), st.floats(0.1, 10))
def test_inputs_within_range_are_off_by_half_a_step_at_most(dac, x, step):
    if dac.signed and dac.bits == 1:
        return  # two codes: there is no half step
    x = np.minimum(x, largest_input(dac) * step)
    assert np.abs(input_codes(dac, x, step) * step - x).max() <= step / 2 * (1 + 1e-9)


def test_signed_inputs_of_one_bit_are_signs():
    for kind in (BitSerialDAC, OneShotDAC):
        dac = kind(bits=1, signed=True)
        assert input_codes(dac, np.array([-3.0, -1e-9, 0.0, 2.0]), 1.0).tolist() == [-1, -1, 1, 1]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_the_bits_of_the_cycles_add_up_to_the_code(bits, signed):
    dac = BitSerialDAC(bits=bits, signed=signed)
    weights, completion = cycle_weights(dac)
    entering = serial_codes(dac, codes_of(dac))
    planes = entering[:, None] >> np.arange(bits) & 1
    assert weights.shape == (bits,)
    np.testing.assert_array_equal(planes @ weights + completion, codes_of(dac))


def test_cycles_run_from_the_least_significant_bit():
    assert cycle_weights(BitSerialDAC(bits=3))[0].tolist() == [1, 2, 4]
    assert cycle_weights(BitSerialDAC(bits=3, signed=True))[0].tolist() == [1, 2, -4]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_a_full_input_in_one_shot_drives_a_cell_as_a_set_bit_does(bits, signed):
    dac = OneShotDAC(bits=bits, signed=signed)
    assert unit_input(dac) == largest_input(dac)
    assert unit_input(BitSerialDAC(bits=bits, signed=signed)) == 1


@EVERY
def test_the_max_step_gives_the_largest_input_the_largest_code(dac):
    x = np.array([0.3, -2.0 if dac.signed else 2.0, 1.0])
    step = input_step(type(dac)(bits=dac.bits, signed=dac.signed, input_scale="max"), x)
    assert step == 2.0 / largest_input(dac)
    assert np.abs(input_codes(dac, x, step)).max() == largest_input(dac)


@EVERY
def test_the_mse_step_loses_no_more_than_any_of_a_scan(dac):
    rng = child(0, "inputs")
    x = rng.normal(size=1000) if dac.signed else np.abs(rng.normal(size=1000))

    def lost(step):
        return float(np.square(x - step * input_codes(dac, x, step)).sum())

    widest = np.abs(x).max() / largest_input(dac)
    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    luck = 1 + 5 * np.sqrt(0.8 / x.size)
    assert lost(input_step(dac, x)) <= luck * min(lost(step) for step in widest * np.linspace(0.05, 1, 500))


@EVERY
def test_inputs_that_are_all_zero_have_a_step_nevertheless(dac):
    assert input_step(dac, np.zeros((4, 3))) > 0
