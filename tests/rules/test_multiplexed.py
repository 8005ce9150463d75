"""Multiplexed gradient descent: exact codes, the law of random ones, its limits, and a twin in plain numpy."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
from rule_cases import SHAPES, batch_of, changes, network_of, one_step
from rule_chips import EXACT, batch_for, on_chip

from imcsim.errors import CapabilityError, SpecError
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import gradients
from imcsim.network.protocols import Counts
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule, rule_options
from imcsim.rules.multiplexed import MgdSpec, multiplexed_gradient_descent
from imcsim.rules.reference import finite_differences
from imcsim.rules.rule import Batch
from imcsim.specs.loss_adc import LossADC

P = sum((inputs + 1) * outputs for inputs, outputs in SHAPES)
UNITS = sum(outputs for _, outputs in SHAPES)


def flat(updates):
    return np.concatenate([change.ravel() for change in changes(updates)])


def gradient_of(network, batch):
    dW, db = gradients(network.mlp, batch.x, batch.y, cross_entropy)
    return np.concatenate([change.ravel() for change in (*dW, *db)])


def cosine(a, b):
    return a @ b / np.sqrt(a @ a * (b @ b))


def estimate(seed=0, *, network=None, **options):
    network = network_of() if network is None else network
    return flat(one_step(learning_rule("mgd", options), network, batch_of(network), child(seed, "run"))[0])


EXACT_CODES = [
    ("walsh", 128, "global", "weights", 1e-3),
    ("walsh", 64, "layerwise", "weights", 1e-3),
    ("walsh", 32, "global", "nodes", 1e-3),
    ("sinusoidal", 2 * P, "global", "weights", 1e-4),
    ("sequential", UNITS, "global", "nodes", 1e-6),
]


@pytest.mark.parametrize(("code", "whole", "scope", "perturb", "norm"), EXACT_CODES)
def test_a_whole_code_gives_the_gradient(code, whole, scope, perturb, norm):
    network = network_of()
    told = {"code": code, "norm": norm, "scope": scope, "perturb": perturb, "tau_x": whole, "tau_theta": whole}
    found, expected = estimate(**told), gradient_of(network, batch_of(network))
    assert cosine(found, expected) > 0.999998
    np.testing.assert_allclose(np.linalg.norm(found), np.linalg.norm(expected), rtol=1e-4)
    half = estimate(**{**told, "tau_x": whole // 2, "tau_theta": whole // 2})
    assert cosine(half, expected) < 0.99, "half a code does not"


def test_a_sweep_of_single_perturbations_is_the_finite_difference_of_every_parameter():
    network, norm = network_of(), 0.1
    batch = batch_of(network)
    found = estimate(code="sequential", norm=norm, tau_p=2, tau_x=2 * P, tau_theta=2 * P)
    cost = lambda net: net.loss(net.forward(batch.x, None), batch.y, None).mean()  # noqa: E731
    expected = []
    for arrays in (network.mlp.weights, network.mlp.biases):
        for array in arrays:
            for place in np.ndindex(array.shape):
                before, array[place] = array[place], array[place] + norm
                after = cost(network)
                array[place] = before
                expected.append((after - cost(network)) / norm)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert cosine(found, gradient_of(network, batch)) < 1 - 1e-6, "such a step is too long for the slope"


@pytest.mark.parametrize("tau_p", [1, 4])
@pytest.mark.parametrize("perturb", ["weights", "nodes"])
def test_the_cosine_of_random_codes_is_that_of_independent_signs(perturb, tau_p):
    """1 / sqrt(1 + (K - 1) / tau), K dimensions, tau perturbations: learning_rules.md, section 2."""
    network, tau, draws = network_of(), 64, 160
    # a single sample: the mean over samples of node errors is no gradient of nodes
    batch = Batch(*(part[:1] for part in batch_of(network)))
    steps = tau * tau_p
    options = {"norm": 1e-4, "tau_p": tau_p, "tau_x": steps, "tau_theta": steps, "perturb": perturb}
    rule = learning_rule("mgd", options)
    expected = gradient_of(network, batch)
    if perturb == "nodes":
        biases = slice(-UNITS, None)  # whose gradients are the errors of the nodes
        K, expected = UNITS, expected[biases]
    else:
        K, biases = P, slice(None)
    found = []
    for seed in range(draws // tau_p):
        updates, _, _ = one_step(rule, network, batch, child(seed, "draw"))
        found.append(cosine(flat(updates)[biases], expected))
    law = 1 / np.sqrt(1 + (K - 1) / tau)
    assert np.mean(found) == pytest.approx(law, rel=0.03)
    assert abs(np.mean(found) / (1 / np.sqrt(1 + (K - 1) / (2 * tau))) - 1) > 0.03, "twice as many would be told"


def test_a_bounded_step_is_as_long_as_the_gradient_and_points_as_the_unbiased_one():
    network, tau = network_of(), 16
    batch = batch_of(network)
    told = {"norm": 1e-4, "tau_x": tau, "tau_theta": tau}
    plain = [estimate(seed, **told) for seed in range(100)]
    bounded = [estimate(seed, **told, step_length="bounded") for seed in range(100)]
    for one, other in zip(plain, bounded, strict=True):
        np.testing.assert_allclose(other, one / np.sqrt(1 + (P - 1) / tau))
    lengths = np.square(bounded).sum(axis=1)
    length = np.square(gradient_of(network, batch)).sum()
    assert abs(lengths.mean() - length) < 5 * lengths.std() / np.sqrt(len(lengths))
    assert np.square(plain).sum(axis=1).mean() > 5 * length


class Twin:
    """The rule from its equations, perturbing weights by sequential or Walsh codes; one network of tanh and softmax."""

    def __init__(self, network, code, norm, tau_p, tau_x, tau_theta):
        self.theta = np.concatenate([a.ravel() for pair in zip(*self.parts(network), strict=True) for a in pair])
        self.code, self.norm, self.taus, self.time = code, norm, (tau_p, tau_x, tau_theta), 0

    @staticmethod
    def parts(network):
        return network.mlp.weights, network.mlp.biases

    def cost(self, theta, x, y):
        a, start = x, 0
        for layer, (n_in, n_out) in enumerate(SHAPES):
            W = theta[start : start + n_in * n_out].reshape(n_in, n_out)
            b = theta[start + n_in * n_out : start + (n_in + 1) * n_out]
            z, start = a @ W + b, start + (n_in + 1) * n_out
            a = np.tanh(z) if layer < len(SHAPES) - 1 else z
        return np.mean(np.log(np.exp(a).sum(axis=1)) - a[np.arange(len(y)), y])

    def step(self, x, y):
        """The mean over tau_theta time steps of C~ u P / norm^2."""
        tau_p, tau_x, tau_theta = self.taus
        G, groups = np.zeros(P), np.array_split(np.arange(len(y)), tau_theta // tau_x)
        for t in range(tau_theta):
            rows = groups[t // tau_x]
            u = self.code((self.time + t) // tau_p)
            change = self.cost(self.theta + u, x[rows], y[rows]) - self.cost(self.theta, x[rows], y[rows])
            G += change * u * P / self.norm**2 * len(rows) / len(y) * len(groups) / tau_theta
        self.time += tau_theta
        return G


@pytest.mark.parametrize("taus", [(1, 1, 1), (1, 4, 12), (3, 1, 6), (4, 6, 12)])
def test_a_twin_gives_the_same_estimates_step_after_step(taus):
    tau_p, tau_x, tau_theta = taus
    network, norm = network_of(), 0.2
    options = {"code": "walsh", "norm": norm, "tau_p": tau_p, "tau_x": tau_x, "tau_theta": tau_theta}
    rule = learning_rule("mgd", options)
    state = rule.init(network, child(0, "init"))

    def walsh(k):
        sign = -1.0 if k // 128 % 2 else 1.0
        return sign * norm / np.sqrt(P) * scipy.linalg.hadamard(128)[1 : 1 + P, k % 128]

    twin = Twin(network, walsh, norm, *taus)
    for number in range(300 // tau_theta):  # beyond two lengths of the code where tau_p is 1
        batch = batch_of(network, samples=12, seed=number)
        updates, state, _ = rule.step(network, state, batch, child(0, "step"))
        found = np.concatenate([part.ravel() for u in updates for part in (u.weights.delta, u.biases)])
        np.testing.assert_allclose(found, twin.step(*batch), rtol=1e-7, atol=1e-10)


def test_a_batch_with_fewer_samples_than_groups_is_shown_again_and_every_sample_counts_alike():
    network = network_of()
    batch = batch_of(network, samples=3)
    options = {"code": "walsh", "norm": 1e-3, "tau_x": 128, "tau_theta": 128 * 7}
    updates, _, info = one_step(learning_rule("mgd", options), network, batch, child(0, "run"))
    np.testing.assert_allclose(flat(updates), gradient_of(network, batch), atol=1e-3)
    assert info.counts.forward_passes == 7 * (1 + 128)


@pytest.mark.parametrize(
    "options",
    [
        {"tau_x": 2, "tau_p": 3, "tau_theta": 12},
        {"tau_x": 4, "tau_theta": 4, "scope": "layerwise"},
        {"tau_x": 2, "tau_theta": 8, "perturb": "nodes", "scope": "layerwise"},
        {"tau_x": 5, "tau_theta": 60, "perturb": "nodes"},
        {"code": "walsh", "tau_x": 2, "tau_theta": 4},
        {"code": "sequential", "norm": 0.1, "tau_x": P, "tau_theta": P},
    ],
    ids=str,
)
def test_counts_are_those_of_the_closed_form(options):
    network = network_of()
    batch = batch_of(network)
    _, _, info = one_step(learning_rule("mgd", options), network, batch, child(0, "run"))
    told = RULES["mgd"].asks(rule_options("mgd", options), SHAPES, len(batch.x))
    expected = Counts(
        forward_passes=told.forward_passes,
        array_reads=3 * told.forward_passes,
        cell_writes=told.words,
        word_writes=told.words,
        random_numbers=told.random_numbers,
    )
    assert info.counts == expected
    assert info.stored == told.stored


def test_on_a_chip_it_is_the_slope_that_writes_of_every_weight_find():
    network = on_chip(EXACT, ((3, 4), (4, 2)))
    batch = batch_for(20, 3, 2)
    options = {"code": "walsh", "norm": 0.1, "tau_x": 32, "tau_theta": 32}
    updates, _, info = one_step(learning_rule("mgd", options), network, batch, child(0, "run"))
    expected = finite_differences(0.01)(network, batch, child(0, "slope"))
    for update, slope in zip(updates, expected, strict=True):
        assert cosine(update.weights.delta.ravel(), slope.ravel()) > 0.99
    after = info.network
    for before, now in zip(network.written, after.written, strict=True):
        np.testing.assert_array_equal(now, before, "it is handed back as it was")
    assert info.counts.word_writes == after.counts().word_writes > 0


def test_layers_that_are_perturbed_by_themselves_have_codes_of_their_own():
    state = learning_rule("mgd", {"scope": "layerwise"}).init(network_of(), child(0, "init"))
    assert [part.layers for part in state.parts] == [(0,), (1,), (2,)]
    assert [part.code.places for part in state.parts] == [(n + 1) * m for n, m in SHAPES]
    assert not np.array_equal(state.parts[1].code.at(0)[:20], state.parts[0].code.at(0)[:20])


def test_taus_that_do_not_divide_the_time_between_updates_are_told_at_once():
    with pytest.raises(SpecError) as told:
        learning_rule("mgd", {"tau_x": 4, "tau_p": 3, "tau_theta": 10})
    assert "tau_x = 4: must divide tau_theta = 10" in str(told.value)
    assert "tau_p = 3: must divide tau_theta = 10: no perturbation may go on" in str(told.value)
    assert "set tau_theta = 12, or to another multiple of 12" in str(told.value)


def test_taus_that_do_not_divide_get_the_nearest_times_that_they_do():
    with pytest.raises(SpecError, match="set tau_theta = 90 or 120, or to another multiple of 30"):
        MgdSpec(tau_x=30, tau_theta=100)
    for tau_theta in (90, 120):
        assert MgdSpec(tau_x=30, tau_theta=tau_theta).tau_theta == tau_theta


def test_nodes_need_the_loss_of_each_sample_and_weights_do_not():
    network = dataclasses.replace(network_of(), loss_adc=LossADC(bits=16, full_scale=8.0, per_sample=False))
    with pytest.raises(CapabilityError, match="perturbation of nodes needs the loss of each sample"):
        multiplexed_gradient_descent(MgdSpec(perturb="nodes")).init(network, child(0, "init"))
    options = {"code": "walsh", "norm": 0.05, "tau_x": 128, "tau_theta": 128}
    found = estimate(network=network, **options)
    assert cosine(found, gradient_of(network, batch_of(network))) > 0.9


@pytest.mark.parametrize("name", ["mgd", "mgd_analog", "spsa"])
def test_dies_that_begin_alike_perturb_each_by_a_code_of_its_own(name):
    network, rule = network_of(), learning_rule(name)
    state, batch = rule.init(network, child(0, "shared")), batch_of(network)
    one, other = (changes(rule.step(network, state, batch, child(0, "step", die))[0])[0] for die in range(2))
    assert 0.01 < np.mean(np.sign(one) == np.sign(other)) < 0.99


@pytest.mark.parametrize("code", ["walsh", "sequential", "sinusoidal"])
def test_a_bounded_step_is_refused_for_codes_that_are_not_random(code):
    with pytest.raises(SpecError, match='step_length = "bounded" with code'):
        rule_options("mgd", {"code": code, "step_length": "bounded"})
