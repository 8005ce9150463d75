"""Bit-line discharge against the published figures and the differential equation of the line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from imcsim.cells import column, variance_states
from imcsim.cells.discharge import unit_voltage
from imcsim.kernels.reference import transfer
from imcsim.specs.array import ArraySpec
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
DISCHARGE = load("sram8t_65nm").cell

# Gonugondla et al., 65 nm bit-line discharge (references/device_and_array_models.md, C; unverified there):
# V_WL, I_on, Delta V_unit, cells to the swing of 0.85 V
PUBLISHED = [(0.6, 12e-6, 4.5e-3, 190), (0.7, 25e-6, 9.3e-3, 91), (0.8, 42e-6, 15.6e-3, 54)]


@pytest.mark.parametrize(("v_wl_V", "i_on_A", "unit_V", "cells"), PUBLISHED)
def test_the_word_line_trades_swing_as_published(v_wl_V, i_on_A, unit_V, cells):
    cell = DISCHARGE.replace("v_wl_V", v_wl_V)
    assert unit_voltage(cell) == pytest.approx(unit_V, rel=0.01)
    assert column(cell, ARRAY).swing == pytest.approx(cells, rel=0.01)
    assert column(cell, ARRAY).swing == pytest.approx(0.85 / unit_V, rel=0.01)
    assert unit_V == pytest.approx(i_on_A * cell.t_pulse_s / cell.c_bl_F, rel=0.02)


def test_one_cell_discharges_what_the_alpha_power_law_gives():
    # k (V_WL - V_t)^alpha T / C_BL
    unit_V = 220e-6 * 0.3**1.8 * 100e-12 / 270e-15
    assert unit_voltage(DISCHARGE) == pytest.approx(unit_V, rel=1e-12)
    assert column(DISCHARGE, ARRAY).swing == pytest.approx(0.85 / unit_V, rel=1e-12)
    assert column(DISCHARGE, ARRAY).droop == pytest.approx(0.15 * unit_V, rel=1e-12)


@pytest.mark.parametrize("temperature_K", [233.0, 398.0])
def test_unit_swing_and_droop_follow_the_temperature(temperature_K):
    cell = DISCHARGE.replace("temperature_K", temperature_K)
    overdrive_V = 0.3 + 0.8e-3 * (temperature_K - 300)
    unit_V = 220e-6 * (temperature_K / 300) ** -1.5 * overdrive_V**1.8 * 100e-12 / 270e-15
    assert column(cell, ARRAY).swing == pytest.approx(0.85 / unit_V, rel=1e-9)
    assert column(cell, ARRAY).droop == pytest.approx(0.15 * unit_V, rel=1e-9)


@pytest.mark.parametrize("v_dd_V", [0.5, 1.0, 1.2])
def test_the_swing_is_what_the_supply_leaves_above_the_lowest_voltage_of_the_bit_line(v_dd_V):
    cell = DISCHARGE.replace("v_dd_V", v_dd_V)
    assert column(cell, ARRAY).swing * unit_voltage(cell) == pytest.approx(v_dd_V - 0.15, rel=1e-12)


def test_a_given_swing_does_not_ask_the_supply():
    for v_dd_V in (0.5, 1.2):
        cell = DISCHARGE.replace("swing_V", 0.6).replace("v_dd_V", v_dd_V)
        assert column(cell, ARRAY).swing * unit_voltage(cell) == pytest.approx(0.6, rel=1e-12)


def test_more_word_line_leaves_fewer_cells_to_the_swing_and_more_supply_leaves_more():
    by_word_line = [column(DISCHARGE.replace("v_wl_V", v), ARRAY).swing for v in np.linspace(0.45, 1.0, 12)]
    by_supply = [column(DISCHARGE.replace("v_dd_V", v), ARRAY).swing for v in np.linspace(0.3, 1.2, 12)]
    assert np.all(np.diff(by_word_line) < 0)
    assert np.all(np.diff(by_supply) > 0)


@given(st.just(0.0) | st.floats(1e-6, 1), st.just(0.0) | st.floats(1e-6, 0.5))
def test_a_conducting_cell_adds_the_jitter_of_its_own_current_and_the_read_noise_of_a_nominal_one(jitter, noise):
    cell = DISCHARGE.replace("sigma_t_pulse_s", jitter * DISCHARGE.t_pulse_s).replace("read_noise_rel", noise)
    currents = np.array([0.0, 0.5, 1.0, 1.7], np.float32)
    variances = column(cell, ARRAY).cell_variance * variance_states(cell, currents)
    np.testing.assert_allclose(variances, jitter**2 * currents.astype(float) ** 2 + noise**2, rtol=1e-5, atol=1e-12)


def test_jitter_and_read_noise_of_the_65_nm_cell():
    # 2.3 ps of 100 ps, and 1 %
    assert column(DISCHARGE, ARRAY).cell_variance == pytest.approx(0.023**2 + 0.01**2, rel=1e-12)


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
