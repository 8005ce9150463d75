"""What each rule sends errors through: how large, how sparse, at which angle to the weights."""

import numpy as np
import pytest
from rule_cases import angle_deg, batch_of, network_of, sent

from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.rules.library import learning_rule

HIDDEN, OUTPUTS = 400, 100


def weights(draw="uniform"):
    rng = child(0, "weights")
    return rng.uniform(-1, 1, (HIDDEN, OUTPUTS)) if draw == "uniform" else rng.normal(size=(HIDDEN, OUTPUTS))


def angle(name, draw="uniform", **options):
    W = weights(draw)
    return angle_deg(sent(learning_rule(name, options), W), W.T)


@pytest.mark.parametrize(
    ("name", "expected"), [("usf", 30.0), ("brsf", 41.4), ("frsf", 41.4), ("hardware_in_the_loop", 0.0)]
)
def test_the_angle_to_uniform_weights_is_the_published_one(name, expected):
    # cos = E|W| / sqrt(E W^2) = sqrt(3) / 2, and its square where the magnitudes are uniform, too
    assert angle(name) == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize(("name", "cosine"), [("usf", np.sqrt(2 / np.pi)), ("frsf", np.sqrt(3 / 2 / np.pi))])
def test_the_angle_to_normal_weights_is_that_of_the_moments(name, cosine):
    # E|W| = sqrt(2 / pi) of normal weights; times sqrt(3) / 2 with uniform magnitudes
    assert angle(name, "normal") == pytest.approx(np.degrees(np.arccos(cosine)), abs=1.0)


@pytest.mark.parametrize("name", ["fa", "dfa", "ssdfa"])
def test_random_feedback_begins_at_a_right_angle(name):
    # the cosine of independent vectors of n entries is 1 / sqrt(n) wide: five of it
    assert abs(angle(name) - 90.0) < np.degrees(5 / np.sqrt(HIDDEN * OUTPUTS / (1 if name != "ssdfa" else OUTPUTS)))


# the bound of a uniform distribution is as good as reached by 40 000 draws
BOUNDS = {
    ("fa", "fan_out"): 1 / np.sqrt(HIDDEN),
    ("fa", "glorot"): np.sqrt(6 / (HIDDEN + OUTPUTS)),
    ("fa", "kaiming"): np.sqrt(6 / OUTPUTS),
    ("dfa", "fan_out"): 1 / np.sqrt(HIDDEN),
    ("dfa", "glorot"): np.sqrt(6 / (HIDDEN + OUTPUTS)),
    ("sign_dfa", "kaiming"): np.sqrt(6 / OUTPUTS),
    ("drtp", "kaiming"): np.sqrt(6 / OUTPUTS),
    ("brsf", "glorot"): np.sqrt(6 / (HIDDEN + OUTPUTS)),
    ("frsf", "kaiming"): np.sqrt(6 / HIDDEN),
}


@pytest.mark.parametrize(("name", "limit"), BOUNDS)
def test_the_largest_entry_reaches_the_bound_times_the_scale(name, limit):
    found = np.abs(sent(learning_rule(name, {"limit": limit, "scale": 2.0}), weights()))
    assert 0.999 * 2 * BOUNDS[name, limit] < found.max() <= 2 * BOUNDS[name, limit] * (1 + 1e-12)
    assert found.mean() == pytest.approx(BOUNDS[name, limit], rel=0.02), "uniform: half the bound"


def test_uniform_magnitudes_are_those_of_glorot_or_of_the_fan_in():
    glorot = np.abs(sent(learning_rule("usf"), weights()))
    fan_in = np.abs(sent(learning_rule("usf", {"magnitude": "fan_in", "scale": 3.0}), weights()))
    np.testing.assert_allclose(glorot, np.sqrt(2 / (HIDDEN + OUTPUTS)))
    np.testing.assert_allclose(fan_in, 3 / np.sqrt(HIDDEN))


@pytest.mark.parametrize(("name", "k"), [("sdfa", 1), ("sdfa", 7), ("sdfa", OUTPUTS), ("ssdfa", 1)])
def test_a_hidden_neuron_has_k_connections_to_outputs_chosen_evenly(name, k):
    found = sent(learning_rule(name, {"connections": k} if name == "sdfa" else {}), weights())
    np.testing.assert_array_equal((found != 0.0).sum(axis=0), k)
    # of an output, binomial: 400 neurons choose it with probability k / 100
    received, share = (found != 0.0).sum(axis=1), k / OUTPUTS
    assert np.abs(received - HIDDEN * share).max() <= 5 * np.sqrt(HIDDEN * share * (1 - share))
    bound = np.sqrt(np.sqrt(OUTPUTS * k) / HIDDEN)  # fan = n_h / sqrt(n_L k)
    assert 0.95 * bound < np.abs(found).max() <= bound


def test_one_connection_of_sdfa_is_ssdfa():
    single, sparse = learning_rule("ssdfa"), learning_rule("sdfa", {"connections": 1})
    np.testing.assert_array_equal(sent(single, weights()), sent(sparse, weights()))


def test_more_connections_than_classes_are_refused_before_anything_is_learnt():
    network = network_of()
    assert learning_rule("sdfa", {"connections": 4}).init(network, child(0, "init")) is not None
    with pytest.raises(SpecError, match=r"connections = 5: the network has 4 outputs.*; give 4 or less"):
        learning_rule("sdfa", {"connections": 5}).init(network, child(0, "init"))


def test_signs_follow_the_weights_as_they_are_written():
    W = weights()
    for name in ("usf", "frsf"):
        before, after = sent(learning_rule(name), W), sent(learning_rule(name), -W)
        np.testing.assert_array_equal(before, -after)


def test_batch_wise_random_magnitudes_change_from_step_to_step_and_fixed_ones_do_not():
    network = network_of()
    batch = batch_of(network)
    for name, changing in (("brsf", True), ("frsf", False)):
        rule = learning_rule(name)
        state = rule.init(network, child(0, "init"))
        one, two = (rule.step(network, state, batch, child(0, "step", i))[0][0].biases for i in range(2))
        assert np.array_equal(one, two) is not changing


def test_target_projection_needs_no_error():
    # the hidden layers' errors are the same, whatever the outputs say
    network, other = network_of(), network_of(scale=1.0)
    object.__setattr__(other.mlp, "biases", (*other.mlp.biases[:-1], other.mlp.biases[-1] + 5 * np.arange(4)))
    batch, rule = batch_of(network), learning_rule("drtp")
    (one, *_), (two, *_) = (
        rule.step(n, rule.init(n, child(0, "i")), batch, child(0, "s"))[0] for n in (network, other)
    )
    np.testing.assert_array_equal(one.biases, two.biases)
    dfa = learning_rule("dfa")
    (one, *_), (two, *_) = (dfa.step(n, dfa.init(n, child(0, "i")), batch, child(0, "s"))[0] for n in (network, other))
    assert not np.array_equal(one.biases, two.biases)
