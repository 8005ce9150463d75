"""MNIST on the ideal chip, Adam, batches of 100: how networks learn it, and how rates were tuned.

`IMCSIM_DATA=... python tests/rules/rule_mnist.py` prints the validation accuracy of the small networks at every rate of
GRID.
"""

from typing import NamedTuple

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule

GRID = (3e-4, 1e-3, 3e-3, 1e-2)
TUNING_SEED = 10  # one that the tests do not use


class Case(NamedTuple):
    """A rule that learns a network with one hidden layer.

    With 100 units DFA has the rate of GRID that is best on the validation split; the others are the 1e-3 that Adam was
    published with.
    """

    rule: str
    hidden: int
    activation: str
    rate: float
    epochs: int

    def __str__(self):
        return f"{self.rule}-784-{self.hidden}-10-{self.activation}"


SMALL = (
    Case("on_chip_backprop", 100, "relu", 1e-3, epochs=10),
    Case("dfa", 100, "relu", 3e-3, epochs=10),
    Case("dfa", 100, "tanh", 3e-3, epochs=10),
)
WIDE = (Case("on_chip_backprop", 800, "tanh", 1e-3, epochs=5), Case("dfa", 800, "tanh", 1e-3, epochs=5))


def accuracy(case, data, seed):
    """On the test part of `data`, after all epochs."""
    spec = NetworkSpec(hidden=(case.hidden,), activation=case.activation)
    network = IdealNetwork(initial_mlp(spec, 784, 10, child(seed, "weights")), "cross_entropy")
    descent = DescentSpec(epochs=case.epochs, batch_size=100, learning_rate=case.rate)
    return learn(network, learning_rule(case.rule), data, descent, child(seed, "run")).accuracy_test


if __name__ == "__main__":
    validation = load("mnist").for_tuning
    print("network", *GRID)
    for case in SMALL:
        found = [accuracy(case._replace(rate=rate), validation, TUNING_SEED) for rate in GRID]
        print(case, *(f"{share:.4f}" for share in found), flush=True)
