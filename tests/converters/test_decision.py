"""One battery for every kind of converter: as designed it takes the nearest code, and its spec says all it is."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.converters.kinds import (
    converter_offsets,
    decision_kind,
    decision_noise_lsb,
    element_count,
    shared_by_array,
    table,
)
from imcsim.kernels.decide import STOCHASTIC
from imcsim.rng import child
from imcsim.specs.adc import (
    ADC,
    FlashADC,
    IdealADC,
    MeasuredADC,
    PipelineADC,
    RampADC,
    SarADC,
    UniformADC,
)
from imcsim.specs.array import ArraySpec


def measured_transitions(bits):
    return MeasuredADC(bits=bits, transitions=tuple(np.arange(2**bits - 1) + 0.5))


def measured_steps(bits):
    """P(code | input) of a converter that never errs: certain to 2^-10 LSB either side of each transition."""
    ends = np.sort(np.concatenate([np.arange(2**bits - 1) + 0.5 + sign * 2.0**-10 for sign in (-1, 1)]))
    return MeasuredADC(
        bits=bits,
        inputs=tuple(ends),
        probabilities=tuple(tuple(row) for row in np.eye(2**bits)[np.rint(ends).astype(int)]),
    )


MADE = {
    "uniform": lambda bits: UniformADC(bits=bits),
    "sar": lambda bits: SarADC(bits=bits),
    "split sar": lambda bits: SarADC(bits=bits, split_bits=bits // 2 if bits > 1 else None),
    "ramp": lambda bits: RampADC(bits=bits),
    "flash": lambda bits: FlashADC(bits=min(bits, 8)),
    "pipeline": lambda bits: PipelineADC(bits=bits),
    "measured transitions": measured_transitions,
    "measured probabilities": lambda bits: measured_steps(min(bits, 8)),
}
EVERY = pytest.mark.parametrize("kind", MADE)


def test_the_battery_has_every_kind_of_converter():
    assert {type(made(4)) for made in MADE.values()} | {IdealADC} == set(typing.get_args(ADC))


@EVERY
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 6, 8, 12])
def test_a_converter_as_designed_takes_the_nearest_code(bits, symmetric, kind, codes_of):
    adc = MADE[kind](bits)
    levels = 2**adc.bits - (1 if symmetric and adc.bits > 1 else 0)
    u = child(0, "u", bits).uniform(-2, levels + 1, 20_000)
    u = np.concatenate([u[np.abs(u - np.floor(u) - 0.5) > 2e-3], np.arange(levels), [-1e6, 1e6]])
    np.testing.assert_array_equal(codes_of(adc, u, levels), np.clip(np.rint(u), 0, levels - 1))


@EVERY
def test_a_table_has_a_row_an_owner_and_shared_ones_are_those_of_ramps_and_measurements(kind):
    adc = MADE[kind](5)
    elements = child(0, "elements").normal(size=(7, element_count(adc, 32))).astype(np.float32)
    rows = table(adc, 32, elements)
    assert rows.shape[0] == 7
    assert rows.dtype == np.float32
    assert shared_by_array(adc) == isinstance(adc, (RampADC, MeasuredADC))


@EVERY
def test_without_spread_the_elements_change_nothing(kind):
    adc = MADE[kind](5)
    elements = child(0, "elements").normal(size=(7, element_count(adc, 32))).astype(np.float32)
    np.testing.assert_array_equal(table(adc, 32, elements), table(adc, 32, 0 * elements))


@EVERY
def test_only_a_sar_is_noisy_at_its_decisions_and_only_a_ramp_adds_offsets(kind):
    adc, normals = MADE[kind](5), child(0, "offsets").normal(size=9).astype(np.float32)
    assert decision_noise_lsb(adc) == 0
    np.testing.assert_array_equal(converter_offsets(adc, normals), np.zeros(9))
    assert decision_noise_lsb(SarADC(comparator_noise_lsb=0.3)) == 0.3
    np.testing.assert_allclose(converter_offsets(RampADC(comparator_sigma_lsb=2), normals), 2 * normals)


def test_a_uniform_converter_rounds_as_its_spec_says_and_an_ideal_one_leaves_its_values(codes_of):
    assert decision_kind(UniformADC(rounding="stochastic")) == STOCHASTIC
    u = np.full(20, 2.5)
    assert set(codes_of(UniformADC(rounding="stochastic"), u)) == {2, 3}
    assert table(IdealADC(), 1, np.zeros((3, element_count(IdealADC(), 1)))).shape == (3, 0)
    assert decision_kind(IdealADC()) == decision_kind(UniformADC())


@pytest.mark.parametrize(
    "function", [decision_kind, lambda adc: element_count(adc, 4), lambda adc: table(adc, 4, np.zeros((1, 1)))]
)
def test_what_is_no_converter_is_refused_by_name(function):
    with pytest.raises(TypeError, match="no converter ArraySpec"):
        function(ArraySpec())


@EVERY
def test_specs_are_hashable_and_frozen(kind):
    adc = MADE[kind](4)
    assert hash(adc) == hash(MADE[kind](4))
    assert adc == MADE[kind](4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        adc.bits = 5


LARGEST = 6.4  # of the normals that elements are made of


@given(st.sampled_from(["sar", "split sar", "ramp", "flash"]), st.integers(2, 8), st.integers(0, 2**32))
def test_elements_of_the_largest_spread_still_give_sound_tables(kind, bits, seed):
    adc = MADE[kind](bits).replace("unit_sigma_rel", 0.15)
    shape = (4, element_count(adc, 2**bits))
    rows = table(adc, 2**bits, child(seed, "extremes").choice([-LARGEST, 0, LARGEST], shape))
    assert np.isfinite(rows).all()
    assert (rows > 0).all() if isinstance(adc, SarADC) else (np.diff(rows, axis=1) >= 0).all()
