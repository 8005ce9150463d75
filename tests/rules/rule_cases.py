"""What tests of rules share: a small network, a batch of it, and what a rule sends down through one layer."""

import dataclasses

import numpy as np

from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.rng import child
from imcsim.rules.library import RULES
from imcsim.rules.rule import Batch
from imcsim.updates import dense

SHAPES = ((6, 8), (8, 5), (5, 4))
SAMPLES, LAYERS = 10, len(SHAPES)
HIDDEN = 8 + 5  # units of the hidden layers
ABOVE = 8 * 5 + 5 * 4  # weights of the layers above the first
ACTIVATIONS = sum(n_in + n_out for n_in, n_out in SHAPES)
ON_CHIP = [
    name for name, entry in RULES.items() if "feedback_on" in {f.name for f in dataclasses.fields(entry.options)}
]
MEMBERS = 3


def network_of(shapes=SHAPES, seed=0, scale=1.0):
    rng = child(seed, "network")
    weights = tuple(scale * rng.uniform(-1, 1, shape) for shape in shapes)
    return IdealNetwork(MLP(weights, tuple(rng.normal(size=n) for _, n in shapes), "tanh"), "cross_entropy")


def batch_of(network, samples=SAMPLES, seed=0):
    rng = child(seed, "batch")
    return Batch(rng.normal(size=(samples, network.shapes[0][0])), rng.integers(0, network.shapes[-1][1], samples))


def ensemble(networks):
    """The networks as the members of one."""
    layers = range(len(networks[0].shapes))
    weights = tuple(np.stack([one.mlp.weights[layer] for one in networks]) for layer in layers)
    biases = tuple(np.stack([one.mlp.biases[layer] for one in networks]) for layer in layers)
    return IdealNetwork(MLP(weights, biases, networks[0].activation), networks[0].loss_name)


def one_step(rule, network, batch, rng):
    state = rule.init(network, rng)
    return rule.step(network, state, batch, rng)


def changes(updates):
    """The change of the weights of every layer, then of the biases."""
    return [*(dense(update.weights) for update in updates), *(update.biases for update in updates)]


class _UnitErrors(IdealNetwork):
    """A network whose samples have the unit vectors for errors."""

    def loss_gradient(self, reads, target):
        return np.eye(self.shapes[-1][1])


def sent(rule, weights, seed=0):
    """The matrix (outputs, hidden) by which a rule sends errors down through the weights (hidden, outputs) above."""
    hidden, outputs = weights.shape
    mlp = MLP((np.zeros((1, hidden)), weights), (np.zeros(hidden), np.zeros(outputs)), "tanh")
    # tanh has slope one at zero, and sample i has the error of output i alone
    batch = Batch(np.zeros((outputs, 1)), np.arange(outputs))
    updates, _, _ = one_step(rule, _UnitErrors(mlp, "cross_entropy"), batch, child(seed, "sent"))
    return updates[0].weights.delta * outputs


def angle_deg(a, b):
    cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
