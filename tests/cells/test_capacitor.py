"""Charge redistribution against the published capacitances and the textbook's kT/C."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.cells import column, frozen_currents, mismatch_sigma_rel
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCapacitorCell
from imcsim.specs.library import load

ARRAY = ArraySpec(rows=128)
CAPACITOR = load("sram_cap_28nm").cell
K_T_300 = 1.380649e-23 * 300


@pytest.mark.parametrize(("c_unit_F", "sigma"), [(1e-15, 0.0066), (4e-15, 0.0033), (0.25e-15, 0.0133)])
def test_capacitors_match_better_with_the_root_of_their_size(c_unit_F, sigma):
    # sigma_C = 2.1 x 10^-2.5 sqrt(C / fF) fF: 0.66 % at 1 fF
    assert mismatch_sigma_rel(CAPACITOR.replace("c_unit_F", c_unit_F)) == pytest.approx(sigma, rel=0.01)
    formula = 2.1 * 10**-2.5 * math.sqrt(c_unit_F / 1e-15) * 1e-15 / c_unit_F
    assert mismatch_sigma_rel(CAPACITOR.replace("c_unit_F", c_unit_F)) == pytest.approx(formula, rel=1e-3)


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


@pytest.mark.parametrize("temperature_K", [233.0, 398.0])
@pytest.mark.parametrize("v_dd_V", [0.6, 1.1])
def test_thermal_noise_rises_with_temperature_and_its_share_falls_with_the_supply(temperature_K, v_dd_V):
    cell = CAPACITOR.replace("temperature_K", temperature_K).replace("v_dd_V", v_dd_V)
    # kT/C over Delta^2, and Delta is proportional to V_DD
    ratio = temperature_K / 300 * (0.9 / v_dd_V) ** 2
    assert column(cell, ARRAY).variance == pytest.approx(ratio * column(CAPACITOR, ARRAY).variance, rel=1e-12)
