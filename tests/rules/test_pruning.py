"""Stochastic pruning: unbiased, and with as many zeros as the closed form says."""

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.rules.pruning import PruningSpec, pruned

# of normal errors, as the references print them to two places: (rate, spread) -> share of zeros, cosine
PUBLISHED_ZEROS = {
    (0.5, "standard_deviation"): 0.26,
    (0.7, "standard_deviation"): 0.38,
    (0.9, "standard_deviation"): 0.54,
    (0.5, "mean_magnitude"): 0.21,
    (0.7, "mean_magnitude"): 0.31,
    (0.9, "mean_magnitude"): 0.46,
}
PUBLISHED_COSINES = {0.5: 0.99, 0.7: 0.967, 0.9: 0.90}  # with the mean magnitude
EVERY_THRESHOLD = pytest.mark.parametrize(("rate", "spread"), PUBLISHED_ZEROS)


def normal_errors(samples=2000, units=1000):
    return child(0, "errors").normal(0.0, 0.02, (samples, units))


@EVERY_THRESHOLD
def test_the_closed_form_of_the_zeros_is_the_published_share(rate, spread):
    assert PruningSpec(rate=rate, spread=spread).zero_fraction == pytest.approx(
        PUBLISHED_ZEROS[rate, spread], abs=0.006
    )


@EVERY_THRESHOLD
def test_the_share_of_zeros_is_that_of_the_closed_form(rate, spread):
    errors, spec = normal_errors(), PruningSpec(rate=rate, spread=spread)
    found, expected = np.mean(pruned(errors, spec, child(0, "prune")) == 0.0), spec.zero_fraction
    five_sigma = 5 * np.sqrt(expected * (1 - expected) / errors.size)
    assert abs(found - expected) < five_sigma
    assert abs(found - PruningSpec(rate=rate + 0.01, spread=spread).zero_fraction) > five_sigma
    assert abs(found - rate) > 0.2, "the rate is not the share of zeros"


@EVERY_THRESHOLD
def test_the_mean_of_pruned_errors_is_the_errors_to_a_thousandth(rate, spread):
    errors, spec = normal_errors(), PruningSpec(rate=rate, spread=spread)
    total = np.zeros_like(errors)
    for draw in range(8):
        total += pruned(errors, spec, child(0, "prune", draw))
    slope = (total * errors).sum() / (8 * (errors * errors).sum())
    assert abs(slope - 1.0) < 1e-3
    assert abs(total.mean() / 8) < 1e-3 * 0.02

    # a plain cut at the same threshold, which puts nothing in the place of what it takes, is not
    threshold = np.abs(pruned(errors, spec, child(0, "prune", 0))[errors != pruned(errors, spec, child(0, "prune", 0))])
    cut = np.where(np.abs(errors) > threshold.max(), errors, 0.0)
    assert abs((cut * errors).sum() / (errors * errors).sum() - 1.0) > 0.02


@pytest.mark.parametrize("rate", PUBLISHED_COSINES)
def test_the_cosine_to_the_unpruned_errors_is_the_published_one(rate):
    errors = normal_errors()
    found = pruned(errors, PruningSpec(rate=rate, spread="mean_magnitude"), child(0, "prune"))
    cosine = (found * errors).sum() / np.sqrt((found**2).sum() * (errors**2).sum())
    assert cosine == pytest.approx(PUBLISHED_COSINES[rate], abs=0.006)


def test_what_lies_above_the_threshold_stays_and_what_lies_below_becomes_zero_or_the_threshold():
    errors, spec = normal_errors(50, 40), PruningSpec(rate=0.9)
    threshold = 1.6448536269514722 * errors.std()  # the 95 % quantile of the normal distribution
    found = pruned(errors, spec, child(0, "prune"))
    above = np.abs(errors) > threshold
    np.testing.assert_array_equal(found[above], errors[above])
    np.testing.assert_allclose(np.unique(found[~above]), [-threshold, 0.0, threshold])


def test_errors_that_are_all_zero_stay_zero():
    np.testing.assert_array_equal(pruned(np.zeros((3, 4)), PruningSpec(), child(0, "prune")), np.zeros((3, 4)))


def test_each_member_of_an_ensemble_has_a_threshold_of_its_own():
    small = normal_errors(20, 10)
    both = np.stack([small, 1000 * small])
    streams = [child(0, "prune"), child(0, "prune")]
    found = pruned(both, PruningSpec(), streams)
    np.testing.assert_array_equal(found[0], pruned(small, PruningSpec(), child(0, "prune")))
    np.testing.assert_allclose(found[1], 1000 * found[0], rtol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_rate_that_prunes_nothing_or_everything_is_refused(rate):
    with pytest.raises(SpecError, match="rate"):
        PruningSpec(rate=rate)
