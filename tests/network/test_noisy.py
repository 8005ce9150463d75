"""Hardware-aware training: the noise that is injected, the steps of quantisation, and the straight-through gradient."""

import dataclasses
import math

import numpy as np
import pytest

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.errors import CapabilityError, SpecError
from imcsim.learning import learn
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.noisy import InjectionSpec, NoisyNetwork, quantised, quantised_inputs
from imcsim.rng import child
from imcsim.rules.backprop import hardware_in_the_loop
from imcsim.rules.hardware_aware import hardware_aware
from imcsim.rules.rule import Batch
from imcsim.updates import dense


def noisy(mlp, **fields):
    return NoisyNetwork(mlp, "cross_entropy", injected=InjectionSpec(**fields))


def perceptron(activation="tanh", hidden=(7,), *stream):
    start = initial_mlp(NetworkSpec(hidden=hidden, activation=activation), 5, 3, child(0, "perceptron", *stream))
    rng = child(0, "biases", *stream)
    return dataclasses.replace(start, biases=tuple(rng.normal(size=b.shape) for b in start.biases))


def samples(n=20):
    rng = child(0, "samples")
    return Batch(rng.normal(size=(n, 5)), rng.integers(0, 3, size=n))


# ---- noise


def weight_noise(eta, shape=(300, 200), largest=4.0):
    """The errors of the weights in one forward pass: unit inputs tell the weights that it went through."""
    weights = child(0, "weights").uniform(-1, 1, size=shape)
    weights[3, 5] = -largest
    network = noisy(MLP((weights,), (np.zeros(shape[1]),), "relu"), weight_noise_rel=eta)
    return network.forward(np.eye(shape[0]), child(0, "read")).z[0] - weights


def test_weight_noise_is_gaussian_relative_to_the_largest_weight_of_the_layer():
    errors, sigma = weight_noise(0.1).ravel(), 0.1 * 4.0
    n = errors.size
    assert abs(errors.mean()) < 5 * sigma / math.sqrt(n)
    assert abs(errors.var() - sigma**2) < 5 * sigma**2 * math.sqrt(2 / n)
    assert abs(np.mean(errors**4) - 3 * sigma**4) < 5 * sigma**4 * math.sqrt(96 / n)
    # negative control: a tenth more is told apart
    assert abs(weight_noise(0.11).var() - sigma**2) > 5 * sigma**2 * math.sqrt(2 / n)


def test_output_noise_is_gaussian_relative_to_the_largest_sum_of_the_pass():
    mlp = MLP((np.array([[1.0, -0.5]]),), (np.array([0.0, 0.0]),), "relu")
    x = np.linspace(-2, 2, 50_001)[:, None]
    clean = x @ mlp.weights[0]

    def spread(sigma):
        return noisy(mlp, output_noise_rel=sigma).forward(x, child(0, "read")).z[0] - clean

    errors, sigma = spread(0.05).ravel(), 0.05 * 2.0
    assert abs(errors.mean()) < 5 * sigma / math.sqrt(errors.size)
    assert abs(errors.var() - sigma**2) < 5 * sigma**2 * math.sqrt(2 / errors.size)
    assert abs(spread(0.055).var() - sigma**2) > 5 * sigma**2 * math.sqrt(2 / errors.size)


def test_absolute_output_noise_has_its_standard_deviation_whatever_the_sums():
    mlp = MLP((np.array([[1.0, -50.0]]),), (np.array([0.0, 3.0]),), "relu")
    x = np.linspace(-2, 2, 50_001)[:, None]
    clean = x @ mlp.weights[0] + mlp.biases[0]
    errors = noisy(mlp, output_noise=0.1).forward(x, child(0, "read")).z[0] - clean
    for of_column in errors.T:
        n = of_column.size
        assert abs(of_column.mean()) < 5 * 0.1 / math.sqrt(n)
        assert abs(of_column.var() - 0.1**2) < 5 * 0.1**2 * math.sqrt(2 / n)
        # negative control: a tenth more is told apart
        assert abs(of_column.var() - 0.11**2) > 5 * 0.11**2 * math.sqrt(2 / n)
    assert abs(np.mean(errors[:, 0] * errors[:, 1])) < 5 * 0.1**2 / math.sqrt(len(x)), "each sum by itself"


