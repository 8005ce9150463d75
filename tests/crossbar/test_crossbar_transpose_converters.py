"""The converters and the noise of the transposed read; what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip, weights_of

from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import overlay
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import NoDrift, ResistiveCell, SinhCurrent
from imcsim.specs.transpose import TransposeRead
from imcsim.specs.wires import GatedWires, ResistiveWires

FREE = {"dac": IdealDAC(signed=True), "adc": IdealADC()}
DISCHARGE = load("sram8t_65nm").cell
NONLINEAR = ResistiveCell(g_max_S=50e-6, drift=NoDrift(), current=SinhCurrent(v_read_V=0.2, v0_V=0.3))


def crossbar(read, shape, *, key=1, weights=None, **changes):
    spec = chip(**{**FREE, "rows": 128, "cols": 128, **changes}).replace("transpose", read)
    weights = np.full(shape, 7.0) if weights is None else weights
    return manufacture(spec, shape, key).program(weights, child(0, "write"))


# ---- noise


@pytest.mark.parametrize("dac", [IdealDAC(signed=True), OneShotDAC(bits=6, signed=True)])
def test_read_noise_is_that_of_the_cells_that_errors_drive(dac, assert_moments):
    sigma, shape = 0.05, (400, 30)
    xbar = crossbar(TransposeRead(dac=dac, adc=IdealADC()), shape, cell=SramCell(read_noise_rel=sigma), cell_bits=8)
    e = np.round(child(0, "e").uniform(-1, 1, 30) * 31)
    e[0] = 31  # steps of one
    y = xbar.mvm_t(np.tile(e, (500, 1)), child(0, "read"))
    # each driven cell adds sigma times what it conducts, digit 7; the other of the pair conducts nothing
    assert_moments(y, 7 * e.sum(), sigma * 7 * np.sqrt(np.square(e).sum()))


def test_noise_of_converters_is_drawn_for_every_conversion(assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-2048.0, hi=2048.0, noise_lsb=3.0)
    xbar = crossbar(TransposeRead(dac=OneShotDAC(bits=4, signed=True), adc=adc), (500, 200), cell_bits=8)
    e = np.tile(child(0, "e").integers(-7, 8, 200), (100, 1))
    e[:, 0] = 7
    lsb = 4096 / (2**12 - 2)
    y = xbar.mvm_t(e, child(0, "read")) - 7 * e.sum(axis=1, keepdims=True)
    # two tiles of columns, a pair in each: four conversions, each with noise and the rounding of what is as noisy
    assert_moments(y, 0.0, np.sqrt(4 * (9 + 1 / 12)) * lsb)


# ---- converters of its own

GAINS = UniformADC(bits=16, range="given", lo=-1.5, hi=1.5, gain_sigma_rel=0.02)


def gains(*, key=1, forward=False):
    """The gains of the 5000 converters of one side, at the end of a line with one cell each, which gives a MAC unit."""
    shape = (1, 5000) if forward else (5000, 1)
    adcs = (GAINS, IdealADC()) if forward else (IdealADC(), GAINS)
    read = TransposeRead(dac=IdealDAC(signed=True), adc=adcs[1])
    lines = {"rows": min(shape[0], 1024), "cols": min(shape[1], 1024)}
    xbar = crossbar(read, shape, key=key, weights=np.ones(shape), weight_bits=1, mapping="offset", adc=adcs[0], **lines)
    one = np.ones((1, 1))
    y = (xbar.mvm if forward else xbar.mvm_t)(one, child(0, "read"))
    return (y[0] + 1) / 2  # the weight 1 is stored as one cell that conducts: 2 v - 1


def test_every_word_line_has_a_converter_of_its_own_and_keeps_it(assert_moments):
    found = np.concatenate([gains(key=key) for key in range(1, 5)])
    assert_moments(found, 1.0, 0.02)
    np.testing.assert_array_equal(found[:5000], gains())


def test_its_converters_are_neither_those_of_the_forward_read_nor_those_of_another_die():
    found = gains() - 1
    for other in (gains(forward=True) - 1, gains(key=2) - 1):
        assert abs(np.corrcoef(found, other)[0, 1]) < 5 / np.sqrt(found.size)
    assert np.corrcoef(found, gains() - 1)[0, 1] > 0.99


def test_a_transposed_read_moves_nothing_of_the_forward_one():
    adc = UniformADC(bits=6, gain_sigma_rel=0.02, offset_sigma_lsb=1.0, noise_lsb=0.5, range="full")
    cell, x = SramCell(mismatch_sigma_rel=0.1, read_noise_rel=0.05), child(0, "x").random((20, 30))
    forward = {"cell": cell, "adc": adc, "dac": BitSerialDAC(bits=4), "weights": weights_of(4, (30, 20))}
    alone = crossbar(None, (30, 20), **forward)
    both = crossbar(TransposeRead(adc=adc), (30, 20), **forward)
    np.testing.assert_array_equal(both.mvm(x, child(0, "read")), alone.mvm(x, child(0, "read")))


def test_trimming_takes_gain_and_offset_off_the_transposed_side_alone():
    # sums of 0 to 60 cells do not clip, and an LSB of a thirtieth is little beside the errors
    adc = UniformADC(bits=12, gain_sigma_rel=0.05, offset_sigma_lsb=20.0, range="given", lo=-32.0, hi=96.0)
    read = TransposeRead(dac=BitSerialDAC(bits=4, signed=True), adc=adc)
    weights, e = weights_of(4, (200, 60)), child(0, "e").integers(-7, 8, (50, 60)).astype(float)
    e[:, 0] = 7
    xbar = crossbar(read, weights.shape, weights=weights)
    trimmed = xbar.trim_t(child(0, "trim"))
    before, after = (np.std(one.mvm_t(e, child(0, "read")) - e @ weights.T) for one in (xbar, trimmed))
    assert after < before / 10
    assert trimmed.trimmed is None
    moved = trimmed.on_die(manufacture(xbar.die.spec, weights.shape, 1))
    assert np.std(moved.mvm_t(e, child(0, "read")) - e @ weights.T) == before
    assert trimmed.calibrate_t(e).back.trimmed is trimmed.back.trimmed  # these ranges need no calibration


# ---- refusals


def test_a_chip_without_a_transposed_read_says_what_to_add():
    xbar = crossbar(None, (6, 5))
    for call in (xbar.mvm_t, lambda e, rng: xbar.calibrate_t(e), lambda e, rng: xbar.trim_t(rng)):
        with pytest.raises(CapabilityError, match=r"no transposed read; add \[transpose.dac\].*\[transpose.adc\]"):
            call(np.ones((1, 5)), child(0, "read"))


def test_ranges_that_await_a_calibration_say_so():
    xbar = crossbar(TransposeRead(), (6, 5))
    with pytest.raises(CapabilityError, match=r'transpose.adc.range = "mse".*call calibrate_t'):
        xbar.mvm_t(np.ones((1, 5)), child(0, "read"))
    with pytest.raises(CapabilityError, match="call calibrate_t"):
        xbar.trim_t(child(0, "trim"))
    assert xbar.calibrate_t(np.ones((3, 5))).mvm_t(np.ones((1, 5)), child(0, "read")).shape == (1, 6)


def test_errors_that_no_read_takes_are_refused():
    xbar = crossbar(TransposeRead(**FREE), (6, 5))
    fixed = crossbar(TransposeRead(adc=IdealADC(), input_step="calibrated"), (6, 5))
    rng = child(0, "read")
    for one in (xbar, fixed):
        with pytest.raises(SpecError, match=r"e = shape .*must have 5 inputs"):
            one.mvm_t(np.ones((2, 6)), rng)
        with pytest.raises(SpecError, match=r"e = 1 of 10 values infinite or nan: must be finite"):
            one.mvm_t(np.where(np.arange(10) == 3, np.nan, 1.0).reshape(2, 5), rng)
        with pytest.raises(SpecError, match=r"e = 1 of 10 values infinite or nan: must be finite"):
            one.calibrate_t(np.where(np.arange(10) == 3, np.inf, 1.0).reshape(2, 5))
        with pytest.raises(SpecError, match=r"e = .*at least one sample"):
            one.calibrate_t(np.ones((0, 5)))
        with pytest.raises(SpecError, match="before the last write"):
            one.mvm_t(np.ones((2, 5)), rng, now_s=-1.0)
    with pytest.raises(SpecError, match=r"e = 10 of 10 values beyond.*transpose.dac.out_of_range"):
        fixed.mvm_t(np.full((2, 5), 3.0), rng)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dac": {"bits": 4}}, "transpose.dac.signed = false: errors are signed"),
        (
            {"dac": {"signed": True, "input_scale": "mse", "out_of_range": "clip"}},
            'transpose.dac.input_scale = "mse": each read drives its largest input',
        ),
    ],
)
def test_converters_that_take_no_errors_are_refused(changes, told):
    with pytest.raises(SpecError) as caught:
        overlay(load("sram_ideal"), {"transpose": changes})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"cell": load("sram_cap_28nm").cell},
            'transpose = cell.kind = "sram_capacitor": is of cells between two lines',
        ),
        (
            {"cell": DISCHARGE, "transpose": TransposeRead(dac=OneShotDAC(signed=True))},
            "transpose.dac.signed = true: a bit line only discharges",
        ),
        (
            {"cell": DISCHARGE, "transpose": TransposeRead(dac=BitSerialDAC(signed=True, encoding="sign_magnitude"))},
            "transpose.dac.encoding",
        ),
        ({"cell": SramCell(), "array": ArraySpec(cols=1025)}, "transpose = 1025: has array.cols rows"),
        (
            {"cell": NONLINEAR, "wires": GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0)},
            "reads word lines, which lead to gates and carry no current",
        ),
        (
            {"cell": NONLINEAR, "wires": ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0)},
            "goes through wires by reciprocity, which nonlinear cells do not have",
        ),
    ],
)
def test_designs_that_cannot_be_read_the_other_way_are_refused(given, told):
    with pytest.raises(SpecError) as caught:
        ChipSpec(**{"transpose": TransposeRead(), **given})
    assert told in str(caught.value)


def test_nonlinear_cells_are_read_by_single_bits_in_both_directions():
    linear = dataclasses.replace(NONLINEAR, current=None)
    e = child(0, "e").normal(size=(5, 4))
    reads = []
    for cell in (NONLINEAR, linear):
        spec = chip(cell=cell, adc=IdealADC()).replace("transpose", TransposeRead(adc=IdealADC()))
        xbar = nominal_die(spec, (6, 4)).program(weights_of(4, (6, 4)), child(0, "write"))
        reads.append(xbar.mvm_t(e, child(0, "read")))
    np.testing.assert_array_equal(*reads)
