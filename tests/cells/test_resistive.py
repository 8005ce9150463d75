"""A resistive cell from its digit to its current: targets, what is kept of a write, stuck cells, nonlinear current."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resistive_cases import MILLION, MODELS, cell, normals

from imcsim.cells import column, frozen_currents, mismatch_sigma_rel, off_state, variance_states
from imcsim.cells.resistive import (
    Written,
    check_targets,
    current,
    differential,
    held,
    stuck_cells,
    target,
    write,
)
from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.kernels.column import Column
from imcsim.kernels.frozen import CELL_STUCK, WRITE, WRITE_DRIFT
from imcsim.specs.array import ArraySpec
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.resistive import NoDrift, ResistiveCell, SinhCurrent, StuckCells, ValidRange, WhiteNoise

PLAIN = ResistiveCell(g_max_S=1.0, g_min_S=0.2, drift=NoDrift())


def written(of, target_S, key=1):
    def draw(k):
        return normals(WRITE + k, key)[: len(target_S), : target_S.shape[1]]

    return write(of, target_S, draw, normals(WRITE_DRIFT, key)[: len(target_S), : target_S.shape[1]])


# ---- targets


def test_states_from_0_to_1_are_conductances_from_g_min_to_g_max():
    np.testing.assert_allclose(target(PLAIN, np.array([0.0, 0.5, 1.0])), [0.2, 0.6, 1.0], rtol=1e-12)
    ratio = ResistiveCell(g_max_S=1e-5, on_off_ratio=10.0)
    np.testing.assert_allclose(target(ratio, np.array([0.0, 1.0])), [1e-6, 1e-5], rtol=1e-12)
    assert target(ResistiveCell(g_max_S=1e-5), np.zeros(1)) == [0.0]


@pytest.mark.parametrize("name", MODELS)
def test_every_state_of_a_model_is_one_that_it_can_hold_in_float32_too(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_targets(cell(name), target(cell(name), np.linspace(0, 1, 200, dtype=np.float32)))
        check_targets(cell(name), np.zeros((0, 3)))


@pytest.mark.parametrize("beyond", [0.1, 1.1, -0.2, math.nan, math.inf])
def test_a_state_outside_of_the_device_is_refused(beyond):
    with pytest.raises(SpecError, match=r"cell = targets .*: states must lie from 0\.2 to 1 S, the range of the cell"):
        check_targets(PLAIN, np.array([0.5, beyond]))


def test_a_state_outside_of_what_was_measured_is_refused_or_warned_of():
    known = dataclasses.replace(PLAIN, valid=ValidRange(g_low_S=0.4))
    check_targets(known, np.array([0.4, 1.0]))
    with pytest.raises(
        SpecError, match=r"cell = targets from 0\.3 to 1 S: .* from 0\.4 to 1 S; narrow .*beyond_states"
    ):
        check_targets(known, np.array([0.3, 1.0]))
    with pytest.warns(ExtrapolationWarning, match=r"known from 0\.4 to 1 S: extrapolated to 0\.3"):
        check_targets(known.replace("valid.beyond_states", "warning"), np.array([0.3, 1.0]))


# ---- what is kept of a write


@pytest.mark.parametrize("name", MODELS)
def test_a_write_keeps_shape_and_precision(name):
    of = cell(name)
    aim = target(of, np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4))
    kept = written(of, aim)
    assert kept.programmed_S.dtype == np.float32
    assert kept.programmed_S.shape == (3, 4)
    assert held(of, kept, None, 0.0).dtype == np.float32
    np.testing.assert_array_equal(held(of, kept, None, 0.0), kept.programmed_S)
    if of.drift is not None:
        assert held(of, kept, None, 3600.0).dtype == np.float32
        assert held(of, kept, None, np.full((3, 4), 3600.0)).dtype == np.float32


def test_only_changed_cells_take_the_new_write():
    of = cell("pcm")
    first = written(of, np.full((30, 40), 20e-6, np.float32), key=1)
    second = written(of, np.full((30, 40), 10e-6, np.float32), key=2)
    changed = np.zeros((30, 40), bool)
    changed[::3] = True
    both = first.where(changed, second)
    assert isinstance(both, Written)
    for kept, old, new in zip(both, first, second, strict=True):
        np.testing.assert_array_equal(kept[changed], new[changed])
        np.testing.assert_array_equal(kept[~changed], old[~changed])


def test_the_ideal_cell_holds_its_target_for_ever():
    of = cell("resistive_ideal")
    aim = target(of, np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4))
    np.testing.assert_array_equal(held(of, written(of, aim), None, 1e9), aim)


# ---- stuck cells

STUCK = StuckCells(on=0.02, off=0.05, at_value=0.01, value_S=0.3)


def test_cells_are_stuck_in_the_shares_and_at_the_conductances_that_are_given():
    mask, held_S = stuck_cells(dataclasses.replace(PLAIN, stuck=STUCK), normals(CELL_STUCK))
    for value, share in ((1.0, 0.02), (0.2, 0.05), (0.3, 0.01)):
        found, error = (mask & (np.abs(held_S - value) < 1e-6)).mean(), math.sqrt(share * (1 - share) / MILLION)
        assert abs(found - share) < 5 * error
        assert abs(found - 1.1 * share) > 5 * error
    assert abs(mask.mean() - 0.08) < 5 * math.sqrt(0.08 * 0.92 / MILLION)


def test_a_stuck_cell_holds_its_conductance_whatever_is_written_and_however_long_ago():
    of = dataclasses.replace(cell("pcm"), stuck=StuckCells(on=0.3, off=0.2))
    stuck = stuck_cells(of, normals(CELL_STUCK)[:50, :50])
    mask, held_S = stuck
    for key, t_s in ((1, 0.0), (2, 5e4)):
        kept = written(of, np.full((50, 50), 12e-6, np.float32), key)
        found = held(of, kept, stuck, t_s)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found[mask], held_S[mask])
        np.testing.assert_array_equal(found[~mask], held(of, kept, None, t_s)[~mask])
    assert set(held_S[mask].tolist()) == {0.0, float(np.float32(25e-6))}


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.4), st.floats(1, 1.5))
def test_a_worse_process_keeps_the_cells_that_are_stuck(on, off, at_value, more):
    def mask(factor):
        value = 0.5 if at_value > 0 else None
        shares = StuckCells(on=on * factor / 2, off=off * factor / 2, at_value=at_value / 2, value_S=value)
        found = stuck_cells(dataclasses.replace(PLAIN, stuck=shares), normals(CELL_STUCK)[:20])
        return (np.zeros((20, 1000), bool), None) if found is None else found

    (few, at), (many, then) = mask(1.0), mask(more)
    for value in (1.0, 0.2):
        if at is not None and then is not None:
            kept = few & (np.abs(at - value) < 1e-6)
            assert (many & (np.abs(then - value) < 1e-6))[kept].all()


def test_all_cells_or_none_may_be_stuck():
    assert stuck_cells(PLAIN, normals(CELL_STUCK)) is None
    assert stuck_cells(dataclasses.replace(PLAIN, stuck=StuckCells()), normals(CELL_STUCK)) is None
    mask, held_S = stuck_cells(dataclasses.replace(PLAIN, stuck=StuckCells(on=1.0)), normals(CELL_STUCK))
    assert mask.all()
    assert (held_S == 1).all()
    mask, _ = stuck_cells(dataclasses.replace(PLAIN, stuck=StuckCells(on=0.4, off=0.6)), normals(CELL_STUCK))
    assert mask.all()


# ---- current and voltage

SINH = dataclasses.replace(PLAIN, current=SinhCurrent(v_read_V=0.2, v0_V=0.25))


def test_the_current_at_the_read_voltage_is_that_of_the_conductance():
    np.testing.assert_allclose(current(SINH, np.array([0.3, 0.9]), np.array(0.2)), [0.06, 0.18], rtol=1e-12)
    np.testing.assert_allclose(current(SINH, np.array([0.3]), np.array([-0.2])), [-0.06], rtol=1e-12)


def test_the_current_is_a_hyperbolic_sine_of_the_voltage():
    v = np.array([0.05, 0.4])
    expected = 0.5 * 0.2 * np.sinh(v / 0.25) / math.sinh(0.8)
    np.testing.assert_allclose(current(SINH, np.array(0.5), v), expected, rtol=1e-12)
    assert current(SINH, np.array(0.5), v)[1] > 1.05 * 0.5 * 0.4  # bends up beyond the read voltage


def test_a_large_v0_is_ohms_law_and_so_is_a_cell_without_one():
    v = np.linspace(-0.3, 0.3, 7)
    np.testing.assert_allclose(current(SINH.replace("current.v0_V", 1e3), np.array(0.5), v), 0.5 * v, rtol=1e-6)
    np.testing.assert_array_equal(current(PLAIN, np.array(0.5), v), 0.5 * v)
    np.testing.assert_array_equal(differential(PLAIN, np.array(0.5), v), np.full(7, 0.5))


@given(st.floats(-1, 1), st.floats(0.05, 10))
def test_the_differential_conductance_is_the_derivative_of_the_current(v, v0):
    of, g, step = SINH.replace("current.v0_V", v0), np.array(0.5), 1e-5
    slope = (current(of, g, np.array(v + step)) - current(of, g, np.array(v - step))) / (2 * step)
    assert float(differential(of, g, np.array(v))) == pytest.approx(float(slope), rel=1e-5)


# ---- what an array of nominal cells asks

ARRAY = ArraySpec()


def test_an_array_of_nominal_cells_has_no_error_of_manufacture():
    assert mismatch_sigma_rel(PLAIN) == 0
    np.testing.assert_array_equal(frozen_currents(PLAIN, ARRAY, np.full((2, 3), 4.0)), np.ones((2, 3)))
    assert column(PLAIN, ARRAY) == Column()


def test_an_off_cell_conducts_g_min_in_units_of_a_full_digit():
    assert off_state(PLAIN) == pytest.approx(0.2 / 0.8, rel=1e-12)
    assert off_state(ResistiveCell(g_max_S=1e-5, on_off_ratio=11.0)) == pytest.approx(0.1, rel=1e-12)


def test_white_noise_of_a_state_is_a_variance_in_squares_of_a_full_digit():
    noisy = dataclasses.replace(PLAIN, white_noise=WhiteNoise(sigma=ConstantCurve(value=0.05), scaling="proportional"))
    found = column(noisy, ARRAY).cell_variance * variance_states(noisy, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(found, [(0.05 * g / 0.8) ** 2 for g in (0.2, 0.6, 1.0)], rtol=1e-6)
