"""Mismatch: what is frozen at manufacture moves outputs by closed forms: cells, lost bits, converters of the rows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, programmed, read, stored, weights_of

from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.cells import SramCapacitorCell, SramCell
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load

N = 40_000  # columns of a statistic

ARRAYS = {
    "differential": {"mapping": "differential"},
    "subtracted ahead of the converter": {"mapping": "differential", "subtraction": "analog"},
    "two-sided": {"mapping": "differential_two_sided", "slices": (1, 2)},
    "offset": {"mapping": "offset", "cell_bits": 2, "rows_parallel": 3},
    "two's complement": {"mapping": "twos_complement"},
}


@pytest.mark.parametrize("law", ["normal", "lognormal"])
@pytest.mark.parametrize("dac", ["serial, two's complement", "one shot", "serial, added as charge"])
@pytest.mark.parametrize("array", ARRAYS)
def test_mismatch_moves_the_output_by_its_closed_form(array, dac, law, assert_moments):
    sigma = 0.1
    cell = SramCell(mismatch_sigma_rel=sigma, mismatch_law=law)
    spec = chip(cell=cell, dac=DACS[dac], **{"cols": 128, **ARRAYS[array]})
    weights, inputs = np.tile(weights_of(4, (11, 1)), N), inputs_of(spec.dac, 2, 11)  # all columns alike
    xbar = programmed(spec, weights, inputs)
    error = read(xbar, inputs[1]) - inputs[1] @ weights
    # a conducting cell errs alike in every cycle, so by its input; it counts by the square of what its column is worth
    held = stored(xbar)
    variance = sigma**2 * np.einsum("r,rps,ps->", inputs[1] ** 2, held.digits[..., 0] ** 2, held.worth**2)
    assert_moments(error, 0, math.sqrt(variance))


@pytest.mark.parametrize(("law", "third"), [("normal", 0.0), ("lognormal", 1.0)])
def test_mismatch_has_the_skewness_of_its_law(law, third):
    sigma = 0.3
    currents = manufacture(chip(cell=SramCell(mismatch_sigma_rel=sigma, mismatch_law=law)), (200, 200), 1).currents
    skewness = np.mean((currents - 1.0) ** 3) / sigma**3
    # of a log-normal: (sigma^2 + 3) sigma
    expected = third * (sigma**2 + 3) * sigma
    assert abs(skewness - expected) < 0.05
    assert abs(skewness - ((sigma**2 + 3) * sigma - expected)) > 0.5  # the other law is told apart


def test_a_unit_column_cancels_what_the_offset_reads_but_not_its_mismatch(assert_moments):
    sigma = 0.1
    array = {"mapping": "offset", "offset_correction": "unit_column", "cols": 1}  # a unit column for every column
    spec = chip(cell=SramCell(mismatch_sigma_rel=sigma), dac=OneShotDAC(bits=3), **array)
    weights, inputs = np.tile(weights_of(4, (11, 1)), N), inputs_of(spec.dac, 2, 11)
    xbar = programmed(spec, weights, inputs)
    held = stored(xbar)
    # weight 0 is stored as the offset, 8 of 4 bits: one cell on in each row
    digits = np.square(held.digits[..., 0] * held.worth).sum(axis=(1, 2)) + 8**2
    std = sigma * math.sqrt((inputs[1] ** 2 * digits).sum())
    assert_moments(read(xbar, inputs[1]) - inputs[1] @ weights, 0, std)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_mismatch_of_capacitors_is_shared_by_the_column(mapping, assert_moments):
    cell = SramCapacitorCell(c_unit_F=1e-15, mismatch_sigma_rel=0.01, c_par_F=3e-15, v_dd_V=0.9)
    spec = chip(cell=cell, mapping=mapping, weight_bits=2, cols=128)
    weights, inputs = np.tile(weights_of(2, (6, 1)), N), inputs_of(spec.dac, 2, 6)
    xbar = programmed(spec, weights, inputs)
    xbar = xbar.on_die(dataclasses.replace(xbar.die, column=xbar.die.column.noiseless()))
    error = read(xbar, inputs[1]) - inputs[1] @ weights
    # V_i = (1 + e_i) (N + P) / (N + P + sum e): to first order the column takes its mean error off each cell
    held, share = stored(xbar), 8 + 3
    driven = np.zeros((8, *held.digits.shape[1:3]))  # two of the eight rows are not used, their capacitors are
    driven[:6] = inputs[1][:, None, None] * held.digits[..., 0]
    sensitivity = driven - driven.sum(axis=0) / share
    variance = cell.mismatch_sigma_rel**2 * np.einsum("rps,ps->", sensitivity**2, held.worth**2)
    assert_moments(error, 0, math.sqrt(variance))


# Lost bits


def test_the_share_of_cells_below_their_minimum_supply_lose_their_bit():
    v_dd, mean, sigma, n = 0.25, 0.2, 0.04, 128 * 400
    cell = load("sram_cap_28nm").cell.replace("v_dd_V", v_dd).replace("mismatch_sigma_rel", 0.0)
    cell = cell.replace("v_min_mean_V", mean).replace("v_min_sigma_V", sigma)
    die = manufacture(chip(cell=cell, mapping="offset", weight_bits=1, rows=128, cols=128), (128, 400), 1)
    die = dataclasses.replace(die, column=die.column.noiseless())
    share = 0.5 * math.erfc((v_dd - mean) / sigma / math.sqrt(2))
    spread = 5 * math.sqrt(share * (1 - share) / n)
    for written in (-1.0, 1.0):
        xbar = die.program(np.full((128, 400), written), child(0, "write"))
        held = np.sign(read(xbar, np.eye(128)))  # each cell by itself
        wrong = (held != written).mean()
        # half of those that lose their bit wake with the other
        assert abs(2 * wrong - share) < 2 * spread
        assert abs(2 * wrong - 1.5 * share) > 2 * spread
    assert abs(xbar.die.lost[0].mean() - share) < spread


def test_cells_lost_at_one_supply_are_lost_at_any_lower():
    cell = load("sram_cap_28nm").cell
    lost = [manufacture(chip(cell=cell.replace("v_dd_V", v)), (64, 64), 1).lost[0] for v in (0.25, 0.22, 0.15)]
    assert (lost[0] <= lost[1]).all()
    assert (lost[1] <= lost[2]).all()
    assert 0 < lost[0].sum() < lost[1].sum() < lost[2].sum()


# The rows' converters


def test_each_row_has_a_gain_of_its_own_in_all_columns(assert_moments):
    dac = OneShotDAC(bits=4, gain_sigma_rel=0.05)
    die = manufacture(chip(rows=128, cols=4, weight_bits=3, dac=dac), (N, 6), 1)
    xbar = die.program(np.full((N, 6), 3.0), child(0, "write")).calibrate(np.full((1, N), 15.0))
    levels = die.dac.levels.reshape(-1, 16)[:N]
    assert_moments(levels[:, -1] / 15, 1, 0.05)
    some = np.zeros((3, N))
    some[range(3), [0, 130, N - 1]] = 15.0
    gains = levels[[0, 130, N - 1], -1] / 15
    np.testing.assert_allclose(read(xbar, some), np.outer(gains * 45, np.ones(6)), rtol=1e-5)
    np.testing.assert_array_equal(read(xbar, some, seed=1), read(xbar, some))


@pytest.mark.parametrize("dac", [BitSerialDAC(bits=8, slice_bits=4), OneShotDAC(bits=4)], ids=lambda dac: dac.kind)
def test_unit_elements_bend_the_levels_of_a_row_by_their_closed_form(dac, assert_moments):
    sigma, top = 0.05, 15
    spec = chip(rows=128, cols=1, weight_bits=1, dac=dac.replace("unit_sigma_rel", sigma))
    levels = manufacture(spec, (N, 1), 1).dac.levels.reshape(-1, top + 1)[:N]
    for d in (1, 5, 8):
        # a Brownian bridge of the elements: sigma sqrt(d (1 - d / D))
        assert_moments(levels[:, d], d, sigma * math.sqrt(d * (1 - d / top)))
    np.testing.assert_allclose(levels[:, -1], top, rtol=1e-6)


@pytest.mark.parametrize("rows_parallel", [None, 3, 4])
def test_rows_keep_their_converters_however_many_are_read_at_once(rows_parallel):
    dac = OneShotDAC(bits=3, gain_sigma_rel=0.1, unit_sigma_rel=0.1)
    xbar = programmed(chip(rows_parallel=rows_parallel, dac=dac), np.full((19, 2), 7.0), np.full((1, 19), 7.0))
    levels = xbar.die.dac.levels.reshape(-1, 8)[:19]
    for code in (1, 4, 7):
        np.testing.assert_allclose(read(xbar, code * np.eye(19))[:, 1], 7 * levels[:, code], rtol=1e-5)


def test_a_nominal_die_has_none_of_it():
    dac = OneShotDAC(bits=3, gain_sigma_rel=0.1, unit_sigma_rel=0.1, noise_lsb=1.0)
    spec = chip(cell=SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.1), dac=dac)
    weights, x = weights_of(4, (19, 5)), inputs_of(dac, 10, 19)
    xbar = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    np.testing.assert_array_equal(read(xbar, x), x @ weights)
