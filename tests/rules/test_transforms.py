"""Transforms behind a rule: closed forms and published recurrences, for outer products and ensembles, too."""

import dataclasses
import math

import numpy as np
import pytest

from imcsim.errors import CapabilityError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.network.protocols import Counts, LayerUpdate
from imcsim.rng import child
from imcsim.rules.rule import Info, LearningRule, chain, in_order
from imcsim.rules.transforms import (
    adam,
    clip_norm,
    clip_values,
    decay_weights,
    momentum,
    rmsprop,
    round_to_resolution,
    scale_by_learning_rate,
)
from imcsim.updates import Dense, Outer, dense

UNUSED = child(0, "not drawn from")

EVERY = {
    "learning rate": lambda: scale_by_learning_rate(0.1),
    "momentum": lambda: momentum(0.9),
    "adam": lambda: adam(0.1),
    "rmsprop": lambda: rmsprop(0.1),
    "values": lambda: clip_values(0.5),
    "norm": lambda: clip_norm(0.5),
    "decay": lambda: decay_weights(0.1, 0.1),
    "nearest": lambda: round_to_resolution("nearest"),
    "stochastic": lambda: round_to_resolution("stochastic"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Stepped(IdealNetwork):
    """An ideal network whose write path has a smallest step a layer."""

    write_resolution: tuple[float, ...] = (1 / 8, 1 / 32)


def network(weights=0.0, members=()):
    """Two layers, 3-2-2, of weights that are all alike."""
    shapes = [(3, 2), (2, 2)]
    return Stepped(
        MLP(
            tuple(np.full((*members, *shape), weights) for shape in shapes),
            tuple(np.zeros((*members, shape[1])) for shape in shapes),
            "relu",
        ),
        "mse",
    )


def random_updates(*stream, members=()):
    rng = child(0, "updates", *stream)
    return tuple(LayerUpdate(Dense(rng.normal(size=(*members, *shape))), rng.normal(size=(*members, shape[1])))
                 for shape in [(3, 2), (2, 2)])  # fmt: skip


def entries(updates):
    """All that is changed, in one vector."""
    return np.concatenate([part.ravel() for u in updates for part in (dense(u.weights), u.biases)])


def scalar(value):
    """The update of one weight, with a bias that is treated alike."""
    return (LayerUpdate(Dense(np.array([[value]])), np.array([value])),)


def descend(transforms, gradient, start, steps):
    """The weight and the bias, both a scalar, after each step down `gradient`: (steps, 2)."""
    transform = in_order(*transforms)
    net = IdealNetwork(MLP((np.array([[start]]),), (np.array([start]),), "relu"), "mse")
    state, path = transform.init(net), []
    for _ in range(steps):
        weight, bias = net.mlp.weights[0][0, 0], net.mlp.biases[0][0]
        estimate = (LayerUpdate(Dense(np.array([[gradient(weight)]])), np.array([gradient(bias)])),)
        updates, state = transform.apply(estimate, state, net, UNUSED)
        net = net.write(updates, UNUSED)
        path.append([net.mlp.weights[0][0, 0], net.mlp.biases[0][0]])
    return np.array(path)


def both(expected):
    return np.stack([expected, expected], axis=1)


# ---- descent


def test_gradient_descent_on_a_parabola_decays_geometrically():
    path = descend([scale_by_learning_rate(0.1)], lambda w: 3.0 * w, start=2.0, steps=20)
    np.testing.assert_allclose(path, both(2.0 * (1 - 0.1 * 3.0) ** np.arange(1, 21)))


def test_the_velocity_of_a_heavy_ball_on_a_slope_is_a_geometric_series():
    path = descend([momentum(0.8), scale_by_learning_rate(0.1)], lambda w: 2.0, start=0.0, steps=20)
    velocity = np.diff(path, axis=0, prepend=0.0)
    np.testing.assert_allclose(velocity, both(-0.1 * 2.0 * (1 - 0.8 ** np.arange(1, 21)) / (1 - 0.8)))


def test_a_heavy_ball_on_a_parabola_obeys_its_second_order_recurrence():
    # w[n+1] = w[n] - learning_rate w[n] + momentum (w[n] - w[n-1])
    path = descend([momentum(0.8), scale_by_learning_rate(0.1)], lambda w: w, start=1.0, steps=20)
    w = np.concatenate([[[1.0, 1.0], [1.0, 1.0]], path])
    np.testing.assert_allclose(w[2:], w[1:-1] - 0.1 * w[1:-1] + 0.8 * (w[1:-1] - w[:-2]), atol=1e-14)


@pytest.mark.parametrize("slope", [1e-3, -50.0])
def test_adam_on_any_slope_moves_by_the_learning_rate_a_step(slope):
    path = descend([adam(0.01)], lambda w: slope, start=0.0, steps=20)
    np.testing.assert_allclose(path, both(-0.01 * np.sign(slope) * np.arange(1, 21)), rtol=1.1e-5)  # epsilon / 1e-3


def test_adam_on_a_parabola_follows_the_published_recurrence():
    theta, m, v, expected = 1.0, 0.0, 0.0, []
    for t in range(1, 51):
        g = theta
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        theta -= 0.05 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(theta)
    np.testing.assert_allclose(descend([adam(0.05)], lambda w: w, start=1.0, steps=50), both(expected), rtol=1e-10)


def test_rmsprop_on_a_parabola_follows_the_published_recurrence():
    theta, s, expected = 1.0, 0.0, []
    for _ in range(50):
        s = 0.9 * s + 0.1 * theta**2
        theta -= 0.05 * theta / (math.sqrt(s) + 1e-8)
        expected.append(theta)
    np.testing.assert_allclose(descend([rmsprop(0.05)], lambda w: w, start=1.0, steps=50), both(expected), rtol=1e-10)


def test_rmsprop_on_a_slope_starts_too_long_by_a_known_factor_and_comes_to_the_learning_rate():
    # the mean square starts at zero and is not corrected: s = g^2 (1 - 0.9^t)
    steps = np.diff(descend([rmsprop(0.01)], lambda w: -7.0, start=0.0, steps=200), axis=0, prepend=0.0)
    np.testing.assert_allclose(steps, both(0.01 / np.sqrt(1 - 0.9 ** np.arange(1, 201))), rtol=1e-8)
    assert steps[-1, 0] == pytest.approx(0.01)


@pytest.mark.parametrize("optimizer", [scale_by_learning_rate, adam, rmsprop])
def test_a_schedule_gives_each_step_the_rate_of_its_number(optimizer):
    scheduled, steady = optimizer(lambda step: 0.1 * 2.0**-step), optimizer(0.1)
    states = [scheduled.init(network()), steady.init(network())]
    for step in range(5):
        estimate = random_updates("schedule", step)
        followed, states[0] = scheduled.apply(estimate, states[0], network(), UNUSED)
        constant, states[1] = steady.apply(estimate, states[1], network(), UNUSED)
        np.testing.assert_allclose(entries(followed), 2.0**-step * entries(constant), rtol=1e-12)


# ---- clipping


def test_values_beyond_the_limit_become_the_limit_and_others_stay():
    transform, estimate = clip_values(0.5), random_updates("values")
    given, found = entries(estimate), entries(transform.apply(estimate, None, network(), UNUSED)[0])
    assert (np.abs(given) > 0.5).any()
    assert (np.abs(given) < 0.5).any()
    np.testing.assert_array_equal(found, np.where(np.abs(given) > 0.5, 0.5 * np.sign(given), given))


@pytest.mark.parametrize("limit", [0.1, 1e3])
def test_a_change_that_is_too_long_keeps_its_direction_in_all_layers_and_a_short_one_its_bits(limit):
    estimate = random_updates("norm")
    given, found = entries(estimate), entries(clip_norm(limit).apply(estimate, None, network(), UNUSED)[0])
    length = np.linalg.norm(given)
    if limit > length:
        np.testing.assert_array_equal(found, given)
    else:
        assert np.linalg.norm(found) == pytest.approx(limit)
        np.testing.assert_allclose(found, limit / length * given)


def test_a_change_of_zero_stays_zero_when_its_norm_is_clipped():
    nothing = tuple(LayerUpdate(Dense(np.zeros_like(u.weights.delta)), 0 * u.biases) for u in random_updates())
    assert not entries(clip_norm(1.0).apply(nothing, None, network(), UNUSED)[0]).any()


# ---- decay


def test_weights_that_nothing_pulls_at_decay_geometrically_and_biases_do_not():
    path = descend([scale_by_learning_rate(0.5), decay_weights(0.1, 0.5)], lambda w: 0.0, start=2.0, steps=10)
    np.testing.assert_allclose(path[:, 0], 2.0 * (1 - 0.05) ** np.arange(1, 11))
    np.testing.assert_array_equal(path[:, 1], 2.0)


def test_behind_gradient_descent_decay_is_an_l2_penalty():
    decayed = descend([scale_by_learning_rate(0.1), decay_weights(0.3, 0.1)], lambda w: w - 1.0, start=2.0, steps=20)
    penalised = descend([scale_by_learning_rate(0.1)], lambda w: w - 1.0 + 0.3 * w, start=2.0, steps=20)
    np.testing.assert_allclose(decayed[:, 0], penalised[:, 0])


def test_behind_adam_decay_does_not_pass_through_the_running_means():
    # Loshchilov & Hutter 2019, algorithm 2: theta <- theta - eta (m / (sqrt(v) + eps) + lambda theta)
    theta, m, v, expected = 1.0, 0.0, 0.0, []
    for t in range(1, 31):
        m, v = 0.9 * m + 0.1 * theta, 0.999 * v + 0.001 * theta**2
        theta -= 0.05 * ((m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8) + 0.2 * theta)
        expected.append(theta)
    path = descend([adam(0.05), decay_weights(0.2, 0.05)], lambda w: w, start=1.0, steps=30)
    np.testing.assert_allclose(path[:, 0], expected, rtol=1e-10)


def test_decay_without_the_written_weights_is_refused_at_once():
    with pytest.raises(CapabilityError, match=r"weight decay needs the weights as last written, which this network"):
        decay_weights(0.1, 0.1).init(object())


# ---- rounding


def test_rounding_to_the_nearest_step_of_each_layer_loses_what_is_less_than_half_a_step():
    given = (
        LayerUpdate(Dense(np.array([[0.06, 0.07], [-0.19, 0.2], [0.0, -0.06]])), np.array([0.01, 0.02])),
        LayerUpdate(Dense(np.array([[0.015, 0.016], [-0.05, 1.0]])), np.zeros(2)),
    )
    (first, second), _ = round_to_resolution("nearest").apply(given, None, network(), UNUSED)
    np.testing.assert_array_equal(first.weights.delta * 8, [[0, 1], [-2, 2], [0, 0]])
    np.testing.assert_array_equal(second.weights.delta * 32, [[0, 1], [-2, 32]])
    np.testing.assert_array_equal(first.biases, [0.01, 0.02])


def rounded(value, rounding, draws):
    given = tuple(LayerUpdate(Dense(np.full(shape, value)), np.zeros(shape[-1])) for shape in [(draws, 1), (draws, 1)])
    (first, _), _ = round_to_resolution(rounding).apply(given, None, network(), child(0, "rounding"))
    return first.weights.delta


@pytest.mark.parametrize("value", [0.03, -0.03, 0.2, 0.25])
def test_stochastic_rounding_goes_to_the_two_nearest_steps_and_is_unbiased(value):
    draws = 100_000
    found, step = rounded(value, "stochastic", draws), 1 / 8
    low = step * math.floor(value / step)
    assert set(np.unique(found)) <= {low, low + step}
    up = (value - low) / step
    five_sigma = 5 * step * math.sqrt(up * (1 - up) / draws)
    assert abs(found.mean() - value) <= five_sigma + 1e-12
    if up:
        assert abs(rounded(value, "nearest", 1).item() - value) > five_sigma  # the nearest step is biased


def test_stochastic_rounding_draws_layers_and_calls_apart():
    values = tuple(LayerUpdate(Dense(np.full((64, 1), step / 2)), np.zeros(1)) for step in (1 / 8, 1 / 32))
    rng, transform = child(0, "apart"), round_to_resolution("stochastic")
    (first, second), _ = transform.apply(values, None, network(), rng)
    (again, _), _ = transform.apply(values, None, network(), rng)
    assert (first.weights.delta * 8 != second.weights.delta * 32).any()
    assert (first.weights.delta != again.weights.delta).any()


def test_a_network_of_continuous_weights_has_no_resolution_to_round_to():
    ideal = IdealNetwork(network().mlp, "mse")
    with pytest.raises(CapabilityError, match="rounding to the write resolution needs a smallest step of its write"):
        round_to_resolution("nearest").init(ideal)


# ---- all of them


@pytest.mark.parametrize("name", EVERY)
def test_the_factors_of_a_change_are_transformed_as_the_change_itself(name):
    rng = child(0, "factors")
    factors = [Outer(rng.normal(size=(4, rows)), rng.normal(size=(4, cols))) for rows, cols in [(3, 2), (2, 2)]]
    as_factors = tuple(LayerUpdate(one, np.ones(2)) for one in factors)
    as_change = tuple(LayerUpdate(Dense(dense(one)), np.ones(2)) for one in factors)
    transform, found = EVERY[name](), []
    for given in (as_factors, as_change):
        updates, _ = transform.apply(given, transform.init(network()), network(), child(0, "draws"))
        found.append(updates)
    np.testing.assert_allclose(entries(found[0]), entries(found[1]), atol=1e-15)
    kept = all(isinstance(u.weights, Outer) for u in found[0])
    assert kept == (name in {"learning rate", "norm"})


@pytest.mark.parametrize("name", [name for name in EVERY if name != "stochastic"])
def test_a_member_of_an_ensemble_is_transformed_as_it_is_alone(name):
    transform, estimates = EVERY[name](), [random_updates("ensemble", step, members=(5,)) for step in range(3)]
    together, alone = transform.init(network(0.3, (5,))), transform.init(network(0.3))
    for estimate in estimates:
        third = tuple(LayerUpdate(Dense(u.weights.delta[2]), u.biases[2]) for u in estimate)
        of_all, together = transform.apply(estimate, together, network(0.3, (5,)), UNUSED)
        of_one, alone = transform.apply(third, alone, network(0.3), UNUSED)
        for member, lone in zip(of_all, of_one, strict=True):
            np.testing.assert_allclose(dense(member.weights)[2], dense(lone.weights), rtol=1e-14)
            np.testing.assert_allclose(member.biases[2], lone.biases, rtol=1e-14)


@pytest.mark.parametrize("name", EVERY)
def test_a_transform_leaves_the_state_and_the_estimate_it_was_given_as_they_were(name):
    transform = EVERY[name]()
    _, state = transform.apply(random_updates("first"), transform.init(network()), network(0.3), child(0, "draws"))
    estimate = random_updates("second")
    before = entries(estimate)
    first, again = (transform.apply(estimate, state, network(0.3), child(0, "draws"))[0] for _ in range(2))
    np.testing.assert_array_equal(entries(first), entries(again))
    np.testing.assert_array_equal(entries(estimate), before)


def test_a_chain_applies_its_transforms_in_order_and_keeps_their_states():
    def step(network, state, batch, rng):
        return scalar(state + 1.0), state + 1, Info(Counts(forward_passes=1), 0)

    counting = LearningRule(lambda network, rng: 0, step)
    rule = chain(counting, clip_values(2.0), momentum(0.5), scale_by_learning_rate(0.1))
    net = IdealNetwork(MLP((np.zeros((1, 1)),), (np.zeros(1),), "relu"), "mse")
    rng, state, found = child(0, "chain"), rule.init(net, UNUSED), []
    for _ in range(4):
        updates, state, info = rule.step(net, state, None, rng)
        found.append(updates[0].biases.item())
        assert info.counts.forward_passes == 1
    velocity = [1.0, 0.5 + 2.0, 1.25 + 2.0, 1.625 + 2.0]  # of 1, 2, then 3 and 4, which are clipped to 2
    np.testing.assert_allclose(found, -0.1 * np.array(velocity))
