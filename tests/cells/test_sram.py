"""The physics of SRAM cells against the published figures and the closed forms they come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import norm

from imcsim.cells import column, frozen_currents, mismatch_sigma_rel, variance_states
from imcsim.kernels.reference import transfer
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCapacitorCell, SramCell
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
DISCHARGE = load("sram8t_65nm").cell
CAPACITOR = load("sram_cap_28nm").cell
K_T_300 = 1.380649e-23 * 300

# Gonugondla et al., 65 nm bit-line discharge (references/device_and_array_models.md, C; unverified there):
# V_WL, I_on, Delta V_unit, cells to the swing, sigma_I / I
PUBLISHED = [(0.6, 12e-6, 4.5e-3, 190, 0.21), (0.7, 25e-6, 9.3e-3, 91, 0.143), (0.8, 42e-6, 15.6e-3, 54, 0.11)]


@pytest.mark.parametrize(("v_wl_V", "i_on_A", "unit_V", "cells", "sigma"), PUBLISHED)
def test_the_word_line_trades_mismatch_against_swing_as_published(v_wl_V, i_on_A, unit_V, cells, sigma):
    cell = DISCHARGE.replace("v_wl_V", v_wl_V)
    assert mismatch_sigma_rel(cell) == pytest.approx(sigma, rel=0.03)  # two figures are quoted
    assert column(cell, ARRAY).swing == pytest.approx(cells, rel=0.01)
    assert column(cell, ARRAY).swing == pytest.approx(cell.swing_V / unit_V, rel=0.01)
    assert unit_V == pytest.approx(i_on_A * cell.t_pulse_s / cell.c_bl_F, rel=0.02)


def test_the_current_follows_the_alpha_power_law():
    # one cell discharges k (V_WL - V_t)^alpha T / C_BL
    unit_V = 220e-6 * 0.3**1.8 * 100e-12 / 270e-15
    assert column(DISCHARGE, ARRAY).swing == pytest.approx(0.85 / unit_V, rel=1e-12)


@given(st.floats(0, 1))
def test_a_given_mismatch_overrides_the_derived_one(sigma):
    for cell in (DISCHARGE, CAPACITOR, SramCell()):
        assert mismatch_sigma_rel(cell.replace("mismatch_sigma_rel", sigma)) == sigma


def test_giving_a_threshold_spread_again_derives_the_mismatch_from_it():
    cell = DISCHARGE.replace("mismatch_sigma_rel", 0.3).replace("sigma_vt_V", 0.01)
    assert mismatch_sigma_rel(cell) == pytest.approx(1.8 * 0.01 / 0.3, rel=1e-12)


@pytest.mark.parametrize(("c_unit_F", "sigma"), [(1e-15, 0.0066), (4e-15, 0.0033), (0.25e-15, 0.0133)])
def test_capacitors_match_better_with_the_root_of_their_size(c_unit_F, sigma):
    # sigma_C = 2.1 x 10^-2.5 sqrt(C / fF) fF: 0.66 % at 1 fF
    assert mismatch_sigma_rel(CAPACITOR.replace("c_unit_F", c_unit_F)) == pytest.approx(sigma, rel=0.01)
    formula = 2.1 * 10**-2.5 * math.sqrt(c_unit_F / 1e-15) * 1e-15 / c_unit_F
    assert mismatch_sigma_rel(CAPACITOR.replace("c_unit_F", c_unit_F)) == pytest.approx(formula, rel=1e-3)


def test_an_ideal_cell_adds_exactly_one_and_its_column_changes_nothing():
    normals = child(0, "n").normal(size=(2, 128, 3))
    np.testing.assert_array_equal(frozen_currents(SramCell(), ARRAY, normals), np.ones((2, 128, 3)))
    assert column(SramCell(), ARRAY) == (0, 0, math.inf, 0, 0)


@pytest.mark.parametrize("sigma", [0.05, 0.143])
@pytest.mark.parametrize("cell", [SramCell(), DISCHARGE], ids=lambda cell: cell.kind)
def test_frozen_currents_spread_about_one_by_the_mismatch(cell, sigma, assert_moments):
    normals = child(0, "currents").normal(size=(4, 128, 100))
    assert_moments(frozen_currents(cell.replace("mismatch_sigma_rel", sigma), ARRAY, normals), 1, sigma)


@pytest.mark.parametrize("cell", [SramCell(), DISCHARGE], ids=lambda cell: cell.kind)
def test_currents_clip_at_zero(cell):
    normals = child(0, "clip").normal(size=(4, 128, 100))
    currents = frozen_currents(cell.replace("mismatch_sigma_rel", 1.0), ARRAY, normals)
    share, n = norm.cdf(-1), normals.size  # of 1 + x below zero
    assert currents.min() == 0
    assert abs(np.mean(currents == 0) - share) < 5 * math.sqrt(share * (1 - share) / n)
    np.testing.assert_allclose(currents[currents > 0], 1 + normals[normals > -1], rtol=1e-6, atol=1e-7)


# Charge redistribution


@given(st.floats(0, 0.3), st.sampled_from([1, 7, 128]), st.integers(0, 2**32))
def test_all_capacitors_on_give_the_nominal_sum_whatever_the_mismatch(sigma, rows, seed):
    # V = V_DD sum C_i / sum C_i: without a parasitic load the column is at V_DD
    cell = SramCapacitorCell(c_unit_F=1e-15, mismatch_sigma_rel=sigma, v_dd_V=0.9)
    charges = frozen_currents(cell, ArraySpec(rows=rows), child(seed, "q").normal(size=(2, rows, 3)))
    np.testing.assert_allclose(charges.sum(axis=1, dtype=float), rows, rtol=1e-5)


def test_charges_follow_the_published_ratio_of_capacitances():
    # V = V_DD sum(w x C_i) / (sum C_i + C_par) in units of Delta = C V_DD / (N C + C_par); C_par = 0.3 N C + 2.04278 fF
    normals = child(0, "charges").normal(size=(3, 128, 50))
    c = 1e-15 * (1 + 2.1e-10 / math.sqrt(1e-15) * normals)
    c_par = 0.3 * 128 * 1e-15 + 2.04278e-15
    v = 0.9 * c / (c.sum(axis=1, keepdims=True) + c_par)
    delta = 1e-15 * 0.9 / (128e-15 + c_par)
    np.testing.assert_allclose(frozen_currents(CAPACITOR, ARRAY, normals), v / delta, rtol=1e-6)
    with pytest.raises(AssertionError):  # a denominator that does not vary is another model
        np.testing.assert_allclose(frozen_currents(CAPACITOR, ARRAY, normals), c / 1e-15, rtol=1e-6)


def test_the_charges_of_a_column_share_its_own_capacitors_and_no_others():
    normals = child(0, "share").normal(size=(2, 128, 4))
    other = normals.copy()
    other[1, 5, 2] += 10
    changed = np.any(frozen_currents(CAPACITOR, ARRAY, normals) != frozen_currents(CAPACITOR, ARRAY, other), axis=1)
    assert np.argwhere(changed).tolist() == [[1, 2]]


def test_thermal_noise_of_a_picofarad_is_the_textbooks_64_microvolts():
    # sqrt(kT / C) of 1 pF at 300 K: 64.4 uV
    cell = SramCapacitorCell(c_unit_F=1e-15, mismatch_sigma_rel=0, c_par_F=990e-15, v_dd_V=0.8)
    delta = 1e-15 * 0.8 / 1e-12
    assert math.sqrt(column(cell, ArraySpec(rows=10)).variance) * delta == pytest.approx(64.4e-6, rel=1e-3)


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_thermal_noise_is_that_of_the_whole_column(rows):
    c_total = rows * 1e-15 * 1.3 + 2.04278e-15
    delta = 1e-15 * 0.9 / c_total
    assert column(CAPACITOR, ArraySpec(rows=rows)).variance == pytest.approx(K_T_300 / c_total / delta**2, rel=1e-9)


def test_a_capacitor_column_is_linear_and_its_cells_add_no_noise_of_their_own():
    analog = column(CAPACITOR, ARRAY)
    assert (analog.pedestal, analog.droop, analog.swing, analog.cell_variance) == (0, 0, math.inf, 0)


# Bit-line discharge


@given(st.just(0.0) | st.floats(1e-6, 1), st.just(0.0) | st.floats(1e-6, 0.5))
def test_a_conducting_cell_adds_the_jitter_of_its_own_current_and_the_read_noise_of_a_nominal_one(jitter, noise):
    cell = DISCHARGE.replace("sigma_t_pulse_s", jitter * DISCHARGE.t_pulse_s).replace("read_noise_rel", noise)
    currents = np.array([0.0, 0.5, 1.0, 1.7], np.float32)
    variances = column(cell, ARRAY).cell_variance * variance_states(cell, currents)
    np.testing.assert_allclose(variances, jitter**2 * currents.astype(float) ** 2 + noise**2, rtol=1e-5, atol=1e-12)


def test_jitter_and_read_noise_of_the_65_nm_cell():
    # 2.3 ps of 100 ps, and 1 %
    assert column(DISCHARGE, ARRAY).cell_variance == pytest.approx(0.023**2 + 0.01**2, rel=1e-12)


def test_read_noise_of_a_linear_cell_does_not_depend_on_its_current():
    cell = SramCell(read_noise_rel=0.1)
    currents = np.array([0.5, 1.0, 2.0], np.float32)
    variances = column(cell, ARRAY).cell_variance * variance_states(cell, currents)
    np.testing.assert_allclose(variances, 0.01, rtol=1e-6)


def test_every_cell_of_a_bit_line_leaks():
    for rows in (16, 128):
        cell = DISCHARGE.replace("leakage_rel", 1e-3)
        assert column(cell, ArraySpec(rows=rows)).pedestal == pytest.approx(1e-3 * rows, rel=1e-12)


def discharged_V(cell, cells_on):
    """How far `cells_on` nominal cells discharge the bit line, in volts, by the numpy twin of the column."""
    unit_V = 220e-6 * 0.3**1.8 * 100e-12 / 270e-15
    linear = cell.replace("leakage_rel", 0.0)
    return transfer(np.asarray(cells_on, float), column(linear, ARRAY)) * unit_V, unit_V


def test_the_bit_line_falls_as_its_differential_equation_says():
    # C dV/dt = N I_on (1 - lambda V), from V = 0, for one pulse
    lam, cells_on = 0.3, 80
    got, unit_V = discharged_V(DISCHARGE.replace("droop_per_V", lam), cells_on)
    solved = solve_ivp(lambda t, v: cells_on * unit_V * (1 - lam * v), (0, 1), [0.0], rtol=1e-10, atol=1e-12)
    assert float(got) == pytest.approx(solved.y[0, -1], rel=1e-8)
    assert float(got) == pytest.approx((1 - math.exp(-lam * cells_on * unit_V)) / lam, rel=1e-12)


def test_the_first_cell_discharges_a_unit_and_later_ones_less_by_lambda_a_volt():
    got, unit_V = discharged_V(DISCHARGE, np.arange(91))
    steps = np.diff(got) / unit_V
    middle = (got[1:] + got[:-1]) / 2
    np.testing.assert_allclose(steps, 1 - 0.15 * middle, rtol=1e-6)


def test_without_droop_the_bit_line_falls_in_proportion():
    got, unit_V = discharged_V(DISCHARGE.replace("droop_per_V", 0.0), np.arange(91))
    np.testing.assert_allclose(got, np.arange(91) * unit_V, rtol=1e-12)


@pytest.mark.parametrize("droop", [0.0, 0.15])
def test_the_bit_line_stops_at_its_swing(droop):
    got, _ = discharged_V(DISCHARGE.replace("droop_per_V", droop), [200, 1000])
    np.testing.assert_allclose(got, 0.85, rtol=1e-12)


@pytest.mark.parametrize("function", [mismatch_sigma_rel, lambda cell: column(cell, ARRAY)])
def test_a_cell_without_physics_is_refused_by_name(function):
    with pytest.raises(TypeError, match="no cell physics for ArraySpec"):
        function(ARRAY)
