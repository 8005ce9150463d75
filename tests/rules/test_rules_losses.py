"""Every rule with every loss and every activation: each takes the slope of the one and the error of the other."""

import itertools

import numpy as np
import pytest
from rule_cases import batch_of, changes, one_step

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.learning import learn
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import NetworkSpec, gradients, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import FEEDBACK, RULES, learning_rule

EVERY_PAIR = pytest.mark.parametrize(("loss", "activation"), list(itertools.product(LOSSES, ACTIVATIONS)))

# rules whose single perturbations tell too little of a gradient for so few steps: so many in a step
ENOUGH = {
    "mgd": {"tau_x": 30, "tau_theta": 30},
    "mgd_analog": {"tau_x": 60, "tau_theta": 10.0},
    "spsa": {"draws": 30},
    "wp": {"draws": 30},
}


def network_of(loss, activation, shape, seed=0):
    inputs, *hidden, outputs = shape
    spec = NetworkSpec(hidden=tuple(hidden), activation=activation)
    return IdealNetwork(initial_mlp(spec, inputs, outputs, child(seed, "weights")), loss)


@EVERY_PAIR
@pytest.mark.parametrize("name", [name for name, entry in FEEDBACK.items() if entry.unbiased])
def test_a_step_of_backprop_is_the_gradient_of_the_loss(name, loss, activation):
    network = network_of(loss, activation, (6, 8, 5, 4))
    batch = batch_of(network)
    updates, _, _ = one_step(learning_rule(name), network, batch, child(0, "step"))
    dW, db = gradients(network.mlp, *batch, LOSSES[loss])
    for found, expected in zip(changes(updates), [*dW, *db], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@EVERY_PAIR
@pytest.mark.parametrize("name", RULES)
def test_a_rule_learns_iris(name, loss, activation):
    data, network = load("iris"), network_of(loss, activation, (4, 16, 3))
    before = LOSSES[loss].value(network.forward(data.x_train, child(0, "unused")).z[-1], data.y_train).mean()
    spec = DescentSpec(epochs=15, batch_size=10, learning_rate=0.02)
    learned = learn(network, learning_rule(name, ENOUGH.get(name, {})), data, spec, child(0, "run"))
    assert learned.diverged_at is None
    # what perturbs at random has learnt less by then
    assert learned.history.loss[-1] < (0.6 if name in FEEDBACK else 0.8) * before
    assert learned.accuracy_test > 0.6, "a third would be chance"
    moved = np.abs(learned.network.mlp.weights[0] - network.mlp.weights[0]).mean()
    assert moved > 0.05, "the hidden layer learns, too"
