"""The analog column: droop, load, limits, leakage and off current, as their closed forms have them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, programmed, read, weights_of

from imcsim.manufacturing import nominal_die
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load

DISCHARGE = load("sram8t_65nm").cell
# a cell on a bit line that neither droops nor ends nor leaks
LINE = DISCHARGE.replace("droop_per_V", 0.0).replace("swing_V", 5.0).replace("leakage_rel", 0.0)
CURRENT = load("sram8t_is_65nm").cell

UNIT_A = 220e-6 * 0.3**1.8  # k (V_WL - V_t)^alpha of both


def read_on(cell, rows_on, **array):
    """What 128 rows of weight 1 give on the nominal die with so many of them driven, in on-cells."""
    spec = ChipSpec(cell=cell, array=ArraySpec(**{"weight_bits": 1, **array}), dac=BitSerialDAC(bits=1), adc=IdealADC())
    xbar = nominal_die(spec, (128, 1)).program(np.ones((128, 1)), child(0, "write"))
    return float(read(xbar, (np.arange(128) < rows_on).astype(float))[0])


@pytest.mark.parametrize("subtraction", ["digital", "analog"])
@pytest.mark.parametrize("rows_on", [10, 64, 128])
def test_a_bit_line_droops_and_ends_as_its_closed_form_says(rows_on, subtraction):
    unit_V = UNIT_A * 100e-12 / 270e-15
    leaking = 2.5e-9 / UNIT_A * 128

    def volts(cells_on):
        return min((1 - math.exp(-0.15 * unit_V * (cells_on + leaking))) / 0.15, 0.85)

    # the other polarity only leaks
    expected = (volts(rows_on) - volts(0)) / unit_V
    assert read_on(DISCHARGE, rows_on, subtraction=subtraction) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("subtraction", ["digital", "analog"])
@pytest.mark.parametrize("rows_on", [10, 64, 128])
def test_a_load_compresses_the_sum_of_currents_and_the_clamp_ends_it(rows_on, subtraction):
    leaking = 2.5e-9 / UNIT_A * 128

    def amperes(cells_on):
        i = (cells_on + leaking) * UNIT_A
        return min(i / (1 + 0.15 * 200 * i), 2e-3)

    expected = (amperes(rows_on) - amperes(0)) / UNIT_A
    assert read_on(CURRENT, rows_on, subtraction=subtraction) == pytest.approx(expected, rel=1e-5)
    assert expected < 0.995 * rows_on  # the control: it does compress


@pytest.mark.parametrize("subtraction", ["digital", "analog"])
def test_a_current_limit_clips_each_column_by_itself(subtraction):
    for rows_on in (10, 20, 21, 128):
        assert read_on(SramCell(), rows_on, current_limit=20, subtraction=subtraction) == min(rows_on, 20)
        # fewer rows at a time reach it later: 32 rows in each of 4 reads
        reads = [min(max(rows_on - 32 * k, 0), 20) for k in range(4)]
        limited = read_on(SramCell(), rows_on, current_limit=20, rows_parallel=32, subtraction=subtraction)
        assert limited == sum(reads)
    # both columns of a pair at the limit leave no difference, though their cells do
    pair = {"mapping": "differential_two_sided", "weight_bits": 3, "cell_bits": 2, "subtraction": subtraction}
    spec = chip(rows=64, current_limit=10, dac=BitSerialDAC(bits=1), **pair)
    weights = np.full((64, 1), 1.0)
    weights[0] = 3.0
    assert read(programmed(spec, weights, np.ones((1, 64))), np.ones((1, 64))).tolist() == [[0]]


def test_a_limit_holds_either_way_where_rows_are_driven_both_ways():
    spec = chip(weight_bits=1, rows=64, current_limit=20, dac=OneShotDAC(bits=3, signed=True))
    xbar = programmed(spec, np.ones((64, 1)), np.full((1, 64), 3.0))
    for sign in (-1, 1):
        assert read(xbar, np.full(64, 3.0 * sign)).tolist() == [20 * 3 * sign]  # 20 cells that are driven fully


def test_a_column_of_wide_cells_clips_at_as_many_cells():
    # a cell of digit 3 is an on-cell: the column ends at 20 of them, whatever the digits
    spec = chip(weight_bits=3, cell_bits=2, rows=64, current_limit=20, dac=BitSerialDAC(bits=1))
    for weight, expected in ((3.0, 60), (1.0, 60)):
        weights = np.full((64, 1), weight)
        weights[0] = 3.0
        assert read(programmed(spec, weights, np.ones((1, 64))), np.ones((1, 64))).tolist() == [[expected]]


def test_one_shot_reads_see_the_bit_line_as_single_bits_do():
    # a full input drives a cell as a set bit does: codes of 0 and 255 read as bits, in units of 1 / 255
    weights = np.ones((128, 2))
    x = child(0, "bits").integers(0, 2, (20, 128)).astype(float)
    array = ArraySpec(weight_bits=1)
    serial, shot = (
        read(
            nominal_die(ChipSpec(cell=DISCHARGE, array=array, dac=dac, adc=IdealADC()), weights.shape)
            .program(weights, child(0, "write"))
            .calibrate(x),
            x,
        )
        for dac in (BitSerialDAC(bits=1), OneShotDAC(bits=8))
    )
    np.testing.assert_allclose(shot, serial, rtol=1e-5)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_leakage_is_a_pedestal_of_every_conversion_that_only_differential_columns_cancel(mapping):
    weights, x = weights_of(3, (20, 2)), np.zeros((1, 20))
    spec = chip(cell=LINE.replace("leakage_rel", 0.01), mapping=mapping, weight_bits=3)
    xbar = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(np.eye(20) * 7)
    # 8 rows leak 0.08 in each of 3 tiles and cycles worth 1 + 2 + 4
    worth = {"offset": 1 + 2 + 4, "twos_complement": 1 + 2 - 4}.get(mapping, 0)
    np.testing.assert_allclose(read(xbar, x), 0.08 * 3 * 7 * worth, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rows_parallel", [None, 3])
def test_a_unit_column_cancels_leakage(rows_parallel):
    array = {"mapping": "offset", "offset_correction": "unit_column", "rows_parallel": rows_parallel}
    spec = chip(cell=LINE.replace("leakage_rel", 0.01), **array)
    weights, x = weights_of(4, (19, 7)), inputs_of(spec.dac, 20, 19)
    xbar = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    np.testing.assert_allclose(read(xbar, x), x @ weights, rtol=1e-5, atol=1e-3)
    digital = chip(cell=spec.cell, mapping="offset", rows_parallel=rows_parallel)
    xbar = nominal_die(digital, weights.shape).program(weights, child(0, "write")).calibrate(x)
    assert np.abs(read(xbar, x) - x @ weights).min() > 1


OFF_ARRAYS = [
    {"mapping": "differential"},
    {"mapping": "differential", "subtraction": "analog"},
    {"mapping": "differential_two_sided", "cell_bits": 2},
    {"mapping": "offset", "rows_parallel": 3},
    {"mapping": "offset", "offset_correction": "unit_column"},
    {"mapping": "offset", "offset_correction": "unit_column", "cell_bits": 3},
    {"mapping": "twos_complement", "cell_bits": 2},
]


@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("array", OFF_ARRAYS)
def test_the_current_of_cells_that_store_zero_is_corrected_exactly(array, dac):
    spec = chip(cell=SramCell(on_off_ratio=5.0), dac=DACS[dac], **array)
    weights, x = weights_of(4, (19, 7)), inputs_of(spec.dac, 20, 19)
    xbar = programmed(spec, weights, x)
    np.testing.assert_allclose(read(xbar, x), x @ weights, rtol=1e-5, atol=1e-3)
    # the control: without its correction the offset mapping reads what the zeros conduct
    assert float(xbar.die.plan.off_digit.max()) >= 1 / 4


def test_off_current_takes_its_share_of_the_range():
    # 8 rows of digits up to 1, and a quarter of it from those that store 0: a sum of 10 at most, beyond 3 bits
    full = UniformADC(bits=3, range="full")
    lsb = [
        programmed(chip(cell=cell, weight_bits=2, rows=7, adc=full), np.ones((7, 1)), np.ones((1, 7))).ranges[0].lsb
        for cell in (SramCell(), SramCell(on_off_ratio=5.0))
    ]
    assert lsb == [(1.0,), (2.0,)]


def test_the_nominal_die_is_the_manufactured_one_without_mismatch_and_noise():
    noiseless = DISCHARGE.replace("mismatch_sigma_rel", 0.0).replace("read_noise_rel", 0.0)
    spec = chip(cell=noiseless.replace("sigma_t_pulse_s", 0.0), adc=UniformADC(bits=6))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    nominal = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    np.testing.assert_array_equal(read(nominal, x), read(programmed(spec, weights, x), x))
