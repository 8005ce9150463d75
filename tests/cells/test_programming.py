"""A write of a resistive cell: the published spread at every state, the laws, and what verification cuts."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from resistive_cases import MILLION, cell, normals, states
from scipy import stats

from imcsim.cells.programming import programmed, programming_sigma
from imcsim.kernels.frozen import WRITE
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.resistive import ProgrammingError, ResistiveCell, WriteVerify

MICRO = 1e-6


def attempts(k):
    return normals(WRITE + k)


def generic(sigma=0.1, g_max_S=1.0, clips="zero", **programming):
    error = ProgrammingError(sigma=ConstantCurve(value=sigma), **programming)
    return ResistiveCell(g_max_S=g_max_S, programming=error, clips=clips)


# ---- the published spreads, each by its own formula (references/device_and_array_models.md, section B)

PUBLISHED_US = {
    "pcm": lambda g: 0.26348 + 1.9650 * (g / 25) - 1.1731 * (g / 25) ** 2,
    "pcm_hermes_1": lambda g: np.polyval([0.68842, -2.16311, 2.32444, 0.15782], g / 10.35),
    "pcm_hermes_2": lambda g: np.polyval([4.68961, -8.48101, 4.71806, 0.16603], g / 20.7),
    "rram_wan": lambda g: np.polyval([-16.815, 45.393, -43.853, 16.030, 0.348], g / 40),
    "rram_milo": lambda g: 4.7823 - 0.009107 * g,
    "sonos_40nm": lambda g: 0.01 * 19.887 * (1 - np.exp(-100 * g / 176.31)),
}


@pytest.mark.parametrize("share", [0.4, 0.7, 1.0])  # low enough, and cells would clip at zero
@pytest.mark.parametrize("name", PUBLISHED_US)
def test_a_million_writes_spread_about_the_target_as_published(name, share, assert_moments):
    of = cell(name)
    target_uS = (of.lowest + share * of.span) / MICRO
    held, writes = programmed(of, states(target_uS * MICRO), attempts)
    assert_moments(held.astype(np.float64) / MICRO, target_uS, PUBLISHED_US[name](target_uS))
    assert (writes == 1).all()


def test_the_verified_oxide_of_zurich_spreads_as_published_for_two_percent(assert_moments):
    of = cell("rram_cmo")
    held, _ = programmed(of, states(50 * MICRO), attempts)
    assert_moments(held.astype(np.float64) / MICRO, 50, 0.0112185 + 0.0112903 * 50)


# ---- laws and scalings


@pytest.mark.parametrize(
    ("scaling", "sigma"), [("independent", 0.1), ("proportional", 0.1 * 0.5), ("inverse", 0.1 / 0.5)]
)
def test_a_spread_is_the_same_or_proportional_or_inverse_to_the_state(scaling, sigma):
    g = np.array([0.5])
    assert programming_sigma(generic(scaling=scaling), g) == pytest.approx([sigma], rel=1e-12)


def test_an_inverse_spread_leaves_a_cell_of_conductance_zero_alone():
    assert programming_sigma(generic(scaling="inverse"), np.zeros(3)).tolist() == [0, 0, 0]


def test_a_spread_scales_with_g_max_unless_it_is_in_units_of_its_own():
    g = np.array([1e-6])
    assert programming_sigma(generic(g_max_S=2e-6), g) == pytest.approx([0.2e-6])
    assert programming_sigma(generic(g_max_S=2e-6, unit_S=1e-8), g) == pytest.approx([1e-9])


@pytest.mark.parametrize("law", ["normal", "uniform", "lognormal"])
def test_every_law_has_the_mean_and_the_standard_deviation_that_are_asked(law):
    held, _ = programmed(generic(0.08, law=law), states(0.5), attempts)
    held = held.astype(np.float64)
    # of the mean, and of the standard deviation by the fourth moment
    kurtosis = {
        "normal": 3.0,
        "uniform": 1.8,
        "lognormal": 3 + stats.lognorm(math.sqrt(math.log1p(0.16**2))).stats("k"),
    }
    of_mean, of_std = 0.08 / 1e3, 0.08 / 1e3 * math.sqrt((kurtosis[law] - 1) / 4)
    assert abs(held.mean() - 0.5) < 5 * of_mean
    assert abs(held.std() - 0.08) < 5 * of_std
    assert abs(held.std() - 1.01 * 0.08) > 5 * of_std  # the test tells 1 %


@pytest.mark.parametrize(
    ("law", "of"),
    [
        ("normal", stats.norm(0.5, 0.08)),
        ("uniform", stats.uniform(0.5 - 0.08 * math.sqrt(3), 2 * 0.08 * math.sqrt(3))),
        (
            "lognormal",
            stats.lognorm(math.sqrt(math.log1p(0.16**2)), scale=0.5 / math.sqrt(1 + 0.16**2)),
        ),
    ],
)
def test_writes_have_the_quantiles_of_their_law_and_of_no_other(law, of):
    held, _ = programmed(generic(0.08, law=law), states(0.5), attempts)
    assert stats.kstest(held.ravel()[:100_000], of.cdf).pvalue > 1e-6
    other, _ = programmed(generic(0.08, law="uniform" if law == "normal" else "normal"), states(0.5), attempts)
    assert stats.kstest(other.ravel()[:100_000], of.cdf).pvalue < 1e-9


def test_a_log_normal_cell_of_conductance_zero_stays_there():
    assert (programmed(generic(law="lognormal"), states(0.0), attempts)[0] == 0).all()


def test_what_is_written_clips_at_zero_or_to_the_range():
    free, _ = programmed(generic(0.5), states(0.9), attempts)
    assert free.min() == 0
    assert free.max() > 1
    bounded, _ = programmed(dataclasses.replace(generic(0.5, clips="range"), g_min_S=0.25), states(0.9), attempts)
    assert (bounded.min(), bounded.max()) == (0.25, 1)


def test_a_cell_without_programming_error_holds_its_target_exactly():
    target = np.linspace(0, 1, 7, dtype=np.float32)
    for of in (ResistiveCell(g_max_S=1.0), generic(0.0), generic(0.0, law="lognormal"), generic(0.0, law="uniform")):
        held, writes = programmed(of, target, lambda k: np.full(7, 3.0, np.float32))
        np.testing.assert_array_equal(held, target)
        assert held is not target
        assert (writes == 1).all()


# ---- write and verify


def verified(tolerance=0.08, attempts=4, sigma=0.1, relative_to="g_max"):
    verify = WriteVerify(tolerance_rel=tolerance, attempts=attempts, relative_to=relative_to)
    return generic(sigma, verify=verify)


def test_cells_that_pass_have_the_truncated_law():
    held, _ = programmed(verified(), states(0.5), attempts)
    passed = held[np.abs(held - 0.5) <= 0.08].astype(np.float64)
    truncated = stats.truncnorm(-0.8, 0.8, 0.5, 0.1)
    assert stats.kstest(passed[:200_000], truncated.cdf).pvalue > 1e-6
    assert stats.kstest(passed[:200_000], stats.truncnorm(-0.85, 0.85, 0.5, 0.1).cdf).pvalue < 1e-6
    assert abs(passed.std() - truncated.std()) < 5 * truncated.std() / math.sqrt(2 * passed.size)


def test_the_share_that_never_passes_falls_by_a_factor_an_attempt():
    fails = 2 * stats.norm.cdf(-0.8)
    for n in (2, 4):
        held, writes = programmed(verified(attempts=n), states(0.5), attempts)
        share = (np.abs(held - 0.5) > 0.08).mean()
        expected = fails**n
        assert abs(share - expected) < 5 * math.sqrt(expected / MILLION)
        assert abs(share - fails ** (n - 1)) > 5 * math.sqrt(expected / MILLION)
        # 1 + f + f^2 + ... writes, the last of them whether it passes or not
        mean = sum(fails**k for k in range(n))
        assert abs(writes.mean() - mean) < 5 * writes.std() / 1e3
        assert writes.max() == n


def test_a_tolerance_of_the_target_is_tighter_for_small_states():
    target = np.full((2, 1000), 0.5, np.float32)
    target[1] = 0.05
    of = verified(0.2, attempts=2, relative_to="target")
    _, writes = programmed(of, target, lambda k: normals(WRITE + k)[:2])
    shares = (writes == 2).mean(axis=1)
    for share, z in zip(shares, (1.0, 0.1), strict=True):
        expected = 2 * stats.norm.cdf(-z)
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / 1000)


def test_attempts_that_no_cell_needs_are_not_drawn():
    asked = []

    def draw(k):
        asked.append(k)
        return np.zeros(5, np.float32)

    programmed(verified(attempts=9), np.full(5, 0.5, np.float32), draw)
    assert asked == [0]
