"""What is asked of every SRAM cell: mismatch by both laws, bits lost below V_min, what an off cell conducts."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from imcsim.cells import column, frozen_currents, lost_bits, mismatch_sigma_rel, off_state, variance_states
from imcsim.kernels.column import Column
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
DISCHARGE = load("sram8t_65nm").cell
CURRENT = load("sram8t_is_65nm").cell
CAPACITOR = load("sram_cap_28nm").cell
SUPPLIED = pytest.mark.parametrize("cell", [DISCHARGE, CURRENT, CAPACITOR], ids=lambda cell: cell.kind)
# the charges of a capacitor share those of its column; the currents of the others are their own
OWN_CURRENT = pytest.mark.parametrize("cell", [SramCell(), DISCHARGE, CURRENT], ids=lambda cell: cell.kind)


# ---- mismatch


@given(st.floats(0, 1))
def test_a_given_mismatch_overrides_the_derived_one(sigma):
    for cell in (DISCHARGE, CURRENT, CAPACITOR, SramCell()):
        assert mismatch_sigma_rel(cell.replace("mismatch_sigma_rel", sigma)) == sigma


def test_an_ideal_cell_adds_exactly_one_and_its_column_changes_nothing():
    normals = child(0, "n").normal(size=(2, 128, 3))
    for law in ("normal", "lognormal"):
        currents = frozen_currents(SramCell(mismatch_law=law), ARRAY, normals)
        np.testing.assert_array_equal(currents, np.ones((2, 128, 3)))
    assert column(SramCell(), ARRAY) == Column()


@pytest.mark.parametrize("sigma", [0.05, 0.143])
@OWN_CURRENT
def test_frozen_currents_spread_about_one_by_the_mismatch(cell, sigma, assert_moments):
    normals = child(0, "currents").normal(size=(4, 128, 100))
    assert_moments(frozen_currents(cell.replace("mismatch_sigma_rel", sigma), ARRAY, normals), 1, sigma)


@OWN_CURRENT
def test_currents_of_the_normal_law_clip_at_zero(cell):
    normals = child(0, "clip").normal(size=(4, 128, 100))
    currents = frozen_currents(cell.replace("mismatch_sigma_rel", 1.0), ARRAY, normals)
    share, n = norm.cdf(-1), normals.size  # of 1 + x below zero
    assert currents.min() == 0
    assert abs(np.mean(currents == 0) - share) < 5 * math.sqrt(share * (1 - share) / n)
    np.testing.assert_allclose(currents[currents > 0], 1 + normals[normals > -1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("sigma", [0.05, 0.143, 1.0])
@OWN_CURRENT
def test_the_logarithm_of_a_log_normal_current_is_normal_with_the_parameters_of_mean_one(cell, sigma, assert_moments):
    # mean exp(mu + s^2 / 2) = 1 and variance exp(s^2) - 1 = sigma^2
    cell = cell.replace("mismatch_law", "lognormal").replace("mismatch_sigma_rel", sigma)
    currents = frozen_currents(cell, ARRAY, child(0, "log").normal(size=(4, 128, 100)))
    assert currents.dtype == np.float32
    assert currents.min() > 0
    s2 = math.log(1 + sigma**2)
    assert_moments(np.log(currents, dtype=np.float64), -s2 / 2, math.sqrt(s2))


@pytest.mark.parametrize("sigma", [0.3, 0.5])
def test_a_log_normal_current_has_the_mean_and_sigma_of_the_normal_one(sigma):
    currents = frozen_currents(
        SramCell(mismatch_sigma_rel=sigma, mismatch_law="lognormal"),
        ARRAY,
        child(0, "moments").normal(size=(40, 128, 100)),
    ).astype(float)
    n = currents.size
    # fourth central moment of a log-normal of mean one: w = exp(s^2) = 1 + sigma^2
    w = 1 + sigma**2
    fourth = sigma**4 * (w**4 + 2 * w**3 + 3 * w**2 - 3)
    of_mean, of_variance = sigma / math.sqrt(n), math.sqrt((fourth - sigma**4) / n)
    assert abs(currents.mean() - 1) < 5 * of_mean
    assert abs(currents.var() - sigma**2) < 5 * of_variance
    # without the shift of mu the mean would be exp(s^2 / 2)
    assert abs(currents.mean() - math.sqrt(w)) > 5 * of_mean
    # with s = sigma in place of sqrt(ln(1 + sigma^2)), the variance would be exp(sigma^2) - 1
    assert abs(currents.var() - math.expm1(sigma**2)) > 5 * of_variance


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
def test_both_laws_put_the_cells_of_a_die_in_the_same_order(sigma):
    normals = np.sort(child(0, "order").normal(size=(1, 128, 1)), axis=1)
    for law in ("normal", "lognormal"):
        currents = frozen_currents(SramCell(mismatch_sigma_rel=sigma, mismatch_law=law), ARRAY, normals)
        assert np.all(np.diff(currents[0, :, 0]) >= 0)
    assert np.all(np.diff(currents[0, :, 0]) > 0)  # the log-normal never clips


def test_capacitors_may_be_log_normal_too():
    normals = child(0, "capacitors").normal(size=(2, 128, 3))
    cell = CAPACITOR.replace("mismatch_law", "lognormal").replace("mismatch_sigma_rel", 0.5).replace("c_par_F", 0.0)
    s2 = math.log(1.25)
    c = np.exp(math.sqrt(s2) * normals - s2 / 2)
    expected = c * 1.3 * 128 / (c.sum(axis=1, keepdims=True) + 0.3 * 128)
    np.testing.assert_allclose(frozen_currents(cell, ARRAY, normals), expected, rtol=1e-5)


# ---- bits lost below V_min


def supplied(cell, v_dd_V, mean_V=0.45, sigma_V=0.05):
    cell = cell.replace("v_dd_V", v_dd_V)
    return cell.replace("v_min_mean_V", mean_V).replace("v_min_sigma_V", sigma_V)


def normals_of(shape, *names):
    return tuple(child(0, name).normal(size=shape).astype(np.float32) for name in names)


@SUPPLIED
@pytest.mark.parametrize("v_dd_V", [0.4, 0.45, 0.5, 0.55])
def test_the_share_of_lost_bits_is_that_of_the_normal_law(cell, v_dd_V):
    lost, _ = lost_bits(supplied(cell, v_dd_V), *normals_of((4, 128, 2, 500), "v_min", "coin"))

    def agrees(share):
        return abs(lost.mean() - share) < 5 * math.sqrt(share * (1 - share) / lost.size)

    assert agrees(norm.cdf((0.45 - v_dd_V) / 0.05))
    assert not agrees(norm.cdf((0.455 - v_dd_V) / 0.05))  # a mean that is off by a tenth of sigma
    if v_dd_V != 0.45:  # half is lost there, whatever sigma
        assert not agrees(norm.cdf((0.45 - v_dd_V) / 0.055))


@SUPPLIED
def test_a_cell_that_fails_at_one_supply_fails_at_every_lower_one_and_powers_up_alike(cell):
    normals = normals_of((2, 128, 100), "v_min", "coin")
    supplies = np.linspace(0.65, 0.25, 41)
    results = [lost_bits(supplied(cell, v), *normals) for v in supplies]
    counts = [int(lost.sum()) for lost, _ in results]
    assert counts[0] < 10
    assert counts[-1] > normals[0].size - 10
    for (higher, held), (lower, held_lower) in pairwise(results):
        assert np.all(lower[higher])
        np.testing.assert_array_equal(held, held_lower)


@SUPPLIED
def test_lost_bits_power_up_as_fair_coins_that_do_not_ask_why_they_were_lost(cell):
    lost, held = lost_bits(supplied(cell, 0.45), *normals_of((4, 128, 2, 500), "v_min", "coin"))
    assert held.dtype == np.uint8
    assert lost.dtype == np.bool_
    assert lost.shape == held.shape == (4, 128, 2, 500)
    for group in (held[lost], held[~lost]):
        assert set(np.unique(group)) == {0, 1}
        assert abs(group.mean() - 0.5) < 5 * 0.5 / math.sqrt(group.size)


@SUPPLIED
def test_without_a_spread_of_v_min_all_cells_fail_at_once(cell):
    normals = normals_of((1, 128, 10), "v_min", "coin")
    assert not lost_bits(supplied(cell, 0.451, sigma_V=0.0), *normals)[0].any()
    assert lost_bits(supplied(cell, 0.449, sigma_V=0.0), *normals)[0].all()


@SUPPLIED
def test_the_device_models_lose_no_bit_at_their_own_supply(cell):
    # Phi((0.2 - 0.9) / 0.04) is 1e-68
    assert norm.cdf((cell.v_min_mean_V - cell.v_dd_V) / cell.v_min_sigma_V) < 1e-60
    assert not lost_bits(cell, *normals_of((4, 128, 100), "v_min", "coin"))[0].any()


def test_a_design_without_v_min_loses_no_bit():
    normals = normals_of((1, 128, 10), "v_min", "coin")
    assert lost_bits(SramCell(), *normals) is None
    for cell in (DISCHARGE, CAPACITOR):
        assert lost_bits(replace(cell, v_min_mean_V=None, v_min_sigma_V=None), *normals) is None


# ---- cells that store 0


@given(st.floats(1.1, 1e12))
def test_an_off_cell_conducts_the_on_off_ratio_less_than_an_on_cell(ratio):
    # the stored bit makes a difference of one unit: an on-cell conducts off + 1
    off = off_state(SramCell(on_off_ratio=ratio))
    assert (off + 1) / off == pytest.approx(ratio, rel=1e-9)


def test_an_off_cell_conducts_nothing_unless_a_ratio_is_given():
    for cell in (SramCell(), DISCHARGE, CURRENT, CAPACITOR):
        assert off_state(cell) == 0


# ---- the column of a linear cell


def test_read_noise_of_a_linear_cell_does_not_depend_on_its_current():
    cell = SramCell(read_noise_rel=0.1)
    currents = np.array([0.5, 1.0, 2.0], np.float32)
    variances = column(cell, ARRAY).cell_variance * variance_states(cell, currents)
    np.testing.assert_allclose(variances, 0.01, rtol=1e-6)


@pytest.mark.parametrize("function", [mismatch_sigma_rel, lambda cell: column(cell, ARRAY)])
def test_a_cell_without_physics_is_refused_by_name(function):
    with pytest.raises(TypeError, match="no cell physics for ArraySpec"):
        function(ARRAY)
