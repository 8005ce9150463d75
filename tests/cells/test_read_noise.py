"""Read noise of resistive cells: white, 1/f that grows with time, and traps between two levels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resistive_cases import MILLION, cell, normals, states
from scipy import stats

from imcsim.cells.read_noise import (
    flicker_sigma,
    read_sigma,
    telegraph,
    telegraph_sigma,
    traps,
    white_sigma,
)
from imcsim.cells.resistive import Written, in_call
from imcsim.kernels.frozen import CELL_TRAP, READ_FLICKER, READ_TELEGRAPH
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.resistive import ResistiveCell, TelegraphNoise, WhiteNoise

MICRO = 1e-6
T0_S = 20.0


def called(of, g_S, programmed_S, t_s, trapped=None):
    """What a million cells conduct in a call."""
    kept = Written(states(programmed_S), states(programmed_S), states(0), states(1))
    return in_call(
        of,
        states(g_S),
        kept,
        t_s,
        flicker_normals=None if of.flicker_noise is None else normals(READ_FLICKER),
        trapped=trapped,
        telegraph_normals=None if trapped is None else normals(READ_TELEGRAPH),
    ).astype(np.float64)


@pytest.mark.parametrize("t_since_write_s", [0.0, 3600.0])
@pytest.mark.parametrize("x", [0.2, 0.9])
def test_phase_change_reads_with_the_published_noise_at_two_times(x, t_since_write_s, assert_moments):
    programmed_uS = 25 * x
    g_uS = programmed_uS * ((t_since_write_s + T0_S) / T0_S) ** -0.05
    # g Q sqrt(ln((t + t_read) / (2 t_read))), Q = min(0.0088 / x^0.65, 0.2), t_read = 250 ns
    grown = math.sqrt(math.log((t_since_write_s + T0_S + 250e-9) / 500e-9))
    sigma_uS = g_uS * min(0.0088 / x**0.65, 0.2) * grown
    found = called(cell("pcm"), g_uS * MICRO, programmed_uS * MICRO, t_since_write_s)
    assert_moments(found / MICRO, g_uS, sigma_uS)


def test_noise_of_phase_change_is_capped_at_small_states():
    found = flicker_sigma(cell("pcm"), np.array([1e-9]), np.array([1e-9]), 0.0)
    assert found == pytest.approx([1e-9 * 0.2 * math.sqrt(math.log((20 + 250e-9) / 500e-9))], rel=1e-9)


def test_the_oxide_of_zurich_reads_with_noise_of_the_logarithm_of_its_present_state(assert_moments):
    # K log10(g) sqrt(ln((t + t_read) / (2 t_read))) in uS, K = 0.0277316, t_read = 1 us; t = 1 s after t0
    sigma_uS = 0.0277316 * math.log10(40) * math.sqrt(math.log((2 + 1e-6) / 2e-6))
    assert_moments(called(cell("rram_cmo"), 40 * MICRO, 50 * MICRO, 1.0) / MICRO, 40, sigma_uS)


def test_noise_of_hermes_is_a_logarithm_of_small_states_and_a_polynomial_of_large_ones():
    for x, q in (
        (0.1, -0.0078 * math.log(0.1) + 0.0038),
        (0.5, 0.0664 * 0.125 - 0.1352 * 0.25 + 0.0768 * 0.5 + 0.0088),
    ):
        g = np.array([10.35e-6 * x])
        expected = g * q * math.sqrt(math.log((200 + 512e-9) / 1024e-9))
        np.testing.assert_allclose(flicker_sigma(cell("pcm_hermes_1"), g, g, 0.0), expected, rtol=1e-9)


def test_sonos_reads_with_the_published_saturating_noise():
    g = np.array([1.0, 5.0, 14.0]) * MICRO
    expected = 12.580 * (1 - np.exp(-100 * g / MICRO / 215.37)) * 1e-8
    np.testing.assert_allclose(white_sigma(cell("sonos_40nm"), g), expected, rtol=1e-4)


# ---- traps

TRAPPED = ResistiveCell(
    g_max_S=1.0,
    telegraph_noise=TelegraphNoise(
        amplitude=ConstantCurve(value=0.1), scaling="proportional", occupancy=0.3, share_of_cells=0.25
    ),
)


def test_traps_are_in_the_upper_level_as_often_as_their_occupancy():
    found = called(TRAPPED, 0.5, 0.5, 0.0, trapped=np.ones((1000, 1000), bool))
    levels = np.unique(found)
    # 0.05 apart, about a mean of 0.5
    np.testing.assert_allclose(levels, [0.5 - 0.3 * 0.05, 0.5 + 0.7 * 0.05], rtol=1e-6)
    occupied, error = (found > 0.5).mean(), math.sqrt(0.3 * 0.7 / MILLION)
    assert abs(occupied - 0.3) < 5 * error
    assert abs(occupied - 0.303) > 5 * error
    assert abs(found.mean() - 0.5) < 5 * 0.05 * error
    assert telegraph_sigma(TRAPPED, np.array([0.5])) == pytest.approx([0.05 * math.sqrt(0.21)])


def test_the_share_of_cells_with_a_trap_is_frozen_and_the_rest_is_silent():
    trapped = traps(TRAPPED, normals(CELL_TRAP))
    assert abs(trapped.mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / MILLION)
    found = called(TRAPPED, 0.5, 0.5, 0.0, trapped)
    np.testing.assert_array_equal(found != 0.5, trapped)
    more = traps(TRAPPED.replace("telegraph_noise.share_of_cells", 0.5), normals(CELL_TRAP))
    assert more[trapped].all()


def test_levels_of_two_calls_are_independent():
    up = [telegraph(TRAPPED, states(0.5), True, normals(READ_TELEGRAPH, key)) > 0 for key in (1, 2)]
    both = (up[0] & up[1]).mean()
    assert abs(both - 0.09) < 5 * math.sqrt(0.09 * 0.91 / MILLION)
    assert abs((up[0] & up[0]).mean() - 0.09) > 0.1


def test_a_design_without_traps_has_none():
    assert traps(ResistiveCell(g_max_S=1.0), normals(CELL_TRAP)) is None
    assert traps(TRAPPED.replace("telegraph_noise.share_of_cells", 0.0), normals(CELL_TRAP)) is None


@pytest.mark.parametrize("occupancy", [0.0, 1.0])
def test_a_trap_that_never_switches_adds_nothing(occupancy):
    still = TRAPPED.replace("telegraph_noise.occupancy", occupancy)
    np.testing.assert_array_equal(called(still, 0.5, 0.5, 0.0, np.ones((1000, 1000), bool)), 0.5)


# ---- together


@given(st.floats(0, 0.2), st.floats(0, 0.2), st.floats(0, 1))
def test_variances_of_all_read_noise_add_up(white, amplitude, occupancy):
    of = dataclasses.replace(
        cell("pcm"),
        white_noise=WhiteNoise(sigma=ConstantCurve(value=white)),
        telegraph_noise=TelegraphNoise(
            amplitude=ConstantCurve(value=amplitude), occupancy=occupancy, share_of_cells=0.4
        ),
    )
    g = np.array([10e-6])
    flicker = flicker_sigma(of, g, g, 100.0)
    expected = (25e-6 * white) ** 2 + flicker**2 + 0.4 * (25e-6 * amplitude) ** 2 * occupancy * (1 - occupancy)
    np.testing.assert_allclose(read_sigma(of, g, g, 100.0) ** 2, expected, rtol=1e-9)


def test_a_cell_without_noise_is_read_as_it_is():
    of = ResistiveCell(g_max_S=1.0)
    np.testing.assert_array_equal(called(of, 0.5, 0.5, 0.0), 0.5)
    assert read_sigma(of, np.array([0.3]), np.array([0.3]), 0.0).tolist() == [0.0]


def test_the_negative_control_noise_at_another_time_or_state_is_told_apart():
    found = called(cell("pcm"), 5 * MICRO, 5 * MICRO, 0.0).std() / MICRO
    for t_s, x in ((3600.0, 0.2), (0.0, 0.22)):
        wrong = 5 * 0.0088 / x**0.65 * math.sqrt(math.log((t_s + T0_S) / 500e-9))
        assert abs(found - wrong) > 5 * wrong / math.sqrt(2 * MILLION)


def test_white_noise_is_normal_in_no_call():
    # it is the column's, drawn at every read: a call adds none of it
    of = ResistiveCell(g_max_S=1.0, white_noise=WhiteNoise(sigma=ConstantCurve(value=0.1)))
    np.testing.assert_array_equal(called(of, 0.5, 0.5, 0.0), 0.5)


def test_flicker_noise_of_a_call_is_normal():
    found = called(cell("pcm"), 20 * MICRO, 20 * MICRO, 0.0).ravel()[:100_000]
    assert stats.kstest((found - found.mean()) / found.std(), stats.norm.cdf).pvalue > 1e-6
