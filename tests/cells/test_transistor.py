"""The read transistor against the alpha-power law and its published figures: V_WL, temperature, leakage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.cells import column, mismatch_sigma_rel
from imcsim.cells.transistor import on_current
from imcsim.specs.array import ArraySpec
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
DISCHARGE = load("sram8t_65nm").cell
CURRENT = load("sram8t_is_65nm").cell
BOTH = pytest.mark.parametrize("cell", [DISCHARGE, CURRENT], ids=lambda cell: cell.kind)

# Gonugondla et al., 65 nm (references/device_and_array_models.md, C; unverified there): V_WL, I_on, sigma_I / I
PUBLISHED = [(0.6, 12e-6, 0.21), (0.7, 25e-6, 0.143), (0.8, 42e-6, 0.11)]


def at(cell, **changes):
    for name, value in changes.items():
        cell = cell.replace(name, value)
    return cell


def current_A(v_wl_V=0.7, temperature_K=300.0, vt_per_K=-0.8e-3, mobility=1.5):
    """k (T / 300)^-m (V_WL - V_t)^alpha with V_t = 0.4 V + dV_t/dT (T - 300), of the 65 nm cell."""
    v_t_V = 0.4 + vt_per_K * (temperature_K - 300)
    return 220e-6 * (temperature_K / 300) ** -mobility * (v_wl_V - v_t_V) ** 1.8


@BOTH
@pytest.mark.parametrize(("v_wl_V", "i_on_A", "sigma"), PUBLISHED)
def test_the_word_line_trades_current_against_mismatch_as_published(cell, v_wl_V, i_on_A, sigma):
    cell = cell.replace("v_wl_V", v_wl_V)
    assert mismatch_sigma_rel(cell) == pytest.approx(sigma, rel=0.03)  # two figures are quoted
    assert on_current(cell) == pytest.approx(i_on_A, rel=0.03)


@BOTH
@given(st.floats(0.5, 1.0), st.floats(233, 398), st.floats(-1.5e-3, 1e-3), st.floats(0, 2.5))
def test_the_current_follows_the_alpha_power_law_at_every_temperature(cell, v_wl_V, temperature_K, vt_per_K, mobility):
    cell = at(
        cell, v_wl_V=1.0, vt_per_K=vt_per_K, mobility_exponent=mobility, temperature_K=temperature_K, sigma_vt_V=0.02
    )
    v_t_V = 0.4 + vt_per_K * (temperature_K - 300)
    v_wl_V = max(v_wl_V, v_t_V + 0.01)
    cell = cell.replace("v_wl_V", v_wl_V)
    assert on_current(cell) == pytest.approx(current_A(v_wl_V, temperature_K, vt_per_K, mobility), rel=1e-9)
    assert mismatch_sigma_rel(cell) == pytest.approx(1.8 * 0.02 / (v_wl_V - v_t_V), rel=1e-9)


@BOTH
def test_mismatch_is_the_spread_of_the_current_over_that_of_the_threshold(cell):
    # dI / dV_t by central difference
    h = 1e-6
    slope = (on_current(at(cell, v_t_V=0.4 + h)) - on_current(at(cell, v_t_V=0.4 - h))) / (2 * h)
    assert mismatch_sigma_rel(cell) == pytest.approx(-slope * 23.8e-3 / on_current(cell), rel=1e-6)


@BOTH
def test_giving_a_threshold_spread_again_derives_the_mismatch_from_it(cell):
    cell = at(cell, mismatch_sigma_rel=0.3, sigma_vt_V=0.01)
    assert mismatch_sigma_rel(cell) == pytest.approx(1.8 * 0.01 / 0.3, rel=1e-12)


@BOTH
def test_a_higher_word_line_conducts_more_and_matches_better(cell):
    cells = [cell.replace("v_wl_V", v) for v in np.linspace(0.45, 1.0, 12)]
    assert np.all(np.diff([on_current(c) for c in cells]) > 0)
    assert np.all(np.diff([mismatch_sigma_rel(c) for c in cells]) < 0)


@BOTH
def test_heat_lowers_the_threshold_and_so_the_mismatch(cell):
    cells = [cell.replace("temperature_K", t) for t in np.linspace(233, 398, 12)]
    np.testing.assert_allclose([c.threshold for c in cells], 0.4 - 0.8e-3 * (np.linspace(233, 398, 12) - 300))
    assert np.all(np.diff([mismatch_sigma_rel(c) for c in cells]) < 0)


@BOTH
def test_heat_raises_the_current_below_the_point_of_zero_temperature_coefficient_and_lowers_it_above(cell):
    # d ln I / dT = -m / T - alpha V_t' / (V_WL - V_t) = 0 at V_WL - V_t = -alpha V_t' T / m
    crossing_V = 0.4 + 1.8 * 0.8e-3 * 300 / 1.5
    for v_wl_V, sign in ((crossing_V - 0.05, 1), (crossing_V + 0.05, -1)):
        hot, cold = (on_current(at(cell, v_wl_V=v_wl_V, temperature_K=t)) for t in (305.0, 295.0))
        assert sign * (hot - cold) > 0
    slope = on_current(at(cell, v_wl_V=crossing_V, temperature_K=300.1)) - on_current(at(cell, v_wl_V=crossing_V))
    assert abs(slope) < 1e-6 * on_current(cell)


@BOTH
def test_without_coefficients_temperature_moves_neither_current_nor_mismatch(cell):
    still = at(cell, vt_per_K=0.0, mobility_exponent=0.0)
    for temperature_K in (233.0, 398.0):
        moved = still.replace("temperature_K", temperature_K)
        assert on_current(moved) == on_current(still) == pytest.approx(current_A(), rel=1e-12)
        assert mismatch_sigma_rel(moved) == mismatch_sigma_rel(still)


# ---- leakage


@BOTH
@pytest.mark.parametrize("rows", [16, 128])
def test_every_cell_of_a_line_leaks(cell, rows):
    assert column(cell.replace("leakage_rel", 1e-3), ArraySpec(rows=rows)).pedestal == pytest.approx(1e-3 * rows)
    assert column(cell, ArraySpec(rows=rows)).pedestal == pytest.approx(rows * 2.5e-9 / current_A(), rel=1e-12)


@BOTH
@pytest.mark.parametrize("v_wl_V", [0.6, 0.8])
@pytest.mark.parametrize("temperature_K", [264.0, 300.0, 336.0])
def test_leakage_doubles_with_temperature_and_is_counted_in_on_currents(cell, v_wl_V, temperature_K):
    leaking = at(cell, leak_A=4e-9, leak_doubling_K=12.0, v_wl_V=v_wl_V, temperature_K=temperature_K)
    # 36 K are three doublings
    leak_A = 4e-9 * {264.0: 1 / 8, 300.0: 1, 336.0: 8}[temperature_K]
    expected = 128 * leak_A / current_A(v_wl_V, temperature_K)
    assert column(leaking, ARRAY).pedestal == pytest.approx(expected, rel=1e-12)


@BOTH
def test_leakage_without_a_doubling_stays_as_it_is(cell):
    still = at(cell, leakage_rel=0.0, leak_A=4e-9, temperature_K=398.0)
    assert column(still, ARRAY).pedestal == pytest.approx(128 * 4e-9 / current_A(temperature_K=398.0), rel=1e-12)


@BOTH
def test_a_given_relative_leakage_is_that_at_every_word_line_and_temperature(cell):
    for changes in ({"v_wl_V": 0.8}, {"temperature_K": 398.0}):
        assert column(at(cell, leakage_rel=1e-3, **changes), ARRAY).pedestal == pytest.approx(0.128, rel=1e-12)


@BOTH
def test_a_cell_for_which_no_leakage_is_given_has_none(cell):
    assert column(at(cell, leakage_rel=None, leak_A=None), ARRAY).pedestal == 0


@BOTH
def test_leakage_costs_more_of_a_unit_the_hotter_the_die_and_the_lower_the_word_line(cell):
    hotter = [column(cell.replace("temperature_K", t), ARRAY).pedestal for t in np.linspace(233, 398, 12)]
    higher = [column(cell.replace("v_wl_V", v), ARRAY).pedestal for v in np.linspace(0.5, 1.0, 12)]
    assert np.all(np.diff(hotter) > 0)
    assert np.all(np.diff(higher) < 0)
    assert math.isfinite(hotter[-1])
