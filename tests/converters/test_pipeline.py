"""A pipeline: what digital correction mends, and what finite gain and mismatched capacitors do to its codes."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.converters.kinds import element_count, table
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import PipelineADC

C1, C2, LOWER, UPPER = range(4)


def designed(adc, converters=1):
    return np.zeros((converters, element_count(adc, 2**adc.bits)), np.float32)


def in_lsb(v, bits):
    """A voltage in V_ref, half the range, from its middle -> LSB from the lowest level."""
    return (np.asarray(v) + 1) * 2 ** (bits - 1) - 0.5


def in_reach(u, bits):
    """Values u but those nearer to a transition than float32 thresholds tell."""
    return u[np.abs(u - np.floor(u) - 0.5) > 1e-4]


@pytest.mark.parametrize("offset", [-0.2499, 0.2499, "any"])
@pytest.mark.parametrize("bits", [2, 3, 8, 12])
def test_comparators_that_err_by_less_than_a_quarter_of_v_ref_are_corrected_exactly(bits, offset, codes_of):
    adc, stages = PipelineADC(bits=bits, comparator_sigma_rel=0.2499), bits - 1
    elements = designed(adc)
    of_stages = elements[:, :-1].reshape(stages, 4)[:, LOWER:]
    of_stages[:] = child(0, "off").uniform(-1, 1, (stages, 2)) if offset == "any" else np.sign(offset)
    u = in_reach(child(0, "u").uniform(-1, 2**bits, 4000), bits)
    np.testing.assert_array_equal(codes_of(adc, u, elements=elements), np.clip(np.rint(u), 0, 2**bits - 1))


@pytest.mark.parametrize("place", [LOWER, UPPER])
def test_a_comparator_that_errs_by_more_is_not_corrected(place, codes_of):
    adc, elements = PipelineADC(bits=8, comparator_sigma_rel=0.3), designed(PipelineADC(bits=8))
    elements[0, place] = 1 if place == UPPER else -1
    u = np.arange(256.0)
    wrong = u[codes_of(adc, u, elements=elements) != u]
    # the residue leaves the range beyond V_ref / 2, up to where the comparator trips
    voltages = np.abs((wrong + 0.5) / 128 - 1)
    assert wrong.size > 0
    assert voltages.min() > 0.5
    assert voltages.max() < 0.55


@pytest.mark.parametrize("offset", [-0.3, 0.1])
@pytest.mark.parametrize("bits", [1, 2, 3, 6])
def test_an_offset_of_the_last_comparator_moves_all_transitions_by_as_many_lsb(bits, offset, transitions_of):
    # it sees the value amplified by 2^(bits - 1), where an LSB is V_ref, and no stage behind it corrects it
    adc, elements = PipelineADC(bits=bits, comparator_sigma_rel=1), designed(PipelineADC(bits=bits))
    elements[0, -1] = offset
    np.testing.assert_allclose(transitions_of(adc, elements), np.arange(2**bits - 1) + 0.5 + offset, atol=1e-5)


@pytest.mark.parametrize("gain", [None, 10.0, 100.0])
@pytest.mark.parametrize(("c1", "c2"), [(1, 1), (1.1, 0.95), (0.9, 1.05)])
def test_the_transitions_of_one_stage_are_the_capacitors_shares_whatever_the_gain(c1, c2, gain, transitions_of):
    # 0 = (1 + C2/C1) V - d C2/C1: V = d C2 / (C1 + C2); the comparators' own -+ 1/4 move no code
    adc, elements = PipelineADC(bits=2, gain=gain, capacitor_sigma_rel=0.1), designed(PipelineADC(bits=2))
    elements[0, [C1, C2]] = (c1 - 1) / 0.1, (c2 - 1) / 0.1
    share = c2 / (c1 + c2)
    np.testing.assert_allclose(transitions_of(adc, elements), in_lsb([-share, 0, share], 2), atol=1e-5)


def test_the_residue_of_a_stage_is_that_of_its_capacitors_and_gain():
    # ((1 + C2/C1) V - d C2/C1) / (1 + 1/(A beta)), beta = C1 / (C1 + C2)
    adc = PipelineADC(bits=2, gain=50, capacitor_sigma_rel=0.1)
    elements = designed(adc)
    elements[0, [C1, C2]] = 1, -0.5
    c1, c2 = 1.1, 0.95
    settled = 1 + (c1 + c2) / c1 / 50
    expected = [(1 + c2 / c1) / settled, c2 / c1 / settled, -0.25, 0.25, 0]
    np.testing.assert_allclose(table(adc, 4, elements)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("gain", [10.0, 100.0])
def test_two_stages_of_finite_gain_push_the_outermost_transitions_outward(gain, transitions_of):
    # a = 2 / (1 + 2/A), s = a / 2. Behind d = +-1 the second stage changes codes at V1 = 0 and +-1/2, that is at
    # V = +-1/2 and +-(1/2 + 1/(2a)); what would stand at +-1/(2a) > 1/4 is cut off by the comparator, at 1/4
    outermost = 0.75 + 1 / (2 * gain)
    expected = [-outermost, -0.5, -0.25, 0, 0.25, 0.5, outermost]
    got = transitions_of(PipelineADC(bits=3, gain=gain))
    np.testing.assert_allclose(got, in_lsb(expected, 3), atol=1e-5)


@pytest.mark.parametrize(("gain", "sign"), [(None, 0), (200.0, 1)])
def test_finite_gain_leaves_out_codes_where_the_first_comparators_trip(gain, sign, codes_of):
    # the residue falls by s = 1 / (1 + 2/A) where the digit is worth 1: (1 - s) 2^(b-2) codes are skipped, less a
    # factor s for each stage that the residue passes
    bits, u = 12, np.arange(-0.5, 4096, 1 / 64)
    codes = codes_of(PipelineADC(bits=bits, gain=gain), u)
    assert (np.diff(codes) >= 0).all()
    s = 1 / (1 + 2 / gain) if gain else 1.0
    for v in (-0.25, 0.25):
        at = np.abs(u - in_lsb(v, bits)) < 0.5
        skipped = np.diff(codes[at]).max() - 1
        assert (skipped > 0) == (sign > 0)
        assert (1 - s) * 2 ** (bits - 2) * s**bits - 1 <= skipped <= (1 - s) * 2 ** (bits - 2)


@pytest.mark.parametrize(("c2", "sign"), [(1.02, -1), (0.98, 1)])
def test_capacitors_that_differ_repeat_or_skip_codes_by_the_sign_of_their_difference(c2, sign, codes_of):
    adc, elements = PipelineADC(bits=10, capacitor_sigma_rel=0.1), designed(PipelineADC(bits=10))
    elements[0, C2] = (c2 - 1) / 0.1
    u = in_lsb(0.25, 10) + np.array([-1e-3, 1e-3])
    before, after = codes_of(adc, u, elements=elements)
    # (1 - C2/C1) 2^(b-2) codes, to a code's rounding
    assert after - before == pytest.approx((1 - c2) * 2**8, abs=1)
    assert np.sign(after - before) == sign


def test_capacitors_and_comparators_of_every_stage_and_converter_spread_by_themselves(assert_moments):
    adc = PipelineADC(bits=5, capacitor_sigma_rel=0.001, comparator_sigma_rel=0.03)
    elements = child(0, "pipeline").normal(size=(20_000, element_count(adc, 32)))
    rows = table(adc, 32, elements).astype(float)
    stages = rows[:, :-1].reshape(-1, 4, 4)
    # C2/C1 spreads by sqrt(2) sigma; 1 + C2/C1 alike
    assert_moments(stages[..., 0] - 2, 0, 0.001 * np.sqrt(2))
    assert_moments(stages[..., 1] - 1, 0, 0.001 * np.sqrt(2))
    assert_moments(stages[..., 2] + 0.25, 0, 0.03)
    assert_moments(stages[..., 3] - 0.25, 0, 0.03)
    assert_moments(rows[:, -1], 0, 0.03)
    independent = np.column_stack([stages[..., 1:].reshape(20_000, -1), rows[:, -1]])
    correlations = np.corrcoef(independent.T)[np.triu_indices(independent.shape[1], 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gain", 0.5), ("capacitor_sigma_rel", 0.2), ("comparator_sigma_rel", 1.5), ("comparator_sigma_rel", -0.5)],
)
def test_values_beyond_their_limits_are_refused(name, value):
    with pytest.raises(SpecError, match=f"{name} = {value}: must be"):
        PipelineADC(**{name: value})
