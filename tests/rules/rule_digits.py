"""Digits, 64-64-10 tanh, 40 epochs, batch 50, Adam: how the rules and their twin are trained, and how rates were tuned.

`python tests/rules/rule_digits.py` prints the validation accuracy of every rule at every rate of the grid.
"""

import itertools

import numpy as np
from rule_twin import Twin

from imcsim.datasets import load
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule
from imcsim.rules.rule import Batch, Transform, chain
from imcsim.updates import Dense, dense

BATCH, EPOCHS = 50, 40
GRID = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def initial_weights(seed):
    return initial_mlp(NetworkSpec(hidden=(64,), activation="tanh"), 64, 10, child(seed, "weights")).weights


def batches(data, seed, epochs):
    rng = child(seed, "order")
    for _ in range(epochs):
        order = rng.permutation(len(data.y_train))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield data.x_train[rows], data.y_train[rows]


def ideal_network(weights):
    biases = tuple(np.zeros((*w.shape[:-2], w.shape[-1])) for w in weights)
    return IdealNetwork(MLP(tuple(weights), biases, "tanh"), "cross_entropy")


def trained(rule, data, seeds, rate, epochs=EPOCHS):
    """The networks of all seeds after training, as one ensemble."""
    network = ideal_network([np.stack(layer) for layer in zip(*map(initial_weights, seeds), strict=True)])
    rule = chain(rule, adam(rate))
    state = rule.init(network, [child(seed, "rule") for seed in seeds])
    streams = [child(seed, "steps") for seed in seeds]
    for every in zip(*(batches(data, seed, epochs) for seed in seeds), strict=True):
        x, y = (np.stack(parts) for parts in zip(*every, strict=True))
        updates, state, _ = rule.step(network, state, Batch(x, y), streams)
        network = network.write(updates, streams)
    return network


def accuracies(network, x, y):
    z = network.forward(x, child(0, "unused")).z[-1]
    return (z.argmax(axis=-1) == y).mean(axis=-1)


def of_rule(name, data, seeds, rate, epochs=EPOCHS):
    """The test accuracies of a rule, one a seed."""
    return accuracies(trained(learning_rule(name), data, seeds, rate, epochs), data.x_test, data.y_test)


def of_twin(name, data, seeds, rate, epochs=EPOCHS, *, same_feedback):
    """Those of the twin: the same split, weights and batches; fixed feedback the same, too, or such as it draws itself.

    What a rule draws at every step, the twin draws for itself in any case.
    """
    found = []
    for seed in seeds:
        weights = initial_weights(seed)
        feedback = initial_feedback(name, weights, seed) if same_feedback else None
        twin = Twin(name, weights, np.random.default_rng(seed), feedback).train(batches(data, seed, epochs), rate)
        found.append(twin.accuracy(data.x_test, data.y_test))
    return np.array(found)


def initial_feedback(name, weights, seed):
    """The matrices that the rule of this seed begins with; None where it has none."""
    state = learning_rule(name).init(ideal_network(weights), child(seed, "rule"))
    return None if state is None else [getattr(one, "matrix", one) for one in state]


def adam(rate):
    """Adam behind a rule, for one network or an ensemble."""

    def init(network):
        return 0, [0.0] * 2 * len(network.shapes), [0.0] * 2 * len(network.shapes)

    def apply(updates, state, network, rng):
        t, mean, square = state[0] + 1, [], []
        moves = []
        gradients = [*(dense(u.weights) for u in updates), *(u.biases for u in updates)]
        for m, s, g in zip(state[1], state[2], gradients, strict=True):
            mean.append(0.9 * m + 0.1 * g)
            square.append(0.999 * s + 0.001 * g * g)
            moves.append(-rate * mean[-1] / (1 - 0.9**t) / (np.sqrt(square[-1] / (1 - 0.999**t)) + 1e-8))
        layers = len(updates)
        changes = zip(moves[:layers], moves[layers:], strict=True)
        return tuple(LayerUpdate(Dense(w), b) for w, b in changes), (t, mean, square)

    return Transform(init, apply)


if __name__ == "__main__":
    validation = load("digits").for_tuning
    print("rule", *GRID)
    for name, rate in itertools.product(RULES, GRID):
        mean = of_rule(name, validation, range(10, 13), rate).mean()  # seeds that the test does not use
        print(*([name] if rate == GRID[0] else []), f"{mean:.4f}", end="\n" if rate == GRID[-1] else " ", flush=True)
