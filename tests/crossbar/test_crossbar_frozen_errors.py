"""What is frozen stays: neither writes, bits, calibration nor company move a cell or a converter of a die."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossbar_chips import MAPPINGS, chip, inputs_of, programmed, read, stored, weights_of

from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import FlashADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load

CELL = SramCell(mismatch_sigma_rel=0.2)


def cells_read_one_by_one(xbar):
    """The output of every row by itself, without noise."""
    return read(xbar, np.eye(xbar.die.shape[0]))


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_hundred_writes_leave_every_cell_as_it_was_made(mapping):
    spec = chip(cell=CELL, mapping=mapping, adc=UniformADC(bits=6))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    before = programmed(spec, weights, x)
    currents = before.die.currents.copy()
    xbar, rng = before, child(0, "updates")
    for step in range(100):
        xbar = xbar.write(rng.normal(0, 5, weights.shape), rng, now_s=float(step))
    assert (xbar.codes != before.codes).mean() > 0.5
    back = xbar.write(weights - xbar.written, rng, now_s=100.0)
    np.testing.assert_array_equal(back.die.currents, currents)
    np.testing.assert_array_equal(back.codes, before.codes)
    np.testing.assert_array_equal(back.mvm(x, child(0, "read"), now_s=100.0), read(before, x))


@pytest.mark.parametrize("rows", [100, 1024])
@pytest.mark.parametrize("sigma", [0.005, 0.15, 2.0])
def test_cells_lie_on_a_grid_of_two_to_the_minus_eight_or_finer_and_no_sum_overflows_it(sigma, rows):
    spec = chip(cell=SramCell(mismatch_sigma_rel=sigma), mapping="offset", weight_bits=1, rows=rows)
    xbar = programmed(spec, np.ones((rows, 3)), np.ones((1, rows)))
    currents = xbar.die.currents.reshape(rows, 3).astype(float)
    # codes of one bit are 2 b - 1; a current is rounded to the grid, a sum to float32
    grid = 2.0**-8 / 2 + 1e-6
    np.testing.assert_allclose((cells_read_one_by_one(xbar) + 1) / 2, currents, rtol=0, atol=grid)
    total = (read(xbar, np.ones(rows)) + rows) / 2
    np.testing.assert_allclose(total, currents.sum(axis=0), rtol=1e-6, atol=5 * grid / math.sqrt(3) * math.sqrt(rows))


WIDEST = SramCell(mismatch_sigma_rel=2.0, on_off_ratio=1.1, read_noise_rel=1e-3)
JITTERY = load("sram8t_65nm").cell.replace("mismatch_sigma_rel", 2.0).replace("sigma_t_pulse_s", 1e-13)


@pytest.mark.parametrize("cell", [WIDEST, JITTERY], ids=lambda cell: cell.kind)
@pytest.mark.parametrize(
    "array",
    [
        {"cell_bits": 8, "weight_bits": 9},
        {"cell_bits": 8, "weight_bits": 9, "subtraction": "analog", "mapping": "differential_two_sided"},
        {"cell_bits": 4, "weight_bits": 4, "mapping": "offset"},
    ],
)
def test_sums_and_variances_of_wide_cells_overflow_nothing_either(array, cell):
    rows = 1024
    if hasattr(cell, "droop_per_V"):  # a line without an end
        cell = cell.replace("droop_per_V", 0.0).replace("swing_V", 5.0).replace("c_bl_F", 1e-9)
        cell = cell.replace("leakage_rel", 0.0)
    xbar = programmed(chip(cell=cell, rows=rows, **array), np.full((rows, 3), 7.0), np.full((1, rows), 7.0))
    held, plan = stored(xbar), xbar.die.plan
    sums = np.einsum("rpsc,ps->c", (held.digits + plan.off_digit[:, None]) * held.currents, held.worth)
    off = (held.worth * plan.off_digit).sum()
    expected = 7 * (sums + (held.offset - off) * rows)
    np.testing.assert_allclose(read(xbar, np.full(rows, 7.0)) / xbar.scale, expected, rtol=0.02)


def test_what_a_column_reads_does_not_depend_on_what_its_neighbours_hold():
    spec = chip(cell=CELL, mapping="offset", weight_bits=1, rows=64)
    weights = np.full((64, 2), -1.0)
    weights[:4, 0] = 1.0  # four cells conduct beside none, and then beside 64
    alone = manufacture(spec, weights.shape, 1).program(weights, child(0, "write"))
    crowded = alone.write(np.array([0.0, 2.0]) + np.zeros_like(weights), child(0, "write"))
    np.testing.assert_array_equal(cells_read_one_by_one(alone)[:, 0], cells_read_one_by_one(crowded)[:, 0])


@pytest.mark.parametrize("cell", [CELL, load("sram_cap_28nm").cell], ids=lambda c: c.kind)
def test_a_cell_is_the_same_however_large_the_layer_and_however_many_bits_it_has(cell):
    spec = chip(cell=cell, weight_bits=8)
    die = manufacture(spec, (20, 6), 7)
    others = {
        "fewer weight bits": manufacture(spec.replace("array.weight_bits", 4), (20, 6), 7),
        "fewer columns": manufacture(spec, (20, 3), 7),
        "fewer rows": manufacture(spec, (9, 6), 7),
        "offset": manufacture(spec.replace("array.mapping", "offset"), (20, 6), 7),
        "wider cells": manufacture(spec.replace("array.cell_bits", 3), (20, 6), 7),
        "both sides": manufacture(spec.replace("array.mapping", "differential_two_sided"), (20, 6), 7),
        "subtracted": manufacture(spec.replace("array.subtraction", "analog"), (20, 6), 7),
        "rows in parallel": manufacture(spec.replace("array.rows_parallel", 3), (20, 6), 7),
        "ADC bits": manufacture(spec.replace("adc", UniformADC(bits=3)), (20, 6), 7),
        "input bits": manufacture(spec.replace("dac.bits", 8), (20, 6), 7),
        "in company": manufacture(spec, (20, 6), [7, 8]),
    }
    for name, other in others.items():
        common = tuple(slice(min(pair)) for pair in zip(die.currents.shape, other.currents.shape, strict=True))
        np.testing.assert_array_equal(other.currents[common], die.currents[common], err_msg=name)
    assert others["fewer weight bits"].currents.shape[4] == 3
    assert others["rows in parallel"].currents.shape == die.currents.shape


def test_unit_columns_move_no_other_cell_nor_converter():
    spec = chip(cell=CELL, mapping="offset", adc=FlashADC(bits=4, comparator_sigma_lsb=1.0, offset_sigma_lsb=1.0))
    plain = manufacture(spec, (20, 6), 7)
    unit = manufacture(spec.replace("array.offset_correction", "unit_column"), (20, 6), 7)
    at = unit.plan.tiling.weights
    assert unit.currents.shape[5] == 6 + 2  # a unit column in each of two arrays
    np.testing.assert_array_equal(unit.currents[..., at], plain.currents)
    columns = unit.adc.offset_lsb.reshape(1, 3, 4, 8)[..., at]
    np.testing.assert_array_equal(columns, plain.adc.offset_lsb.reshape(1, 3, 4, 6))
    own = unit.adc.elements[unit.adc.owner].reshape(1, 3, 4, 8, -1)[..., at, :]
    np.testing.assert_array_equal(own, plain.adc.elements[plain.adc.owner].reshape(1, 3, 4, 6, -1))


def test_cells_belong_to_their_place_on_the_arrays():
    # of 6 rows on arrays of 4, equal tiles take 3 each: the fourth comes to lie first on the second array
    spec = chip(cell=CELL, rows=4, cols=4)
    maximal = manufacture(spec, (6, 6), 7).currents[0]
    equal = manufacture(spec.replace("array.tiling", "equal"), (6, 6), 7).currents[0]
    np.testing.assert_array_equal(equal[:, :3, :, :, :3], maximal[:, :3, :, :, :3])
    np.testing.assert_array_equal(equal[:, :, :, :, 3:5], maximal[:, :3, :, :, 4:6])
    assert (maximal[0] != maximal[1]).mean() > 0.99


def test_the_errors_of_converters_do_not_depend_on_their_bits_nor_on_calibration():
    spec = chip(adc=UniformADC(bits=8, offset_sigma_lsb=1.0, gain_sigma_rel=0.1), dac=OneShotDAC(gain_sigma_rel=0.1))
    one, other = (manufacture(spec.replace("adc.bits", bits), (20, 6), 7) for bits in (8, 4))
    np.testing.assert_array_equal(one.adc.gain, other.adc.gain)
    np.testing.assert_array_equal(one.adc.offset_lsb, other.adc.offset_lsb)
    np.testing.assert_array_equal(one.dac.levels, other.dac.levels)
    assert (one.adc.gain != one.adc.offset_lsb).all()
    xbar = one.program(np.ones((20, 6)), child(0, "write"))
    assert xbar.calibrate(np.ones((1, 20))).die is one


def test_the_gain_of_a_row_does_not_depend_on_the_bits_of_its_converter():
    gains = [
        manufacture(chip(dac=dac), (20, 6), 7).dac.levels[..., -1] / top
        for dac, top in (
            (OneShotDAC(bits=3, gain_sigma_rel=0.1), 7),
            (OneShotDAC(bits=8, gain_sigma_rel=0.1), 255),
            (BitSerialDAC(bits=8, gain_sigma_rel=0.1), 1),
        )
    ]
    np.testing.assert_allclose(gains[1], gains[0], rtol=1e-6)
    np.testing.assert_allclose(gains[2], gains[0], rtol=1e-6)


def test_the_same_key_is_the_same_die_and_another_key_another():
    spec = chip(cell=CELL, adc=UniformADC(gain_sigma_rel=0.1), dac=OneShotDAC(gain_sigma_rel=0.1))
    die, again, other = (manufacture(spec, (19, 5), key) for key in (2**64 - 1, 2**64 - 1, 2**64 - 2))
    np.testing.assert_array_equal(die.currents, again.currents)
    assert (die.currents != other.currents).mean() > 0.99
    assert (die.adc.gain != other.adc.gain).mean() > 0.99
    assert (die.dac.levels != other.dac.levels)[..., 1:].mean() > 0.99


def test_mismatch_as_manufactured_has_the_spread_of_the_design(assert_moments):
    cell = load("sram8t_65nm").cell
    assert_moments(manufacture(chip(cell=cell, rows=128), (128, 100), 3).currents, 1, 1.8 * 0.0238 / 0.3)
