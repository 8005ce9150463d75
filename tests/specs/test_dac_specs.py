"""Input converters as data: what only several fields together can get wrong."""

from __future__ import annotations

import pytest

from imcsim.errors import SpecError
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC

SATURATES = (
    'input_scale = "mse": the least squared error saturates the largest inputs; '
    'set out_of_range = "clip", or input_scale = "max"'
)
WRONG = [
    (BitSerialDAC, {"input_scale": "mse"}, SATURATES),
    (OneShotDAC, {"input_scale": "mse", "out_of_range": "error"}, SATURATES),
    (
        OneShotDAC,
        {"bits": 13, "unit_sigma_rel": 0.01},
        (
            "bits = 13 bits a level: levels of at most 12 bits can have errors of their own; "
            "set gain_sigma_rel, unit_sigma_rel and noise_lsb to 0, or lower the bits"
        ),
    ),
    (
        BitSerialDAC,
        {"bits": 16, "slice_bits": 13, "unit_sigma_rel": 0.01},
        (
            "bits = 13 bits a level: levels of at most 12 bits can have errors of their own; "
            "set gain_sigma_rel, unit_sigma_rel and noise_lsb to 0, or lower the bits"
        ),
    ),
    (BitSerialDAC, {"bits": 4, "slice_bits": 5}, "slice_bits = 5: must be at most bits = 4"),
    (
        BitSerialDAC,
        {"encoding": "two_phase"},
        (
            'encoding = "two_phase": says how signed inputs enter, and the inputs are unsigned; '
            "set signed = true or drop it"
        ),
    ),
]


@pytest.mark.parametrize(("cls", "fields", "told"), WRONG)
def test_fields_that_contradict_each_other_are_told_with_a_remedy(cls, fields, told):
    with pytest.raises(SpecError) as caught:
        cls(**fields)
    assert str(caught.value) == told


def test_slices_of_few_bits_may_have_errors_whatever_the_bits_of_the_input():
    assert BitSerialDAC(bits=16, slice_bits=4, unit_sigma_rel=0.01).driven_bits == 4
    assert OneShotDAC(bits=12, unit_sigma_rel=0.01).driven_bits == 12


def test_inputs_beyond_the_range_are_an_error_unless_they_are_to_clip():
    for dac in (BitSerialDAC(), OneShotDAC(), IdealDAC()):
        assert dac.out_of_range == "error"
    for cls in (BitSerialDAC, OneShotDAC):
        assert cls().input_scale == "max"
        assert cls(input_scale="mse", out_of_range="clip").input_scale == "mse"


@pytest.mark.parametrize("name", ["gain_sigma_rel", "unit_sigma_rel", "noise_lsb"])
def test_a_converter_is_exact_that_has_no_error_at_all(name):
    for cls in (BitSerialDAC, OneShotDAC):
        assert cls().exact
        assert not cls(**{name: 0.1}).exact
