"""Drift of resistive cells: published means and spreads of a million cells, closed forms, times that are refused."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resistive_cases import MILLION, MODELS, cell, normals, states
from scipy import integrate, stats

from imcsim.cells.drift import compensation, draws_at_write, drift_exponent, drift_factor, drifted, settled
from imcsim.cells.programming import clipped, programmed
from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.kernels.frozen import WRITE, WRITE_DRIFT
from imcsim.rng import child
from imcsim.specs.curves import ConstantCurve, PolynomialCurve, PolynomialCurves
from imcsim.specs.resistive import (
    LogarithmicDrift,
    NoDrift,
    PowerDrift,
    ProgrammingError,
    RelaxationDrift,
    ResistiveCell,
    TableDrift,
    ValidRange,
)

MICRO = 1e-6
DAY_S = 86400.0
DRIFTING = [name for name in MODELS if cell(name).drift is not None]


def held(of, target_S, t_s, key=20):
    """A million cells written to one target, and held at t (from t0 on)."""
    target, z = states(target_S), normals(WRITE_DRIFT, key)
    at_t0 = settled(of, target, programmed(of, target, lambda k: normals(WRITE + k, key))[0], z)
    return drifted(of, target, at_t0, z, t_s - of.t0_s).astype(np.float64)


def power(mean, sigma=None, law="folded", t0_s=1.0):
    spread = None if sigma is None else ConstantCurve(value=sigma)
    drift = PowerDrift(nu_mean=ConstantCurve(value=mean), nu_sigma=spread, nu_law=law)
    return ResistiveCell(g_max_S=1.0, t0_s=t0_s, drift=drift)


# ---- the power law


@pytest.mark.parametrize(
    ("x", "mean", "sigma"),
    [
        # mean clip(-0.0155 ln x + 0.0244, 0.049, 0.1), spread clip(-0.0125 ln x - 0.0059, 0.008, 0.045)
        (1.0, 0.049, 0.008),
        (0.5, 0.049, 0.008),
        (0.1, 0.0244 - 0.0155 * math.log(0.1), -0.0059 - 0.0125 * math.log(0.1)),
        (0.03, 0.0244 - 0.0155 * math.log(0.03), -0.0059 - 0.0125 * math.log(0.03)),
        (0.001, 0.1, 0.045),
    ],
)
def test_a_million_exponents_of_phase_change_have_the_published_mean_and_spread(x, mean, sigma):
    of = cell("pcm")
    nu = drift_exponent(of.drift, of, states(25e-6 * x), normals(WRITE_DRIFT)).astype(np.float64)
    folded = stats.foldnorm(mean / sigma, scale=sigma)  # nu = |mean + sigma z|
    fourth = folded.moment(4) - 4 * folded.mean() * folded.moment(3) + 6 * folded.mean() ** 2 * folded.moment(2)
    fourth -= 3 * folded.mean() ** 4
    of_std = math.sqrt((fourth - folded.var() ** 2) / MILLION) / (2 * folded.std())
    assert abs(nu.mean() - folded.mean()) < 5 * folded.std() / 1e3
    assert abs(nu.std() - folded.std()) < 5 * of_std
    # a spread that is wrong by 1 %, or a mean that is off by a hundredth of it, would show
    assert abs(nu.std() - 1.01 * folded.std()) > 5 * of_std
    assert abs(nu.mean() - folded.mean() - 0.01 * sigma) > 5 * folded.std() / 1e3


def test_exponents_of_hermes_are_a_logarithm_below_the_knee_and_a_polynomial_above():
    of = cell("pcm_hermes_2")
    x = np.array([1e-4, 0.05, 0.0945, 0.8])
    expected = [0.13, -0.0387 * math.log(0.05) - 0.0182, *(-0.0436 * v**2 - 0.0126 * v + 0.0736 for v in (0.0945, 0.8))]
    np.testing.assert_allclose(drift_exponent(of.drift, of, 20.7e-6 * x, np.zeros(4)), expected, rtol=1e-9)
    spread = drift_exponent(of.drift, of, 20.7e-6 * x, np.ones(4)) - expected
    low = min(max(-0.0117 * math.log(0.05) - 0.0057, 0.0091), 0.04)
    assert spread[1] == pytest.approx(low)
    assert spread[3] == pytest.approx(-0.0118 * 0.64 + 0.0093 * 0.8 + 0.0073)


@pytest.mark.parametrize("name", ["pcm", "pcm_hermes_1", "pcm_hermes_2"])
def test_the_exponent_fitted_to_emulated_conductances_is_the_published_one_within_a_percent(name):
    of, z = cell(name), normals(WRITE_DRIFT)
    target = states(0.8 * of.g_max_S)
    t_s = of.t0_s * np.logspace(0, 2, 5)
    mean_log = [np.log(drifted(of, target, target, z, t - of.t0_s), dtype=np.float64).mean() for t in t_s]
    fitted = -np.polyfit(np.log(t_s), mean_log, 1)[0]
    expected = 0.049 if name == "pcm" else -0.0436 * 0.64 - 0.0126 * 0.8 + 0.0736
    assert fitted == pytest.approx(expected, rel=0.01)


def test_a_cell_follows_one_power_law_all_the_time(assert_moments):
    of, target, z = power(0.05, 0.01), states(0.5), normals(WRITE_DRIFT)
    slopes = [-np.log(drifted(of, target, target, z, t - 1) / 0.5, dtype=np.float64) / math.log(t) for t in (1e2, 1e5)]
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-6)
    assert_moments(slopes[0], 0.05, 0.01)


def test_exponents_may_be_negative_only_where_they_are_not_folded():
    z, g = np.array([-3.0]), np.array([0.5])
    assert drifted(power(0.01, 0.01), g, g, z, 9.0) == pytest.approx([0.5 * 10**-0.02])
    assert drifted(power(0.01, 0.01, "normal"), g, g, z, 9.0) == pytest.approx([0.5 * 10**0.02])


# ---- logarithms and relaxation


ZURICH_US = (20.0, 50.0, 88.19)


@pytest.mark.parametrize("g_uS", ZURICH_US)
def test_the_oxide_of_zurich_at_once_has_the_published_error_of_its_write_alone(g_uS, assert_moments):
    assert_moments(held(cell("rram_cmo"), g_uS * MICRO, 1.0) / MICRO, g_uS, 0.0112185 + 0.0112903 * g_uS)


@pytest.mark.parametrize("t_s", [2.0, 3600.0, DAY_S])
@pytest.mark.parametrize("g_uS", ZURICH_US)
def test_the_oxide_of_zurich_later_has_the_published_mean_and_spread_and_no_error_of_its_write(
    g_uS, t_s, assert_moments
):
    sigma_uS = 0.0420 * math.log(t_s) + 0.4118
    assert_moments(held(cell("rram_cmo"), g_uS * MICRO, t_s) / MICRO, g_uS - 0.0890 * math.log(t_s), sigma_uS)


def test_a_spread_that_nobody_published_stays_that_of_the_write():
    of = ResistiveCell(
        g_max_S=1.0,
        programming=ProgrammingError(sigma=ConstantCurve(value=0.1)),
        drift=LogarithmicDrift(mean_slope_S=-0.01),
    )
    target, written = np.full(3, 0.5), np.array([0.4, 0.5, 0.7])
    np.testing.assert_allclose(drifted(of, target, written, np.ones(3), math.e - 1), written - 0.01, rtol=1e-12)
    healed = of.replace("drift.sigma_S", 0.05)  # half as wide: half as far from the mean, and nothing drawn
    found = drifted(healed, target, written, np.ones(3), math.e - 1)
    np.testing.assert_allclose(found, [0.44, 0.49, 0.59], rtol=1e-12)


@pytest.mark.parametrize("t_s", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("g", [0.2, 0.8])
def test_the_variance_of_relaxation_grows_with_the_logarithm_of_time(t_s, g, assert_moments):
    # var(dG) = C1(g) log10 t + C2(g)
    drift = RelaxationDrift(c1=PolynomialCurve(coefficients=(0.0, 4e-4)), c2=ConstantCurve(value=1e-4))
    of = ResistiveCell(g_max_S=1.0, drift=drift)
    assert_moments(held(of, g, t_s), g, math.sqrt(4e-4 * g * math.log10(t_s) + 1e-4))


# ---- tables


WAN_US = {
    1.0: [-16.815, 45.393, -43.853, 16.030, 0.348],
    DAY_S: [-16.458, 47.095, -50.773, 22.086, 0.701],
    2 * DAY_S: [-11.934, 37.062, -43.507, 20.274, 0.782],
}


@pytest.mark.parametrize("t_s", WAN_US)
@pytest.mark.parametrize("x", [0.5, 0.75, 1.0])  # at 1.0 the spread of two days is below that of one
def test_the_oxide_of_wan_spreads_as_published_after_a_second_a_day_and_two(t_s, x, assert_moments):
    found = held(cell("rram_wan"), 40 * MICRO * x, t_s)
    assert_moments(found / MICRO, 40 * x, np.polyval(WAN_US[t_s], x))


def test_between_two_times_of_a_table_the_spread_is_linear_in_the_logarithm():
    t_s = DAY_S**0.5  # halfway from 1 s to a day
    sigma_uS = (np.polyval(WAN_US[1.0], 0.75) + np.polyval(WAN_US[DAY_S], 0.75)) / 2
    found = held(cell("rram_wan"), 30 * MICRO, t_s) / MICRO
    assert abs(found.std() - sigma_uS) < 5 * sigma_uS / math.sqrt(2 * MILLION)


def test_a_spread_that_shrinks_draws_the_cells_to_their_target():
    table = TableDrift(times_s=(10.0, 100.0), sigma=PolynomialCurves(coefficients=((0.05,), (0.02,))))
    of = ResistiveCell(g_max_S=1.0, programming=ProgrammingError(sigma=ConstantCurve(value=0.1)), drift=table)
    target, at_t0 = np.array([0.5, 0.5]), np.array([0.4, 0.7])
    for t, factor in ((10.0, 0.5), (100.0, 0.2), (1e4, 0.2)):
        found = drifted(of, target, at_t0, np.array([9.0, -9.0]), t - 1)
        np.testing.assert_allclose(found, 0.5 + factor * (at_t0 - 0.5), rtol=1e-12)


@pytest.mark.parametrize(("days", "a", "b"), [(1, 25.59102, 186.85544), (5, 34.579, 207.34)])
def test_sonos_spreads_and_shifts_as_published_after_days(days, a, b, assert_moments):
    current_nA = 500.0
    shift = np.polyval(cell("sonos_40nm").drift.shift.coefficients[days - 1][::-1], current_nA)
    found = held(cell("sonos_40nm"), current_nA * 1e-8, days * DAY_S) / 1e-8
    assert_moments(found, current_nA + shift, a * (1 - math.exp(-current_nA / b)))


# ---- what every law has in common


@pytest.mark.parametrize("name", DRIFTING)
def test_right_after_its_write_a_cell_holds_what_was_programmed(name):
    of = cell(name)
    target = np.linspace(of.lowest, of.g_max_S, 50).astype(np.float32)
    at_t0 = (target * np.float32(0.97)).clip(of.lowest, of.g_max_S)
    z = child(0, "z").normal(size=50).astype(np.float32)
    np.testing.assert_array_equal(drifted(of, target, at_t0, z, 0.0), at_t0)
    if not isinstance(of.drift, LogarithmicDrift):  # whose published spread is there at once
        np.testing.assert_allclose(drifted(of, target, at_t0, z, 1e-6), at_t0, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", DRIFTING)
def test_a_time_a_cell_gives_each_cell_what_it_has_at_its_own_time(name):
    of = cell(name)
    target = np.full(4, 0.5 * of.g_max_S, np.float32)
    z = np.array([-1, 0, 1, 2], np.float32)
    times = np.array([0.0, 10.0, 4e3, 8e4])
    together = drifted(of, target, target, z, times)
    alone = [drifted(of, target, target, z, t)[i] for i, t in enumerate(times)]
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("name", DRIFTING)
def test_the_mean_factor_is_the_mean_of_a_million_cells(name):
    of = cell(name)
    target_S, t_s = of.lowest + 0.8 * of.span, DAY_S
    found = held(of, target_S, t_s)
    at_t0 = held(of, target_S, of.t0_s)
    factor = float(drift_factor(of, np.array([target_S]), t_s - of.t0_s)[0])
    assert abs(found.mean() - factor * at_t0.mean()) < 5 * found.std() / 1e3 * math.sqrt(2) + 1e-6 * target_S
    if not isinstance(of.drift, NoDrift) and factor != 1:
        assert abs(found.mean() - at_t0.mean()) > 5 * found.std() / 1e3


@given(st.floats(-0.1, 0.2), st.floats(0.001, 0.1), st.floats(0, 20), st.sampled_from(["folded", "normal"]))
def test_the_mean_of_a_power_law_is_the_integral_over_its_exponents(mean, sigma, log_t, law):
    folded = abs if law == "folded" else float

    def weighted(z):
        return math.exp(-log_t * folded(mean + sigma * z)) * stats.norm.pdf(z)

    kink = min(max(-mean / sigma, -11.9), 11.9)
    expected = integrate.quad(weighted, -12, kink)[0] + integrate.quad(weighted, kink, 12)[0]
    found = drift_factor(power(mean, sigma, law), np.array([0.5]), math.expm1(log_t))
    assert found == pytest.approx([expected], rel=1e-6)


def test_drift_without_spread_draws_nothing_and_of_exponent_zero_does_nothing():
    assert not draws_at_write(power(0.05))
    assert draws_at_write(power(0.05, 0.01))
    assert not draws_at_write(ResistiveCell(g_max_S=1.0))
    g, z = np.linspace(0, 1, 9), np.full(9, 2.0)
    for drift in (NoDrift(), power(0.0, 0.0).drift, LogarithmicDrift()):
        np.testing.assert_array_equal(drifted(ResistiveCell(g_max_S=1.0, drift=drift), g, g, z, 1e6), g)


def test_heat_makes_a_cell_age_by_arrhenius():
    hot = dataclasses.replace(power(0.05), temperature_K=400.0, activation_eV=0.5)
    faster = math.exp(0.5 / 8.617333e-5 * (1 / 300 - 1 / 400))
    g = np.array([0.5])
    np.testing.assert_allclose(drifted(hot, g, g, g, 100.0), drifted(power(0.05), g, g, g, 100.0 * faster), rtol=1e-6)
    np.testing.assert_allclose(drift_factor(hot, g, 100.0), drift_factor(power(0.05), g, 100.0 * faster), rtol=1e-6)


def test_nothing_drifts_below_zero_nor_out_of_a_bounded_range():
    falling = ResistiveCell(g_max_S=1.0, drift=LogarithmicDrift(mean_slope_S=-0.1))
    g = np.array([0.05, 0.9])
    np.testing.assert_allclose(drifted(falling, g, g, 0 * g, math.e - 1), [0, 0.8], rtol=1e-12)
    bounded = dataclasses.replace(falling, g_min_S=0.02, clips="range")
    np.testing.assert_allclose(drifted(bounded, g, g, 0 * g, math.e - 1), [0.02, 0.8], rtol=1e-12)


@pytest.mark.parametrize(("clips", "expected"), [("zero", [0, 1.1]), ("g_min", [0.02, 1.1]), ("range", [0.02, 1])])
def test_a_cell_clips_at_zero_at_g_min_or_at_both_ends(clips, expected):
    of = ResistiveCell(g_max_S=1.0, g_min_S=0.02, clips=clips)
    np.testing.assert_allclose(clipped(of, np.array([-0.1, 1.1])), expected, rtol=1e-12)


# ---- compensation


def test_global_compensation_undoes_a_common_factor_and_per_column_one_of_each_column():
    before = child(0, "outputs").normal(size=(50, 4))
    assert compensation(before, 0.8 * before, per_column=False) == pytest.approx([1.25], rel=1e-12)
    factors = np.array([0.5, 0.8, 1.0, 1.25])
    np.testing.assert_allclose(compensation(before, before * factors, per_column=True), 1 / factors, rtol=1e-12)
    both = compensation(before, before * factors, per_column=False)
    assert both == pytest.approx([np.abs(before).mean() / np.abs(before * factors).mean()])


def test_a_column_that_gives_nothing_is_left_alone():
    before = np.array([[1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(compensation(before, before * [1, 1, 0], per_column=True), [1, 1, 1])


def test_compensating_by_the_mean_factor_leaves_no_mean_drift():
    of = cell("pcm")
    found, before = held(of, 20 * MICRO, 1e4), held(of, 20 * MICRO, of.t0_s)
    factor = float(drift_factor(of, np.array([20 * MICRO]), 1e4 - of.t0_s)[0])
    assert abs(found.mean() / factor - before.mean()) < 5 * found.std() / factor / 1e3 * math.sqrt(2)
    assert abs(found.mean() - before.mean()) > 100 * found.std() / 1e3


# ---- times that are refused


@pytest.mark.parametrize("t_s", [-1.0, -1e-9, math.inf, math.nan])
def test_a_time_before_the_write_or_none_at_all_is_refused(t_s):
    g = np.array([0.5])
    with pytest.raises(SpecError, match=r"now_s = .*: must be a finite time, not before the write"):
        drifted(power(0.05), g, g, g, t_s)
    with pytest.raises(SpecError):
        drifted(power(0.05), g, g, g, np.array([1.0, t_s]))


def test_a_cell_without_a_drift_model_is_read_at_once_or_not_at_all():
    of = cell("rram_milo")
    g = np.array([100 * MICRO])
    assert drifted(of, g, g, g, 0.0) == g
    with pytest.raises(SpecError, match=r"cell.drift = left out, and read 60 s after .*: is needed .*give the drift"):
        drifted(of, g, g, g, 60.0)
    with pytest.raises(SpecError):
        drift_factor(of, g, 60.0)


def test_beyond_the_valid_time_a_cell_warns_or_refuses():
    g = np.array([0.5])
    warned = dataclasses.replace(power(0.05), valid=ValidRange(t_max_s=100.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drifted(warned, g, g, g, 100.0)
    with pytest.warns(ExtrapolationWarning, match="known up to 100 s after a write: extrapolated to 101 s"):
        drifted(warned, g, g, g, 101.0)
    refused = warned.replace("valid.beyond_t_max", "error")
    with pytest.raises(SpecError, match=r"now_s = 101 s after it: .* up to 100 s .*beyond_t_max"):
        drifted(refused, g, g, g, 101.0)


@pytest.mark.parametrize("temperature_K", [290.0, 330.0])
def test_the_valid_time_is_that_of_300_K_and_hot_cells_reach_it_sooner(temperature_K):
    hot = dataclasses.replace(
        power(0.05), temperature_K=temperature_K, activation_eV=0.5, valid=ValidRange(t_max_s=100.0)
    )
    faster = math.exp(0.5 / 8.617333e-5 * (1 / 300 - 1 / temperature_K))
    g = np.array([0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drifted(hot, g, g, g, 99 / faster)
    told = f"up to 100 s after a write: extrapolated to .* s, at {temperature_K:g} K as 101 s at 300 K"
    with pytest.warns(ExtrapolationWarning, match=told):
        drifted(hot, g, g, g, 101 / faster)
    with pytest.warns(ExtrapolationWarning, match=told):
        drift_factor(hot, g, 101 / faster)
    refused = hot.replace("valid.beyond_t_max", "error")
    with pytest.raises(SpecError, match=rf"s after it, at {temperature_K:g} K as 101 s at 300 K: .* up to 100 s"):
        drifted(refused, g, g, g, 101 / faster)
