"""Decorrelation: what R comes to, that a rule behind it is the same rule, and what it is refused for."""

import numpy as np
import pytest
from rule_cases import SHAPES, batch_of, network_of
from rule_digits import accuracies, trained

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.errors import CapabilityError, SpecError
from imcsim.learning import learn
from imcsim.rng import child
from imcsim.rules.alignment import gradient_alignment
from imcsim.rules.library import learning_rule
from imcsim.rules.reference import exact_gradient, finite_differences
from imcsim.rules.rule import Batch

DECORRELATED = {"dnp": "np", "danp": "anp", "dinp": "inp", "dnbl": "nbl", "dbp": "hardware_in_the_loop"}
EVERY_RULE = pytest.mark.parametrize("name", DECORRELATED)


def with_decorrelation(name, **options):
    return learning_rule(name, {"decorrelation": options})


def correlated(samples=400, inputs=6, seed=0):
    """Samples whose inputs hang together, and have different sizes."""
    rng = child(seed, "correlated")
    mixing = np.eye(inputs) + 0.4 * rng.uniform(-1, 1, (inputs, inputs))
    return Batch(rng.normal(size=(samples, inputs)) @ mixing, rng.integers(0, SHAPES[-1][1], samples))


def off_diagonal(a):
    """The root mean square of correlations between the columns of a."""
    C = a.T @ a / len(a)
    n = len(C)
    return np.sqrt(((C - np.diag(np.diag(C))) ** 2).sum() / (n * (n - 1)))


def after(rule, network, batch, steps):
    """The network whose R learned by so many steps, its weights as they were."""
    state = rule.init(network, child(0, "init"))
    for step in range(steps):
        _, state, info = rule.step(network, state, batch, child(0, "step", step))
        network = network if info.network is None else info.network
    return network


def entering(network, batch):
    return network.forward(batch.x, child(0, "unused")).a_in


# ---- what becomes of the inputs


@EVERY_RULE
def test_correlations_of_what_enters_every_layer_fall(name):
    network, batch = network_of(scale=0.3), correlated()
    before = [off_diagonal(a) for a in entering(network, batch)]
    learnt = after(with_decorrelation(name, rate=0.05), network, batch, 60)
    for earlier, a in zip(before, entering(learnt, batch), strict=True):
        assert off_diagonal(a) < earlier / 5


def test_where_nothing_is_correlated_the_matrix_rests():
    network, batch = network_of(), correlated()
    learnt = after(with_decorrelation("dbp", rate=0.1), network, batch, 2000)
    for a in entering(learnt, batch):
        assert off_diagonal(a) < 1e-6
    once_more = after(with_decorrelation("dbp", rate=0.1), learnt, batch, 1)
    for one, other in zip(learnt.decorrelation, once_more.decorrelation, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(one - np.eye(len(one))).max() > 0.01, "and is not where it began"


def test_with_whitening_the_inputs_become_white():
    network, batch = network_of(), correlated()
    learnt = after(with_decorrelation("dbp", rate=0.1, whitening=0.5), network, batch, 3000)
    a = entering(learnt, batch)[0]
    np.testing.assert_allclose(a.T @ a / len(a), np.eye(6), atol=1e-6)
    plain = entering(after(with_decorrelation("dbp", rate=0.1), network, batch, 3000), batch)[0]
    assert np.abs((plain**2).mean(axis=0) - 1).max() > 0.1, "which decorrelation alone does not do"


def test_the_matrix_learns_every_so_many_steps_beginning_with_the_first():
    network, batch = network_of(), batch_of(network_of())
    rule, changed = with_decorrelation("dnp", every=3), []
    state = rule.init(network, child(0, "init"))
    for step in range(7):
        _, state, info = rule.step(network, state, batch, child(0, "step", step))
        changed.append(info.network is not None)
    assert changed == [True, False, False, True, False, False, True]


# ---- the rule behind it


@EVERY_RULE
def test_at_rate_zero_it_is_the_rule_itself_to_the_bit(name):
    data, spec = load("iris"), DescentSpec(epochs=2, batch_size=10, learning_rate=0.02)
    network = network_of(((4, 7), (7, 3)))
    still = learn(network, with_decorrelation(name, rate=0.0), data, spec, child(0, "run"))
    plain = learn(network, learning_rule(DECORRELATED[name]), data, spec, child(0, "run"))
    learning = learn(network, with_decorrelation(name, rate=0.01), data, spec, child(0, "run"))
    for one, other, third in zip(still.network.written, plain.network.written, learning.network.written, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(one, third)
    assert still.history.loss == plain.history.loss
    assert still.counts == plain.counts


@pytest.mark.parametrize(("name", "draws", "cosine"), [("dbp", 2, 0.9999), ("dinp", 1000, 0.98)])
def test_estimates_on_a_network_that_has_decorrelated_are_slopes_of_its_own_loss(name, draws, cosine):
    network, batch = network_of(), batch_of(network_of())
    learnt = after(with_decorrelation("dbp", rate=0.1), network, batch, 50)
    slopes = finite_differences(1e-5)
    found = gradient_alignment(learning_rule(name), learnt, batch, child(0, name), draws=draws, reference=slopes)
    assert found.cosine.min() > cosine
    # negative control: the slopes without R are others
    without = gradient_alignment(
        learning_rule(name),
        learnt,
        batch,
        child(0, name),
        draws=draws,
        reference=lambda *_: slopes(network, batch, child(0, "slopes")),
    )
    assert without.cosine.min() < cosine


def test_the_exact_gradient_of_a_network_is_that_behind_its_matrices():
    network, batch = network_of(), batch_of(network_of())
    learnt = after(with_decorrelation("dbp", rate=0.1), network, batch, 50)
    expected = finite_differences(1e-5)(learnt, batch, child(0, "slopes"))
    for one, slope in zip(exact_gradient(learnt, batch, child(0, "exact")), expected, strict=True):
        np.testing.assert_allclose(one, slope, atol=1e-8)


def test_what_learned_with_its_matrices_is_read_with_them():
    data = load("digits")
    network = trained(with_decorrelation("dbp", rate=0.1), data, [0], 1e-2, epochs=4)
    with_them = accuracies(network, data.x_test, data.y_test).item()
    assert with_them > 0.9
    without = accuracies(type(network)(network.mlp, network.loss_name), data.x_test, data.y_test).item()
    assert without < with_them - 0.05


# ---- refusals


def test_several_dies_would_come_to_have_different_matrices():
    networks = [network_of(((4, 7), (7, 3)))] * 2
    spec = DescentSpec(epochs=1, batch_size=10)
    with pytest.raises(CapabilityError, match=r"several dies would come apart.*; learn on one die"):
        learn(networks, learning_rule("dnp"), load("iris"), spec, child(0, "run"))


def test_options_out_of_range_are_told_at_once():
    with pytest.raises(SpecError) as told:
        with_decorrelation("danp", rate=-1.0, whitening=2.0, every=0)
    text = str(told.value)
    assert "rule_options.decorrelation.rate = -1.0" in text
    assert "rule_options.decorrelation.whitening = 2.0" in text
    assert "rule_options.decorrelation.every = 0" in text