def test_weights_are_drawn_once_a_pass_and_anew_in_the_next():
    network, rng = noisy(perceptron(hidden=()), weight_noise_rel=0.2), child(0, "reads")
    x = np.tile(samples(1).x, (4, 1))
    first, second = (network.forward(x, rng).z[0] for _ in range(2))
    np.testing.assert_allclose(first, np.tile(first[:1], (4, 1)), rtol=1e-12)
    assert (np.abs(first - second) > 1e-6).all()


def test_layers_and_kinds_of_noise_are_drawn_apart():
    one = MLP((np.eye(3), np.eye(3)), (np.zeros(3), np.zeros(3)), "relu")
    reads = noisy(one, weight_noise_rel=0.1).forward(np.eye(3), child(0, "apart"))
    of_first, of_second = reads.z[0] - np.eye(3), reads.z[1] - reads.a_in[1]
    assert np.abs(of_first - of_second).min() > 1e-6
    relative, absolute = (
        noisy(one, **fields).forward(np.eye(3), child(0, "apart")).z[0] - np.eye(3)
        for fields in ({"output_noise_rel": 0.1}, {"output_noise": 0.1})
    )
    assert np.abs(of_first - relative).min() > 1e-6
    assert np.abs(relative - absolute).min() > 1e-6


# ---- quantisation


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights_lie_on_symmetric_codes_the_largest_of_them_at_the_end(bits):
    values = child(0, "values").normal(size=(40, 30))
    top = 2 ** (bits - 1) - 1
    codes = quantised(values, bits) * top / np.abs(values).max()
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
    assert np.abs(codes).max() == pytest.approx(top)
    step = np.abs(values).max() / top
    assert np.abs(quantised(values, bits) - values).max() <= step / 2 + 1e-12


def test_inputs_have_all_levels_from_zero_up_and_symmetric_ones_where_some_are_negative():
    ramp = np.linspace(0, 1, 1001)[:, None]
    np.testing.assert_allclose(np.unique(quantised_inputs(ramp, 2)), np.arange(4) / 3)
    np.testing.assert_allclose(np.unique(quantised_inputs(2 * ramp - 1, 3)), np.arange(-3, 4) / 3, atol=1e-15)


def test_values_that_are_all_zero_stay_zero():
    assert not quantised(np.zeros((3, 2)), 4).any()
    assert not quantised_inputs(np.zeros((3, 2)), 4).any()


def test_each_member_of_an_ensemble_has_its_own_step():
    values = child(0, "members").normal(size=(3, 6, 4)) * np.array([1.0, 10.0, 0.1])[:, None, None]
    for member, alone in zip(quantised(values, 3), values, strict=True):
        np.testing.assert_array_equal(member, quantised(alone, 3))


def test_reads_show_the_quantised_inputs_of_every_layer():
    network, batch = noisy(perceptron("relu"), input_bits=4, weight_bits=5), samples()
    reads = network.forward(batch.x, child(0))
    weights = [quantised(w, 5) for w in network.mlp.weights]
    np.testing.assert_array_equal(reads.a_in[0], quantised_inputs(batch.x, 4))
    np.testing.assert_allclose(reads.z[0], reads.a_in[0] @ weights[0] + network.mlp.biases[0])
    np.testing.assert_array_equal(reads.a_in[1], quantised_inputs(np.maximum(reads.z[0], 0), 4))
    np.testing.assert_allclose(reads.z[1], reads.a_in[1] @ weights[1] + network.mlp.biases[1])


# ---- the gradient


