"""A measured converter gives back what was measured: its transitions, or how often each code came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imcsim.converters.kinds import table
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import MeasuredADC
from imcsim.specs.codec import build, format_toml, parse_toml, to_table

FIVE_SIGMA = 2 * stats.norm.sf(5)
INPUTS = (0.0, 1.0, 3.0)
PROBABILITIES = ((0.9, 0.1, 0.0, 0.0), (0.2, 0.5, 0.3, 0.0), (0.0, 0.0, 0.25, 0.75))
FITTED = MeasuredADC(bits=2, inputs=INPUTS, probabilities=PROBABILITIES)


def test_measured_transitions_are_the_transitions(transitions_of):
    # whole numbers of 2^-16 LSB: exact in float32
    measured = np.sort(child(0, "transitions").integers(0, 2**20, 15)) / 2.0**16
    adc = MeasuredADC(bits=4, transitions=tuple(measured))
    np.testing.assert_allclose(transitions_of(adc), measured, rtol=0, atol=2.0**-19)


def test_the_code_is_the_number_of_transitions_passed(codes_of):
    measured = np.sort(child(0, "transitions").uniform(0, 16, 15))
    u = child(0, "u").uniform(-1, 17, 2000)
    codes = codes_of(MeasuredADC(bits=4, transitions=tuple(measured)), u)
    np.testing.assert_array_equal(codes, (measured < u[:, None]).sum(axis=1))


def test_the_code_between_two_equal_transitions_is_missing(codes_of):
    codes = codes_of(MeasuredADC(bits=2, transitions=(0.5, 1.2, 1.2)), np.linspace(-1, 4, 1001))
    assert set(codes) == {0, 1, 3}


def test_a_range_of_one_code_less_saturates_below_the_last_code(codes_of):
    transitions = MeasuredADC(bits=2, transitions=(0.5, 1.5, 2.5))
    assert codes_of(transitions, np.array([0.0, 1.0, 2.0, 3.0, 9.0]), 3).tolist() == [0, 1, 2, 2, 2]
    assert set(codes_of(FITTED, np.full(1000, 3.0), 3)) == {2}
    assert set(codes_of(FITTED, np.full(1000, 3.0))) == {2, 3}


def agree(codes, probabilities):
    """Whether codes come as often as probabilities (codes,) say: chi-square at five sigma; impossible ones never."""
    probabilities = np.asarray(probabilities)
    counts = np.bincount(codes, minlength=probabilities.size)
    possible = probabilities > 0
    if counts[~possible].any():
        return False
    return stats.chisquare(counts[possible], codes.size * probabilities[possible]).pvalue > FIVE_SIGMA


@pytest.mark.parametrize(
    ("u", "shares"),
    [
        (0.0, (1, 0, 0)),
        (1.0, (0, 1, 0)),
        (3.0, (0, 0, 1)),
        (0.25, (0.75, 0.25, 0)),
        (1.5, (0, 0.75, 0.25)),
        (-5.0, (1, 0, 0)),
        (9.0, (0, 0, 1)),
    ],
)
def test_codes_come_as_often_as_the_mixture_of_the_neighbouring_inputs_says(u, shares, codes_of):
    codes = codes_of(FITTED, np.full(100_000, u))
    assert agree(codes, np.array(shares) @ PROBABILITIES)
    # 5 % of the mixture taken from an input that has a share, and given to a neighbour
    off = np.array(shares, float)
    source = off.argmax()
    off[[source, source - 1 if source else 1]] += -0.05, 0.05
    assert not agree(codes, off @ PROBABILITIES)


def test_a_code_that_was_never_seen_never_comes(codes_of):
    codes = codes_of(FITTED, np.full(1_000_000, 0.0))
    assert set(codes) == {0, 1}
    assert set(codes_of(FITTED, np.full(1_000_000, 3.0))) == {2, 3}


def test_conversions_draw_independently(codes_of):
    codes = codes_of(FITTED, np.full(100_000, 1.0)).astype(float)
    other = codes_of(FITTED, np.full(100_000, 1.0), key=2).astype(float)
    for a, b in ((codes[1:], codes[:-1]), (codes[64:], codes[:-64]), (codes, other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size)


def test_one_input_is_one_distribution_everywhere(codes_of):
    adc = MeasuredADC(bits=1, inputs=(0.5,), probabilities=((0.3, 0.7),))
    for u in (-9.0, 0.5, 9.0):
        assert agree(codes_of(adc, np.full(50_000, u)), (0.3, 0.7))


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32))
def test_the_table_holds_distribution_functions(bits, inputs, seed):
    rng = child(seed, "probabilities")
    rows = rng.dirichlet(np.ones(2**bits), inputs)
    levels = np.cumsum(rng.uniform(0.1, 1, inputs))
    adc = MeasuredADC(bits=bits, inputs=tuple(levels), probabilities=tuple(tuple(row) for row in rows))
    made = table(adc, 2**bits, np.zeros((2, 0)))
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_allclose(made[0, :inputs], levels, rtol=1e-6)
    cumulative = made[0, inputs:].reshape(inputs, 2**bits - 1)
    np.testing.assert_allclose(cumulative, np.cumsum(rows, axis=1)[:, :-1], atol=1e-6)


@pytest.mark.parametrize("adc", [FITTED, MeasuredADC(bits=2, transitions=(0.4, 1.5, 2.75))])
def test_a_measured_converter_reads_back_from_its_text(adc):
    problems = []
    assert build(MeasuredADC, parse_toml(format_toml(to_table(adc))), (), problems) == adc
    assert problems == []


def test_a_measurement_given_anew_sets_the_other_form_aside():
    by_transitions = FITTED.replace("transitions", (0.5, 1.5, 2.5))
    assert (by_transitions.inputs, by_transitions.probabilities) == (None, None)
    assert by_transitions.replace("range", "full").transitions == (0.5, 1.5, 2.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "transitions: give either transitions, or inputs and probabilities: none of them are given"),
        (
            {"transitions": (0.5, 1.5, 2.5), "inputs": INPUTS, "probabilities": PROBABILITIES},
            "transitions: give either transitions, or inputs and probabilities: all of them are given",
        ),
        ({"inputs": INPUTS}, "transitions: give either transitions, or inputs and probabilities: inputs are given"),
        (
            {"probabilities": PROBABILITIES},
            "transitions: give either transitions, or inputs and probabilities: probabilities are given",
        ),
        ({"transitions": (0.5, 1.5)}, "transitions = 2 numbers: must be 2^bits - 1 = 3 numbers"),
        ({"transitions": (0.5, 2.5, 1.5)}, "transitions: must not decrease: 1.5 follows 2.5 at place 2"),
        ({"inputs": (), "probabilities": ()}, "inputs = []: must hold an input level or more"),
        (
            {"inputs": (0, 2, 2), "probabilities": PROBABILITIES},
            "inputs: must increase: 2 follows 2 at place 2",
        ),
        ({"inputs": (0, 1), "probabilities": PROBABILITIES}, "probabilities = 3 lists: must be 2 lists, one an input"),
        (
            {"inputs": (0, 1), "probabilities": ((0, 0, 0, 1), (0, 1))},
            "probabilities = 2 numbers: list 1 must be 2^bits = 4 numbers",
        ),
        (
            {"inputs": (0, 1), "probabilities": ((0, 0, 0, 1), (0.5, 0.5, 0.1, 0))},
            "probabilities = sum 1.1: list 1 must sum to 1 within 1e-6",
        ),
    ],
)
def test_what_is_no_measurement_is_refused(values, message):
    with pytest.raises(SpecError) as caught:
        MeasuredADC(bits=2, **values)
    assert str(caught.value) == message


@pytest.mark.parametrize("row", [(1.5, -0.5, 0, 0), ("a", 0, 0, 1), (float("nan"), 0, 0, 1), 1.0])
def test_what_is_no_probability_is_refused(row):
    with pytest.raises(SpecError, match="must be a list, each a list, each a finite number from 0 to 1"):
        MeasuredADC(bits=2, inputs=(0.0,), probabilities=(row,))


def test_a_sum_that_is_one_but_for_rounding_is_taken():
    MeasuredADC(bits=2, inputs=(0.0,), probabilities=((0.25, 0.25, 0.25, 0.25 + 9e-7),))
    with pytest.raises(SpecError, match="must sum to 1"):
        MeasuredADC(bits=2, inputs=(0.0,), probabilities=((0.25, 0.25, 0.25, 0.25 + 2e-6),))
