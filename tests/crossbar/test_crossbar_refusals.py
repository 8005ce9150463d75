"""Refusals: what a crossbar does not take, and what it says to do instead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossbar_chips import DACS, chip, read

from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import UniformADC
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load

UNSIGNED = [BitSerialDAC(bits=3), OneShotDAC(bits=3), IdealDAC()]
EVERY_UNSIGNED = pytest.mark.parametrize("dac", UNSIGNED, ids=lambda dac: dac.kind)


def small(**design):
    return manufacture(chip(**design), (1, 4), 1).program(np.array([[7.0, 0, -3, 5]]), child(0, "write"))


def test_a_time_before_the_last_write_is_refused():
    die = manufacture(chip(), (3, 2), 1)
    xbar = die.program(np.ones((3, 2)), child(0, "write"), now_s=5.0)
    x, rng = np.ones(3), child(0, "read")
    with pytest.raises(SpecError, match=r"now_s = 4.0: must not lie before the last write, at 5.0 s"):
        xbar.mvm(x, rng, now_s=4.0)
    with pytest.raises(SpecError, match=r"now_s = 0.0"):
        xbar.mvm(x, rng)  # the default is no exception
    with pytest.raises(SpecError, match=r"now_s = 4.0"):
        xbar.write(np.zeros((3, 2)), rng, now_s=4.0)
    with pytest.raises(SpecError, match=r"now_s = nan: must be a finite number of seconds"):
        die.program(np.ones((3, 2)), rng, now_s=math.nan)
    later = xbar.write(np.zeros((3, 2)), rng, now_s=9.0)
    with pytest.raises(SpecError, match=r"at 9.0 s"):
        later.mvm(x, rng, now_s=8.0)
    with pytest.raises(SpecError, match=r"now_s = nan"):
        later.mvm(x, rng, now_s=math.nan)
    np.testing.assert_array_equal(later.mvm(x, rng, now_s=9.0), xbar.mvm(x, rng, now_s=5.0))


@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("adc", [UniformADC(bits=4), UniformADC(bits=4, range="full")], ids=lambda adc: adc.range)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_wherever_it_enters(bad, adc, dac):
    xbar, rng = small(dac=DACS[dac], adc=adc).calibrate(np.ones((1, 1))), child(0, "read")
    for dtype in (np.float32, np.float64):
        with pytest.raises(SpecError, match=r"x = 1 of \d+ values infinite or nan: must be finite"):
            xbar.mvm(np.array([bad], dtype), rng)
        with pytest.raises(SpecError, match=r"x = 2 of \d+ values infinite or nan: must be finite"):
            xbar.calibrate(np.array([[bad], [1], [bad]], dtype))
    with pytest.raises(SpecError, match=r"delta = 1 of \d+ values infinite or nan: must be finite"):
        xbar.write(np.array([[0, 0, bad, 0]]), rng)
    with pytest.raises(SpecError, match=r"weights = 4 of \d+ values infinite or nan: must be finite"):
        xbar.die.program(np.full((1, 4), bad), rng)


@EVERY_UNSIGNED
def test_negative_inputs_need_a_signed_dac(dac):
    weights = np.ones((2, 1))
    xbar = manufacture(chip(dac=dac), (2, 1), 1).program(weights, child(0, "write"))
    for call in (lambda x: read(xbar, x), xbar.calibrate):
        with pytest.raises(SpecError, match=r"x: must not be negative: the DAC is unsigned; set dac.signed = true"):
            call(np.array([[1.0, -0.1]]))
    signed = manufacture(chip(dac=dac.replace("signed", True)), (2, 1), 1).program(weights, child(0, "write"))
    assert read(signed, np.array([0.0, -1.0])).tolist() == [-1]
    # clipping is for what is too large
    clipping = manufacture(chip(dac=dac.replace("out_of_range", "clip")), (2, 1), 1).program(weights, child(0, "write"))
    with pytest.raises(SpecError, match="must not be negative"):
        read(clipping, np.array([0.0, -1.0]))


def test_what_rounds_to_zero_is_no_negative_input_but_to_a_dac_that_does_not_round():
    tiny = np.array([1.0, -1e-9])
    for dac in UNSIGNED[:2]:
        xbar = manufacture(chip(dac=dac), (2, 1), 1).program(np.ones((2, 1)), child(0, "write"))
        assert read(xbar, tiny) == pytest.approx(1)
    xbar = manufacture(chip(dac=IdealDAC()), (2, 1), 1).program(np.ones((2, 1)), child(0, "write"))
    with pytest.raises(SpecError, match=r"x: must not be negative"):
        read(xbar, tiny)


@pytest.mark.parametrize("signed", [False, True])
@EVERY_UNSIGNED
def test_inputs_beyond_the_calibrated_ones_are_refused_or_clipped(dac, signed):
    dac = dac.replace("signed", signed)
    weights, x = np.ones((2, 1)), np.array([[2.0, 4.0]])
    xbar = manufacture(chip(dac=dac), (2, 1), 1).program(weights, child(0, "write")).calibrate(x)
    range_ = r"-4 to 4" if signed else r"0 to 4"
    remedy = r'calibrate on inputs that reach as far, or set dac.out_of_range = "clip"'
    with pytest.raises(
        SpecError, match=rf"x = 1 of \d+ values beyond: must be within the DAC's range, {range_}; {remedy}"
    ):
        read(xbar, np.array([[4.0, 9.0]]))
    clipping = chip(dac=dac.replace("out_of_range", "clip"))
    xbar = manufacture(clipping, (2, 1), 1).program(weights, child(0, "write")).calibrate(x)
    assert read(xbar, np.array([[4.0, 9.0]])) == pytest.approx(8)
    if signed:
        assert read(xbar, np.array([[-9.0, 4.0]])) == pytest.approx(0)


def test_another_shape_is_refused_with_the_one_that_is_right():
    xbar, rng = small(), child(0, "read")
    with pytest.raises(SpecError, match=r"x = shape \(3,\): must have 1 inputs on its last axis"):
        xbar.mvm(np.ones(3), rng)
    with pytest.raises(SpecError, match=r"x = shape \(\): must have 1 inputs"):
        xbar.mvm(np.float64(1), rng)
    with pytest.raises(SpecError, match=r"x = shape \(5, 2\): must have 1 inputs"):
        xbar.calibrate(np.ones((5, 2)))
    with pytest.raises(SpecError, match=r"weights = shape \(4, 1\): must have shape \(1, 4\)"):
        xbar.die.program(np.ones((4, 1)), rng)
    with pytest.raises(SpecError, match=r"delta = shape \(4,\): must have shape \(1, 4\)"):
        xbar.write(np.ones(4), rng)
    for shape in ((4,), (0, 4), (1, 2, 3)):
        with pytest.raises(SpecError, match=r"must be \(rows, cols\), each at least 1"):
            manufacture(chip(), shape, 1)


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_has_64_bits(key):
    for keys in (key, [1, key]):
        with pytest.raises(SpecError, match=f"key = {key}: must be an integer of 64 bits, at least 0"):
            manufacture(chip(), (2, 2), keys)


def test_a_die_of_another_shape_or_design_is_refused():
    spec = chip(cell=load("sram8t_65nm").cell, adc=UniformADC(bits=6), dac=BitSerialDAC(bits=3, signed=True))
    shape = (19, 15)
    xbar = manufacture(spec, shape, 1).program(np.ones(shape), child(0, "write"))
    others = {"array.weight_bits": 5, "dac.bits": 1, "adc.bits": 2, "cell.read_noise_rel": 0.2}
    dies = [manufacture(spec.replace(path, value), shape, 1) for path, value in others.items()]
    for die in (manufacture(spec, (19, 6), 1), *dies):
        with pytest.raises(SpecError, match="must be of this crossbar's design and shape"):
            xbar.on_die(die)


@pytest.mark.parametrize("range_", ["mse", "output"])
def test_a_read_before_its_ranges_are_calibrated_says_what_to_do(range_):
    xbar = manufacture(chip(adc=UniformADC(range=range_)), (3, 2), 1).program(np.ones((3, 2)), child(0, "write"))
    told = rf'adc.range = "{range_}": the ranges must be calibrated .*; call calibrate with samples'
    with pytest.raises(CapabilityError, match=told):
        read(xbar, np.ones(3))
    with pytest.raises(CapabilityError, match=told):
        xbar.diagnosis(np.ones((1, 3)))
    read(xbar.calibrate(np.ones((1, 3))), np.ones(3))


@pytest.mark.parametrize(
    ("dac", "told"),
    [
        (
            BitSerialDAC(signed=True, encoding="sign_magnitude"),
            r'dac.encoding = "sign_magnitude": .*no row .* negative',
        ),
        (OneShotDAC(signed=True), r"dac.signed = true: a bit line only discharges"),
        (IdealDAC(signed=True), r"dac.signed = true: a bit line only discharges"),
    ],
)
def test_a_bit_line_that_only_discharges_takes_no_rows_driven_negative(dac, told):
    with pytest.raises(SpecError, match=told):
        chip(cell=load("sram8t_65nm").cell, dac=dac)
    chip(cell=load("sram8t_65nm").cell, dac=BitSerialDAC(signed=True, encoding="two_phase"))
    chip(cell=load("sram_cap_28nm").cell, dac=dac)
