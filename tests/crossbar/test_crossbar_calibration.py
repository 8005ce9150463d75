"""Calibration: input steps and ADC ranges that suit the sums of the design; what a diagnosis says of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, planes_of, programmed, read, weights_of

from imcsim.converters.ranges import calibrated_ranges
from imcsim.errors import SpecError
from imcsim.kernels.column import static_transfer
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.mapping import cell_digits
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load

DISCHARGE = load("sram8t_65nm").cell
# a line that ends early, so that ranges see it
SHORT = DISCHARGE.replace("v_wl_V", 0.8).replace("swing_V", 0.1)


@pytest.mark.parametrize("adc", [UniformADC(bits=3), UniformADC(bits=3, range="percentile", percentile=99.0)])
@pytest.mark.parametrize("slice_ranges", ["free", "powers_of_two"])
@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_calibrated_ranges_suit_the_sums_that_the_columns_take(mapping, dac, slice_ranges, adc):
    dac = DACS[dac]
    cell = SramCell() if dac.signed else SHORT
    subtraction = "analog" if mapping == "differential_two_sided" else "digital"
    adc = adc.replace("slice_ranges", slice_ranges)
    spec = chip(cell=cell, mapping=mapping, cell_bits=2, adc=adc, dac=dac, subtraction=subtraction)
    weights, x = weights_of(4, (19, 5)), inputs_of(dac, 40, 19)
    xbar = programmed(spec, weights, x)

    # three tiles of 8 rows, the last one not full
    stored = cell_digits(xbar.codes[0], spec.array)
    digits = np.zeros((24, *stored.shape[1:]))
    digits[:19] = stored
    planes, cycle_worth, _ = planes_of(dac, x)
    driven = np.zeros((*planes.shape[:2], 24))
    driven[..., :19] = planes
    driven, digits = driven.reshape(*planes.shape[:2], 3, 8), digits.reshape(3, 8, *stored.shape[1:])
    sums = np.einsum("knrt,rtpso->knrpso", driven, digits)
    full = planes.max()  # the largest input is among them
    values = []
    for s in range(stored.shape[2]):
        column = xbar.die.plan.column.noiseless().scaled(full * (2 ** spec.array.slice_bits[s] - 1))
        v = static_transfer(sums[..., s, :] + column.pedestal, column)
        if getattr(dac, "accumulation", "") == "analog":
            v = np.einsum("k,k...->...", cycle_worth, v)[None]
        values.append((v[..., 0, :] - v[..., 1, :] if subtraction == "analog" else v).ravel())
    signed = subtraction == "analog" or min(v.min() for v in values) < 0
    worth = np.abs(xbar.die.plan.layout.worth[0])
    distinct, counts = zip(*(np.unique(v, return_counts=True) for v in values), strict=True)
    expected = calibrated_ranges(adc, distinct, counts, worth, signed)
    assert xbar.ranges[0].max_code == expected.max_code
    np.testing.assert_allclose(xbar.ranges[0].lsb, expected.lsb, rtol=1e-5)
    np.testing.assert_allclose(xbar.ranges[0].lo, expected.lo, rtol=1e-5)


def test_powers_of_two_are_apart_by_powers_of_two_and_free_ranges_are_not():
    spec = chip(cell_bits=2, weight_bits=6, adc=UniformADC(bits=3))
    weights, x = weights_of(6, (19, 5)), inputs_of(spec.dac, 40, 19)
    for range_ in ("mse", "output", "percentile"):
        apart = {}
        for slice_ranges in ("free", "powers_of_two"):
            percentile = 99.0 if range_ == "percentile" else None
            adc = UniformADC(bits=3, range=range_, slice_ranges=slice_ranges, percentile=percentile)
            lsb = np.array(programmed(spec.replace("adc", adc), weights, x).ranges[0].lsb)
            apart[slice_ranges] = np.abs(np.log2(lsb / lsb[0]) % 1).max()
        assert apart["powers_of_two"] == 0, range_
        assert apart["free"] > 0, range_


def test_ranges_of_least_output_error_err_no_more_in_the_output():
    dac = BitSerialDAC(bits=4)
    weights, x = weights_of(5, (40, 20)), inputs_of(dac, 60, 40)

    def error(range_, bits):
        spec = chip(weight_bits=5, rows=40, dac=dac, adc=UniformADC(bits=bits, range=range_))
        return np.mean((read(programmed(spec, weights, x), x) - x @ weights) ** 2)

    for bits in (2, 3, 4):
        assert error("output", bits) <= error("mse", bits) * (1 + 1e-9)
    assert error("output", 2) < 0.9 * error("mse", 2)


def test_a_percentile_leaves_out_no_more_than_asked():
    spec = chip(adc=UniformADC(bits=4, range="percentile", percentile=90.0), dac=OneShotDAC(bits=3))
    weights, x = weights_of(4, (19, 30)), inputs_of(spec.dac, 100, 19)
    diagnosis = programmed(spec, weights, x).diagnosis(x)
    everything = programmed(spec.replace("adc.percentile", 100.0), weights, x).diagnosis(x)
    for some, whole in zip(diagnosis.slices, everything.slices, strict=True):
        assert 0 < some.clipped <= 0.1
        assert whole.clipped == 0
        assert some.hi < whole.hi


def test_a_diagnosis_tells_of_clipping_and_of_codes_that_are_never_used():
    weights, x = weights_of(4, (19, 30)), inputs_of(BitSerialDAC(bits=3), 100, 19)
    narrow = UniformADC(bits=4, range="given", lo=0.0, hi=1.0)
    told = str(programmed(chip(adc=narrow), weights, x).diagnosis(x))
    assert "clip and lose more than rounding does" in told
    told = str(programmed(chip(adc=UniformADC(bits=8, range="full")), weights, x).diagnosis(x))
    assert "are never used" in told
    assert len(told.splitlines()) == 1 + 3 + 1  # a head, a line a slice, the advice
    assert "nothing to diagnose" in str(programmed(chip(adc=IdealADC()), weights, x).diagnosis(x))


def test_a_diagnosis_counts_what_a_read_converts():
    spec = chip(adc=UniformADC(bits=2, range="given", lo=0.0, hi=3.0), dac=BitSerialDAC(bits=1), weight_bits=1)
    weights, x = weights_of(1, (8, 5)), inputs_of(spec.dac, 50, 8)
    on = np.concatenate([x @ (weights == side) for side in (1, -1)])
    (entry,) = programmed(spec, weights, x).diagnosis(x).slices
    assert entry.clipped_high == pytest.approx((on > 3.5).mean())
    assert entry.codes_used == len(np.unique(on.clip(0, 3)))


def test_ranges_are_those_of_the_design_whichever_die_is_calibrated():
    spec = chip(cell=DISCHARGE, adc=UniformADC(bits=4, noise_lsb=1.0, offset_sigma_lsb=1.0))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    nominal = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    assert programmed(spec, weights, x, key=1).ranges == programmed(spec, weights, x, key=2).ranges == nominal.ranges


@pytest.mark.parametrize(("rows", "lsb"), [(100, 1), (127, 1), (128, 2), (300, 2)])
def test_a_full_range_covers_the_rows_that_a_tile_uses(rows, lsb):
    # seven bits reach 127: enough for a layer of fewer rows than the array has, not for all its 128
    spec = chip(rows=128, adc=UniformADC(bits=7, range="full"))

    def lsbs(spec):
        return set(manufacture(spec, (rows, 2), 1).program(np.ones((rows, 2)), child(0, "write")).ranges[0].lsb)

    assert lsbs(spec) == {lsb}
    assert lsbs(spec.replace("array.rows_parallel", 100)) == {1}
    one_shot = spec.replace("dac", OneShotDAC(bits=3)).replace("adc.bits", 10)  # 1023 = 7 x 146 + 1
    assert lsbs(one_shot) == {1}


def test_calibration_leaves_given_and_full_ranges_alone():
    for adc in (UniformADC(range="full"), UniformADC(range="given", lo=0, hi=5), IdealADC()):
        spec = chip(adc=adc)
        weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
        xbar = manufacture(spec, weights.shape, 1).program(weights, child(0, "write"))
        assert xbar.calibrate(x).ranges == xbar.ranges


def test_before_a_calibration_inputs_run_to_one():
    for dac in (BitSerialDAC(bits=4, out_of_range="clip"), BitSerialDAC(bits=4, signed=True, out_of_range="clip")):
        xbar = manufacture(chip(dac=dac), (3, 2), 1).program(np.ones((3, 2)), child(0, "write"))
        np.testing.assert_allclose(read(xbar, np.array([1.0, 0.0, 5.0])), 2, rtol=1e-12)


def test_the_largest_input_sets_the_step_or_the_least_squared_error_does():
    x = child(0, "normal").normal(size=(500, 20))
    weights = weights_of(4, (20, 3))
    for kind, least in (("max", False), ("mse", True)):
        dac = dataclasses.replace(BitSerialDAC(bits=4, signed=True, out_of_range="clip"), input_scale=kind)
        step = float(programmed(chip(dac=dac), weights, x).input_step[0])
        errors = [np.square(np.clip(np.rint(x / s), -7, 7) * s - x).sum() for s in (step, 0.97 * step, 1.03 * step)]
        assert (errors[0] == min(errors)) == least
        assert math.isclose(step, np.abs(x).max() / 7) != least


def test_leakage_belongs_to_the_full_range_in_whole_units():
    from imcsim.floorplan import floorplan
    from imcsim.specs.library import load

    leaky = load("sram8t_65nm").replace("cell.leakage_rel", 0.1)
    assert floorplan(leaky, (128, 1)).largest_sums.tolist() == [128 + 13] * 7  # 12.8 of 128 cells
    assert floorplan(load("sram8t_65nm"), (128, 1)).largest_sums.tolist() == [128] * 7


def test_a_calibration_on_nothing_is_refused():
    spec = chip()
    with pytest.raises(SpecError, match="needs at least one sample"):
        manufacture(spec, (8, 2), 1).program(weights_of(4, (8, 2)), child(0, "w")).calibrate(np.zeros((0, 8)))
