"""Converters as data: every kind reads back from its text, keeps the rules of ranges, and refuses what it cannot be."""

from __future__ import annotations

import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.specs.adc import (
    ADC,
    FlashADC,
    IdealADC,
    MeasuredADC,
    PipelineADC,
    RampADC,
    RangedADC,
    SarADC,
    UniformADC,
)
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, format_toml, parse_toml, to_table
from imcsim.specs.fields import kind_of
from imcsim.specs.library import read_device

SMALL = st.floats(0, 0.15)
LSB = st.floats(0, 1e3)
RANGES = st.sampled_from([{"range": "mse"}, {"range": "full"}, {"range": "given", "lo": -3.0, "hi": 5.5}])


@st.composite
def measured_adcs(draw):
    bits, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    if draw(st.booleans()):
        transitions = sorted(draw(st.lists(st.floats(-20, 20), min_size=2**bits - 1, max_size=2**bits - 1)))
        return MeasuredADC(bits=bits, transitions=tuple(transitions))
    weights = draw(st.lists(st.integers(1, 9), min_size=inputs * 2**bits, max_size=inputs * 2**bits))
    rows = np.array(weights, float).reshape(inputs, -1)
    rows /= rows.sum(axis=1, keepdims=True)
    levels = sorted(draw(st.sets(st.floats(-20, 20), min_size=inputs, max_size=inputs)))
    return MeasuredADC(bits=bits, inputs=tuple(levels), probabilities=tuple(tuple(row) for row in rows.tolist()))


ADCS = {
    IdealADC: st.builds(IdealADC),
    UniformADC: st.builds(UniformADC, bits=st.integers(1, 16), rounding=st.sampled_from(["nearest", "stochastic"])),
    SarADC: st.builds(
        SarADC,
        bits=st.integers(9, 16),
        unit_sigma_rel=SMALL,
        split_bits=st.none() | st.integers(1, 8),
        comparator_noise_lsb=LSB,
    ),
    RampADC: st.builds(RampADC, bits=st.integers(1, 16), unit_sigma_rel=SMALL, comparator_sigma_lsb=LSB),
    FlashADC: st.builds(FlashADC, bits=st.integers(1, 8), unit_sigma_rel=SMALL, comparator_sigma_lsb=LSB),
    PipelineADC: st.builds(
        PipelineADC,
        bits=st.integers(1, 16),
        gain=st.none() | st.floats(1, 1e9),
        capacitor_sigma_rel=SMALL,
        comparator_sigma_rel=st.floats(0, 1),
    ),
    MeasuredADC: measured_adcs(),
}
RANGED = [cls for cls in ADCS if issubclass(cls, RangedADC)]


def with_range(adc, fields):
    return adc if isinstance(adc, IdealADC) else type(adc)(**{**to_table_without_kind(adc), **fields})


def to_table_without_kind(adc):
    return {key: value for key, value in to_table(adc).items() if key != "kind"}


def test_every_converter_is_here():
    assert set(ADCS) == set(typing.get_args(ADC))
    assert len({kind_of(cls) for cls in ADCS}) == len(ADCS)


@given(st.one_of(*ADCS.values()), RANGES)
def test_a_converter_reads_back_from_its_text_and_a_chip_with_it(adc, fields):
    adc = with_range(adc, fields)
    problems = []
    text = format_toml(to_table(adc))
    assert (build(type(adc), parse_toml(text), (), problems), problems) == (adc, [])
    assert hash(build(type(adc), parse_toml(text), (), problems)) == hash(adc)
    table = {"cell": {"kind": "sram"}, "adc": parse_toml(text)}
    chip = build(ChipSpec, table, (), problems)
    assert chip is not None, problems
    assert chip.adc == adc


@pytest.mark.parametrize("cls", RANGED)
def test_every_kind_keeps_the_rules_of_ranges(cls):
    made = {"bits": 1, "transitions": (0.5,)} if cls is MeasuredADC else {"bits": 4}
    assert cls(**made, range="given", lo=0, hi=3).replace("range", "full").lo is None
    with pytest.raises(SpecError, match="lo: is needed where range"):
        cls(**made, range="given", hi=3)


DEVICE = """
name = "mine"
title = "A converter of my own"
description = ""
[cell]
kind = "sram"
[adc]
kind = "measured"
bits = { value = 1, source = "design" }
inputs = { value = [0.0, 1.0], unit = "LSB", source = "measured" }
probabilities = { value = [[0.9, 0.1], [0.25, 0.75]], unit = "1", source = "measured" }
"""


def test_a_measured_converter_can_stand_in_a_device_model(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(DEVICE)
    model = read_device(path)
    assert model.spec.adc == MeasuredADC(bits=1, inputs=(0, 1), probabilities=((0.9, 0.1), (0.25, 0.75)))
    path.write_text(model.to_toml())
    again = read_device(path)
    assert (again.spec, again.notes) == (model.spec, model.notes)
