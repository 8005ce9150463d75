"""Current summing against the circuit's own equations: the drop at the load, its noise, the clamp."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from imcsim.cells import column, variance_states
from imcsim.cells.current import load_noise
from imcsim.cells.transistor import on_current
from imcsim.specs.array import ArraySpec
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
CURRENT = load("sram8t_is_65nm").cell
I_ON_A = 220e-6 * 0.3**1.8  # k (V_WL - V_t)^alpha


@pytest.mark.parametrize("cells_on", [1, 32, 79, 128])
@pytest.mark.parametrize("r_load_ohm", [20.0, 200.0, 500.0])
def test_the_sum_compresses_as_the_drop_at_the_load_takes_current_from_the_cells(cells_on, r_load_ohm):
    # I = N I_on (1 - lambda I R), solved for I
    solved_A = brentq(lambda i: cells_on * I_ON_A * (1 - 0.15 * r_load_ohm * i) - i, 0, 1, xtol=1e-18, rtol=1e-14)
    load_ = column(CURRENT.replace("r_load_ohm", r_load_ohm), ARRAY).load
    assert cells_on / (1 + load_ * cells_on) * I_ON_A == pytest.approx(solved_A, rel=1e-9)


def test_cells_that_do_not_feel_the_line_sum_linearly():
    assert column(CURRENT.replace("droop_per_V", 0.0), ARRAY).load == 0


def test_the_load_compresses_and_nothing_droops():
    analog = column(CURRENT, ARRAY)
    assert analog.load == pytest.approx(I_ON_A * 0.15 * 200, rel=1e-12)
    assert (analog.droop, analog.low) == (0, -math.inf)


def test_the_sum_clips_where_the_clamp_ends_and_nowhere_without_one():
    assert column(CURRENT, ARRAY).swing == pytest.approx(2e-3 / I_ON_A, rel=1e-12)
    assert column(CURRENT.replace("i_max_A", None), ARRAY).swing == math.inf


@pytest.mark.parametrize("v_wl_V", [0.6, 0.8])
def test_compression_and_clamp_count_in_on_currents(v_wl_V):
    cell = CURRENT.replace("v_wl_V", v_wl_V)
    i_on_A = 220e-6 * (v_wl_V - 0.4) ** 1.8
    assert column(cell, ARRAY).load == pytest.approx(i_on_A * 0.15 * 200, rel=1e-9)
    assert column(cell, ARRAY).swing == pytest.approx(2e-3 / i_on_A, rel=1e-9)


def test_thermal_noise_of_a_kiloohm_is_the_textbooks_4_picoamperes_a_root_hertz():
    # sqrt(4 k T / R) of 1 kOhm at 300 K: 4.07 pA / sqrt(Hz); over 1 MHz a thousand times that
    cell = CURRENT.replace("r_load_ohm", 1000.0).replace("bandwidth_Hz", 1e6)
    assert math.sqrt(load_noise(cell)) == pytest.approx(4.07e-9, rel=1e-3)


@pytest.mark.parametrize("temperature_K", [233.0, 300.0, 398.0])
@pytest.mark.parametrize("r_load_ohm", [20.0, 500.0])
@pytest.mark.parametrize("bandwidth_Hz", [1e8, 1e10])
def test_the_noise_of_the_load_counts_in_on_currents(temperature_K, r_load_ohm, bandwidth_Hz):
    cell = CURRENT.replace("temperature_K", temperature_K).replace("r_load_ohm", r_load_ohm)
    cell = cell.replace("bandwidth_Hz", bandwidth_Hz)
    expected = 4 * 1.380649e-23 * temperature_K * bandwidth_Hz / r_load_ohm / on_current(cell) ** 2
    assert column(cell, ARRAY).variance == pytest.approx(expected, rel=1e-12)


def test_a_load_without_a_bandwidth_has_no_noise():
    assert column(CURRENT.replace("bandwidth_Hz", None), ARRAY).variance == 0


def test_read_noise_is_that_of_a_nominal_cell_whatever_a_cell_conducts():
    currents = np.array([0.0, 0.5, 1.7], np.float32)
    cell = CURRENT.replace("read_noise_rel", 0.1)
    variances = column(cell, ARRAY).cell_variance * variance_states(cell, currents)
    np.testing.assert_allclose(variances, 0.01, rtol=1e-6)
