"""Analog multiplexed gradient descent: its filters from their equations, and what they tell of weights that stand."""

import numpy as np
import pytest
import scipy.signal
from rule_cases import batch_of, network_of
from rule_xor import P, T, X, initial
from rule_xor import network_of as xor_network

from imcsim.rng import child
from imcsim.rules.backprop import on_chip_backprop
from imcsim.rules.library import learning_rule
from imcsim.rules.rule import Batch

TAU_HP = 1.6
GAIN = TAU_HP / (TAU_HP + 1)
MEMBERS = 60
# cosines of XOR networks in learning_rules.md, section 2, by the time constant of the low-pass filter
REFERENCE = {"random": {100.0: 0.73, 1000.0: 0.966}, "sinusoidal": {100.0: 0.965, 1000.0: 0.993}}
FAST = {"sinusoidal": {"band": (0.25, 0.5)}}  # above what the high-pass filter holds back


def flat(updates):
    parts = [part for u in updates for part in (u.weights.delta, u.biases)]
    return np.concatenate([np.reshape(part, (len(part), -1)) for part in parts], axis=-1)


def settled(code, tau_theta):
    """The low-pass filters of XOR networks after seven time constants, and their gradients: (members, 9) each."""
    network, batch = xor_network(initial(MEMBERS)), Batch(X, T.astype(np.int64))
    steps = round(7 * tau_theta)
    options = {"code": code, "norm": 1e-3, "tau_theta": tau_theta, "tau_x": steps, **FAST.get(code, {})}
    rule = learning_rule("mgd_analog", options)
    state = rule.init(network, [child(member, "code") for member in range(MEMBERS)])
    _, state, _ = rule.step(network, state, batch, [child(member, "step") for member in range(MEMBERS)])
    exact = on_chip_backprop()
    updates, _, _ = exact.step(network, exact.init(network, child(0, "init")), batch, child(0, "step"))
    parts = [part for u in updates for part in (u.weights.x.swapaxes(-1, -2) @ u.weights.delta, u.biases)]
    return state.low_pass, np.concatenate([np.reshape(part, (MEMBERS, -1)) for part in parts], axis=-1)


def cosines(a, b):
    return (a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))


@pytest.mark.parametrize("tau_theta", [20.0, 100.0])
def test_the_cosine_of_random_codes_is_that_of_the_two_filters(tau_theta):
    """Noise of a product: (P - 1) h_0^2 + P (h_1^2 + h_2^2 + ...), h the high-pass filter; the low-pass has 2 tau + 1.

    For h_j = -a^j (1 - a), j > 0, and h_0 = a = tau_hp / (tau_hp + 1), the sum is h_0^2 / (2 tau_hp + 1).
    """
    low_pass, gradient = settled("random", tau_theta)
    law = 1 / np.sqrt(1 + (P - 1 + P / (2 * TAU_HP + 1)) / (2 * tau_theta + 1))
    found = cosines(low_pass, gradient)
    error = 5 * found.std() / np.sqrt(MEMBERS)
    assert abs(found.mean() - law) < error + 0.1 * (1 - law), "the mean of a cosine is not quite that of its square"
    without = 1 / np.sqrt(1 + (P - 1) / (tau_theta + 1))
    assert abs(found.mean() - without) > error, "half the window would be told"


@pytest.mark.parametrize("code", REFERENCE)
def test_codes_reach_the_cosines_of_the_reference(code):
    """Which does not tell its band and its samples; those of one batch at once are the least noisy."""
    for tau_theta, published in REFERENCE[code].items():
        low_pass, gradient = settled(code, tau_theta)
        assert np.median(cosines(low_pass, gradient)) > published
        gain = np.median((low_pass * gradient).sum(axis=-1) / np.square(gradient).sum(axis=-1))
        # the real part of the filter, a (1 + a)(1 - cos w) / (1 - 2 a cos w + a^2), is its mean for white codes
        w = np.linspace(0.25, 0.5, 1000) * 2 * np.pi
        real = GAIN * (1 + GAIN) * (1 - np.cos(w)) / (1 - 2 * GAIN * np.cos(w) + GAIN**2)
        assert gain == pytest.approx(GAIN if code == "random" else real.mean(), rel=0.1 if tau_theta < 1000 else 0.05)


def test_the_filters_are_those_of_the_equations_step_after_step():
    network, tau_theta, tau_x = network_of(), 5.0, 12
    options = {"code": "walsh", "norm": 0.1, "tau_theta": tau_theta, "tau_x": tau_x, "tau_hp": TAU_HP}
    rule = learning_rule("mgd_analog", options)
    state = rule.init(network, child(0, "init"))
    code, costs, changes, u = state.code, [], [], []
    for number in range(6):
        batch = batch_of(network, seed=number // 2)  # shown twice
        updates, state, _ = rule.step(network, state, batch, child(0, "step"))
        for t in range(tau_x):
            place = number * tau_x + t
            u.append(code.at(place))
            costs.append(_cost(network, u[-1], batch))
            first = place == 0 or (t == 0 and number % 2 == 0)
            changes.append(0.0 if first else costs[-1] - costs[-2])
        high_pass = scipy.signal.lfilter([GAIN], [1, -GAIN], changes)
        products = high_pass[:, None] * np.array(u) / code.power
        low_pass = scipy.signal.lfilter([1 / (tau_theta + 1)], [1, -tau_theta / (tau_theta + 1)], products, axis=0)
        expected = low_pass[-tau_x:].mean(axis=0) / GAIN
        found = np.concatenate([part.ravel() for v in updates for part in (v.weights.delta, v.biases)])
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)
    assert np.abs(found).max() > 0.1


def _cost(network, u, batch):
    start, a = 0, batch.x
    for layer, (n_in, n_out) in enumerate(network.shapes):
        W = network.mlp.weights[layer] + u[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        z = a @ W + network.mlp.biases[layer] + u[start : start + n_out]
        start, a = start + n_out, np.tanh(z)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), batch.y])


def test_a_batch_that_is_new_in_every_time_step_tells_nothing():
    network = network_of()
    rule = learning_rule("mgd_analog", {"tau_x": 1, "norm": 0.1})
    state = rule.init(network, child(0, "init"))
    for number in range(5):
        updates, state, _ = rule.step(network, state, batch_of(network, seed=number), child(0, "step"))
        assert not any(u.weights.delta.any() for u in updates)
    for _ in range(2):  # the same again: its cost moves with the perturbation alone
        updates, state, _ = rule.step(network, state, batch_of(network, seed=number), child(0, "step"))
    assert all(u.weights.delta.any() for u in updates)
