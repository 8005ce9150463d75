"""Read noise: what trusts the noise that it added loses to it, what measures takes it for its own perturbation."""

import numpy as np
import pytest
from rule_digits import EPOCHS, accuracies, trained

from imcsim.datasets import load
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.rng import child
from imcsim.rules.library import learning_rule

SHALLOW, DEEP = (32,), (32,) * 4


def noisy_networks(hidden, noise, seeds):
    """Tanh networks, a member a seed, whose every sum is read with noise of this standard deviation."""
    spec = NetworkSpec(hidden=hidden, activation="tanh")
    starts = [initial_mlp(spec, 64, 10, child(seed, "weights")) for seed in seeds]
    weights = tuple(np.stack(layer) for layer in zip(*(start.weights for start in starts), strict=True))
    biases = tuple(np.stack(layer) for layer in zip(*(start.biases for start in starts), strict=True))
    mlp = MLP(weights, biases, "tanh")
    return NoisyNetwork(mlp, "cross_entropy", injected=InjectionSpec(output_noise=noise))


def learned(name, hidden, noise, seeds, epochs=EPOCHS, rate=3e-3, sigma=1e-3):
    """Read with the same noise as they learned with."""
    data, start = load("digits"), noisy_networks(hidden, noise, seeds)
    rule = learning_rule(name, {"sigma": sigma})
    return accuracies(trained(rule, data, seeds, rate, epochs, start), data.x_test, data.y_test)


def test_np_loses_in_a_few_epochs_what_anp_learns_as_reads_become_noisy():
    quiet, measured, trusting = (
        learned(name, SHALLOW, noise, [0], epochs=10, rate=1e-2).item()
        for name, noise in (("np", 0.0), ("anp", 0.1), ("np", 0.1))
    )
    assert quiet > 0.8
    assert measured > 0.8
    assert trusting < 0.5


# learning_rules.md, section 8: 64-32-10 at 0.1; 64-32x4-10 at 0.03 and 0.3
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hidden", "noise", "rate", "least", "most", "reference"),
    [
        ("anp", SHALLOW, 0.1, 3e-3, 0.92, 1.0, "above .92"),
        ("np", SHALLOW, 0.1, 3e-3, 0.0, 0.5, "below .5"),
        ("danp", DEEP, 0.03, 1e-2, 0.92, 1.0, "about .93"),
        ("danp", DEEP, 0.3, 1e-2, 0.87, 0.94, "about .89"),
    ],
)
def test_accuracy_under_additive_read_noise(name, hidden, noise, rate, least, most, reference, capsys):
    found = learned(name, hidden, noise, range(3), rate=rate)
    with capsys.disabled():
        layers = "-".join(map(str, hidden))
        print(f"\n{name} 64-{layers}-10, noise {noise:g}: {found.mean():.4f}, reference {reference}")
    assert least <= found.mean() <= most
