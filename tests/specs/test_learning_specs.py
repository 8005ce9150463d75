"""What a chip has for learning, as TOML: it reads back as it was written; what cannot be is refused with a remedy."""

import pytest

from imcsim.errors import SpecError
from imcsim.specs.adc import UniformADC
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, format_toml, parse_toml, to_table
from imcsim.specs.compound import ChoppedTikiTaka, MixedPrecision, TikiTaka, TikiTakaV2
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.decorrelation import DecorrelationArrays, DigitalDecorrelation
from imcsim.specs.learning import AnalogNeurons, WritePath
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.transpose import TransposeRead

SRAM, PULSED, CAPACITOR = load("sram_ideal"), load("pulsed_generic"), load("sram_cap_28nm")
BACK = TransposeRead(dac=OneShotDAC(bits=6, signed=True), adc=UniformADC(bits=7, range="mse"))
SIGNED = SRAM.replace("dac.signed", True)

WHOLE = {
    "accumulators": SRAM.replace("write", WritePath(accumulator_bits=16, rounding="stochastic")),
    "feedback": SRAM.replace("feedback", BACK),
    "feedback, its step calibrated": SRAM.replace(
        "feedback",
        TransposeRead(dac=BitSerialDAC(signed=True, input_scale="mse", out_of_range="clip"), input_step="calibrated"),
    ),
    "digital decorrelation": SIGNED.replace("decorrelation", DigitalDecorrelation()),
    "decorrelation on arrays": SIGNED.replace(
        "decorrelation",
        DecorrelationArrays(
            dac=OneShotDAC(bits=6), adc=UniformADC(bits=7, range="mse"), write=WritePath(accumulator_bits=20)
        ),
    ),
    "neurons": SRAM.replace(
        "neurons", AnalogNeurons(offset_in_sigma=0.1, offset_out_sigma=0.2, slope_sigma_rel=0.3, gain_sigma_rel=0.4)
    ),
    "loss ADC": SRAM.replace("loss_adc", LossADC(bits=6, full_scale=4.6, noise_lsb=0.5, per_sample=False)),
    "headroom": SRAM.replace("array.weight_headroom", 2.5),
    "Tiki-Taka": PULSED.replace("compound", TikiTaka(transfer_rate=0.1, gamma=0.5, reference="exact")),
    "version 2": PULSED.replace("compound", TikiTakaV2(transfer_rate=0.1, threshold=2.0, most_pulses=3, kept=0.5)),
    "chopped": PULSED.replace("compound", ChoppedTikiTaka(transfer_rate=0.1, chopper_probability=0.2)),
    "mixed precision": PULSED.replace("compound", MixedPrecision(threshold=0.5, most_pulses=7)),
}


def read(text):
    problems = []
    spec = build(ChipSpec, parse_toml(text), (), problems)
    if problems:
        raise SpecError(problems)
    return spec


@pytest.mark.parametrize("spec", WHOLE.values(), ids=WHOLE)
def test_a_chip_that_learns_reads_back_as_it_was_written(spec):
    assert spec not in (SRAM, PULSED)
    assert read(format_toml(to_table(spec))) == spec


def test_tables_that_are_left_out_are_the_plain_chip():
    spec = read('[cell]\nkind = "sram"')
    assert spec.write == WritePath()
    assert (spec.compound, spec.feedback, spec.decorrelation, spec.neurons, spec.loss_adc) == (None,) * 5


def toml(spec, more):
    """The text of a chip, and more of it."""
    return format_toml(to_table(spec)) + "\n" + more