def estimate(network, rule, batch, *stream):
    updates, _, info = rule.step(network, rule.init(network, child(0)), batch, child(0, "step", *stream))
    return updates, info


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_without_injection_it_is_plain_backprop_to_the_bit(activation):
    mlp, batch = perceptron(activation, (7, 6)), samples()
    injected, _ = estimate(noisy(mlp), hardware_aware(), batch)
    plain, _ = estimate(IdealNetwork(mlp, "cross_entropy"), hardware_in_the_loop(), batch)
    for one, other in zip(injected, plain, strict=True):
        np.testing.assert_array_equal(dense(one.weights), dense(other.weights))
        np.testing.assert_array_equal(one.biases, other.biases)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_is_the_clean_way_back_from_the_noisy_forward_pass(activation):
    mlp, batch = perceptron(activation), samples()
    network = noisy(mlp, weight_noise_rel=0.1, output_noise_rel=0.05, weight_bits=4, input_bits=3)
    seen = []

    class Seeing(NoisyNetwork):
        def forward(self, x, rng, **options):
            seen.append(super().forward(x, rng, **options))
            return seen[-1]

    (first, second), _ = estimate(
        Seeing(mlp, "cross_entropy", injected=network.injected), hardware_aware(), batch, activation
    )
    (reads,) = seen
    softmax = np.exp(reads.z[1]) / np.exp(reads.z[1]).sum(axis=1, keepdims=True)
    delta_2 = (softmax - np.eye(3)[batch.y]) / len(batch.x)
    slope = {
        "relu": (reads.z[0] > 0).astype(float),
        "tanh": 1 / np.cosh(reads.z[0]) ** 2,
        "sigmoid": np.exp(-reads.z[0]) / (1 + np.exp(-reads.z[0])) ** 2,
    }[activation]
    delta_1 = (delta_2 @ mlp.weights[1].T) * slope  # through the float weights, clean
    np.testing.assert_allclose(dense(second.weights), reads.a_in[1].T @ delta_2, rtol=1e-10)
    np.testing.assert_allclose(dense(first.weights), reads.a_in[0].T @ delta_1, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(first.biases, delta_1.sum(axis=0), rtol=1e-9, atol=1e-14)
    # negative control: the clean pass has another gradient
    plain, _ = estimate(IdealNetwork(mlp, "cross_entropy"), hardware_in_the_loop(), batch)
    assert np.abs(dense(first.weights) - dense(plain[0].weights)).max() > 1e-3


def test_what_is_written_are_the_float_weights():
    network, batch = noisy(perceptron(), weight_noise_rel=0.3, weight_bits=2), samples()
    updates, _ = estimate(network, hardware_aware(), batch)
    after = network.write(updates, child(0))
    assert isinstance(after, NoisyNetwork)
    assert after.injected == network.injected
    for new, old, update in zip(after.written, network.written, updates, strict=True):
        np.testing.assert_array_equal(new, old + dense(update.weights))


def test_a_network_that_injects_nothing_of_a_chip_is_refused():
    with pytest.raises(CapabilityError, match="hardware-aware training needs a NoisyNetwork"):
        hardware_aware().init(IdealNetwork(perceptron(), "mse"), child(0))


def test_a_network_trained_under_weight_noise_bears_it_better():
    """Digits, ReLU: what it is for. Trained with eta = 0.15 and without, both read with it (Joshi et al. 2020)."""
    data, reading = load("digits"), InjectionSpec(weight_noise_rel=0.15)
    start = initial_mlp(NetworkSpec(hidden=(32,)), 64, 10, child(0, "digits"))
    spec, accuracies = DescentSpec(epochs=30, batch_size=50, learning_rate=0.005), {}
    for eta in (0.0, 0.15):
        mlp = learn(noisy(start, weight_noise_rel=eta), hardware_aware(), data, spec, child(0, "order")).network.mlp
        network = NoisyNetwork(mlp, "cross_entropy", injected=reading)
        accuracies[eta] = np.array(
            [
                np.mean(network.forward(data.x_test, child(0, "die", k)).z[-1].argmax(axis=1) == data.y_test)
                for k in range(40)
            ]
        )
    gained = accuracies[0.15] - accuracies[0.0]
    assert gained.mean() > 5 * gained.std(ddof=1) / math.sqrt(len(gained))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 1}, "weight_bits = 1: must be an integer from 2 to 16"),
        ({"input_bits": 0}, "input_bits = 0: must be an integer from 2 to 16"),
        ({"weight_noise_rel": -0.1}, "weight_noise_rel = -0.1: must be a finite number from 0 to 10"),
    ],
)
def test_an_injection_that_cannot_be_is_not_born(fields, message):
    with pytest.raises(SpecError, match=message):
        InjectionSpec(**fields)
