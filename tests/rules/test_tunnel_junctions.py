"""Tunnel junctions jump as telegraphs do: two levels, a flip probability, a memory that fades by 1 - 2p a sample."""

import math

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.rules.tunnel_junctions import Junctions, TunnelJunctions, first_states, voltages

MANY, SAMPLES = 400, 500
QUIET = TunnelJunctions(white_noise_V=0.0)


def course(spec, samples=SAMPLES, units=MANY, seed=0):
    """The voltages (samples, units) of one layer, from the first state on."""
    (added,), _ = voltages(spec, first_states(spec, (units,), child(seed, "first")), samples, child(seed, "pass"))
    return added


def signs(spec, **kwargs):
    """The states of one quiet junction a unit."""
    return np.sign(course(spec, **kwargs) - spec.gain * spec.offset_V)


def off(found, expected, sigma):
    """By how many standard deviations it is off."""
    return abs(found - expected) / sigma


def lagged(s, lag):
    return (s[lag:] * s[:-lag]).mean()


def sigma_of_lagged(p, lag, pairs, units):
    """Of the mean of s_t s_(t+lag) over t: flips of windows that overlap are shared, so that its terms are correlated.

    E[y_t y_(t+j)] = (1 - 2p)^(2 min(j, lag)), as only the 2 min(j, lag) steps outside of both windows' overlap count.
    """
    q = 1 - 2 * p
    between = [q ** (2 * min(j, lag)) - q ** (2 * lag) for j in range(lag)]
    return math.sqrt((between[0] + 2 * sum(between[1:])) / (pairs * units))


def test_a_quiet_junction_has_two_levels_and_several_have_one_more_than_they_are():
    levels = np.unique(course(QUIET).round(9))
    np.testing.assert_allclose(levels, [0.0421 - 0.00593, 0.0421 + 0.00593])
    three = TunnelJunctions(junctions=3, gain=2.0, white_noise_V=0.0)
    expected = [2.0 * (3 * 0.0421 + k * 0.00593) for k in (-3, -1, 1, 3)]
    np.testing.assert_allclose(np.unique(course(three).round(9)), expected)


@pytest.mark.parametrize("p", [0.0809, 0.5])
def test_a_junction_flips_as_often_as_it_is_told(p):
    s, flips = signs(TunnelJunctions(white_noise_V=0.0, flip_probability=p)), (SAMPLES - 1) * MANY
    share = (s[1:] != s[:-1]).mean()
    sigma = math.sqrt(p * (1 - p) / flips)
    assert off(share, p, sigma) < 5
    assert off(share, 1.05 * p, sigma) > 5, "one that flips a twentieth more often is told apart"


@pytest.mark.parametrize("lag", [1, 2, 5, 10])
def test_the_autocorrelation_falls_by_one_less_two_flip_probabilities_a_sample(lag):
    p, s = QUIET.flip_probability, signs(QUIET)
    sigma = sigma_of_lagged(p, lag, SAMPLES - lag, MANY)
    assert off(lagged(s, lag), (1 - 2 * p) ** lag, sigma) < 5
    forgetful = signs(TunnelJunctions(white_noise_V=0.0, flip_probability=0.5))
    assert off(lagged(forgetful, lag), (1 - 2 * p) ** lag, sigma) > 5, "one without a memory does not"


def test_states_go_on_from_pass_to_pass():
    units, p = 20_000, QUIET.flip_probability
    before = first_states(QUIET, (units,), child(0, "first"))
    (first,), between = voltages(QUIET, before, 3, child(0, "pass", 0))
    (second,), _ = voltages(QUIET, between, 3, child(0, "pass", 1))
    (anew,), _ = voltages(QUIET, first_states(QUIET, (units,), child(1, "first")), 3, child(0, "pass", 1))
    sigma = math.sqrt(p * (1 - p) / units)
    assert off((np.sign(first[-1] - 0.0421) != np.sign(second[0] - 0.0421)).mean(), p, sigma) < 5
    assert off((np.sign(first[-1] - 0.0421) != np.sign(anew[0] - 0.0421)).mean(), p, sigma) > 5


def test_a_junction_is_found_in_either_state_as_likely():
    (states,) = first_states(TunnelJunctions(junctions=5), (4000,), child(0, "first")).states
    assert states.shape == (5, 4000)
    assert off((states > 0).mean(), 0.5, 0.5 / math.sqrt(states.size)) < 5


def test_white_noise_of_junctions_adds_up_in_power():
    spec = TunnelJunctions(junctions=4, gain=3.0, step_V=0.0)
    found, expected = course(spec).var(), 4 * (3.0 * 9.08e-4) ** 2
    sigma = expected * math.sqrt(2 / (SAMPLES * MANY))
    assert off(found, expected, sigma) < 5
    assert off(found, 1.1 * expected, sigma) > 5
    np.testing.assert_allclose(spec.sigma**2, expected)


def test_the_standard_deviation_that_it_tells_is_that_of_what_is_added():
    spec, units = TunnelJunctions(junctions=3, gain=10.0), 40_000
    (first,) = course(spec, samples=1, units=units)  # a sample of each, so that all are independent
    assert off(first.var(), spec.sigma**2, spec.sigma**2 * math.sqrt(2 / units)) < 5


def test_a_member_of_an_ensemble_has_the_junctions_it_has_alone():
    spec, units = TunnelJunctions(junctions=2), (3, 5)
    firsts, passes = ([child(m, name) for m in range(3)] for name in ("first", "pass"))
    together, after = voltages(spec, first_states(spec, units, firsts), 7, passes)
    for member in range(3):
        alone, left = voltages(spec, first_states(spec, units, child(member, "first")), 7, child(member, "pass"))
        for layer in range(2):
            np.testing.assert_array_equal(together[layer][member], alone[layer])
            np.testing.assert_array_equal(after.states[layer][member], left.states[layer])


def test_junctions_that_are_kept_are_data():
    kept = Junctions((np.ones((1, 4)),))
    (added,), after = voltages(TunnelJunctions(white_noise_V=0.0, flip_probability=1.0), kept, 2, child(0, "pass"))
    np.testing.assert_allclose(added, [[0.0421 - 0.00593] * 4, [0.0421 + 0.00593] * 4])
    np.testing.assert_array_equal(after.states[0], kept.states[0])


@pytest.mark.parametrize("silent", [{"step_V": 0.0}, {"flip_probability": 0.0}])
def test_junctions_that_never_change_are_refused(silent):
    with pytest.raises(SpecError, match=r"white_noise_V = 0.0: must be greater than 0 .*two passes would not differ"):
        TunnelJunctions(white_noise_V=0.0, **silent)