REFUSED = {
    "no wider accumulator": (
        toml(SRAM, "").replace("[write]", "[write]\naccumulator_bits = 8"),
        r"write\.accumulator_bits = 8: must be more than array\.weight_bits = 8: .*; raise it or leave it out",
    ),
    "an accumulator of one bit": (
        toml(SRAM, "").replace("[write]", "[write]\naccumulator_bits = 1"),
        r"write\.accumulator_bits = 1: must be an integer from 2 to 48",
    ),
    "a rounding that is none": (
        toml(SRAM, "").replace('[write]\nrounding = "nearest"', '[write]\nrounding = "up"'),
        r'write\.rounding = "up": must be .*"nearest".*"stochastic"',
    ),
    "a misspelt key": (
        toml(SRAM, "[neurons]\ngain_sigma = 0.1"),
        r'neurons.*unknown key.*"gain_sigma".*did you mean "gain_sigma_rel"',
    ),
    "accumulators of pulsed cells": (
        toml(PULSED, "").replace("[write]", "[write]\naccumulator_bits = 16"),
        r"write: is of weight codes: pulsed devices are written by pulses; leave it out, or set compound\.kind",
    ),
    "stochastic rounding of pulsed cells": (
        toml(PULSED, "").replace('[write]\nrounding = "nearest"', '[write]\nrounding = "stochastic"'),
        r"write: is of weight codes",
    ),
    "compound arrays of SRAM": (
        toml(SRAM, '[compound]\nkind = "mixed_precision"'),
        r'compound = cell\.kind = "sram": is made of pulsed devices; leave it out, or set cell\.kind = "pulsed"',
    ),
    "a compound scheme that is none": (
        toml(PULSED, '[compound]\nkind = "tiki"'),
        r'compound\.kind = "tiki".*did you mean "tiki_taka"',
    ),
    "a transfer without its rate": (toml(PULSED, '[compound]\nkind = "tiki_taka"'), r"compound\.transfer_rate"),
    "feedback on capacitor cells": (
        toml(CAPACITOR, "[feedback.dac]\nsigned = true"),
        r'feedback = cell\.kind = "sram_capacitor": is of cells between two lines alike.*; leave it out',
    ),
    "unsigned errors": (
        toml(SRAM, "[feedback.dac]\nsigned = false"),
        r"feedback\.dac\.signed = false: errors are signed.*; set signed = true",
    ),
    "headroom of a given scale": (
        toml(SRAM, "")
        .replace('weight_scale = "mse"', 'weight_scale = "given"\nweight_limit = 1.0')
        .replace("weight_headroom = 1.0", "weight_headroom = 2.0"),
        r'array\.weight_headroom = 2: has no meaning where weight_scale = "given"; raise weight_limit instead',
    ),
    "headroom below one": (
        toml(SRAM, "").replace("weight_headroom = 1.0", "weight_headroom = 0.5"),
        r"array\.weight_headroom = 0\.5: must be",
    ),
    "a loss ADC without bits": (toml(SRAM, "[loss_adc]\nbits = 0\nfull_scale = 4.6"), r"loss_adc\.bits = 0: must be"),
    "a loss ADC without a range": (toml(SRAM, "[loss_adc]\nbits = 8"), r"loss_adc\.full_scale"),
    "a spread below zero": (toml(SRAM, "[neurons]\noffset_in_sigma = -0.1"), r"neurons\.offset_in_sigma = -0\.1"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_told_with_where_it_stands_and_what_to_do(text, told):
    with pytest.raises(SpecError, match=told) as caught:
        read(text)
    assert len(caught.value.problems) == 1


def test_all_problems_of_a_chip_are_told_at_once():
    text = toml(SRAM, '[compound]\nkind = "mixed_precision"\n[loss_adc]\nbits = 0\nfull_scale = 0.0')
    with pytest.raises(SpecError) as caught:
        read(text.replace("[write]", "[write]\naccumulator_bits = 1"))
    assert {problem.path[0] for problem in caught.value.problems} >= {"write", "loss_adc"}


def test_feedback_arrays_need_no_headroom_and_have_no_compound_arrays():
    spec = WHOLE["mixed precision"].replace("feedback", BACK).replace("array.weight_headroom", 2.0)
    assert spec.of_feedback.array.weight_headroom == 1.0
    assert spec.of_feedback.compound is None
    assert spec.of_feedback.transpose == BACK
