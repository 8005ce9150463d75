"""MNIST on the ideal chip, Adam, batches of 100: how networks learn it, and how rates were tuned.

`IMCSIM_DATA=... python tests/rules/rule_mnist.py` prints the validation accuracy of every case at every rate of GRID.
"""

from typing import NamedTuple

from imcsim.datasets import DataSet, load
from imcsim.descent import DescentSpec
from imcsim.learning import Learned, learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import learning_rule

GRID = (3e-4, 1e-3, 3e-3)
TUNING_SEED = 10  # one that the test does not use


class Case(NamedTuple):
    """A rule that learns a network with one hidden layer."""

    rule: str
    hidden: int
    activation: str
    rate: float
    epochs: int = 10


CASES = (
    Case("on_chip_backprop", 100, "relu", 1e-3),
    Case("dfa", 100, "relu", 1e-3),
    Case("dfa", 100, "tanh", 1e-3),
    Case("on_chip_backprop", 800, "tanh", 3e-4),
    Case("dfa", 800, "tanh", 3e-4),
)


def learned(case: Case, data: DataSet, seed: int) -> Learned:
    spec = NetworkSpec(hidden=(case.hidden,), activation=case.activation)
    network = IdealNetwork(initial_mlp(spec, 784, 10, child(seed, "weights")), "cross_entropy")
    descent = DescentSpec(epochs=case.epochs, batch_size=100, learning_rate=case.rate)
    return learn(network, learning_rule(case.rule), data, descent, child(seed, "run"))


if __name__ == "__main__":
    validation = load("mnist").for_tuning
    print("rule", "hidden", "activation", *GRID)
    for case in CASES:
        print(case.rule, case.hidden, case.activation, end="", flush=True)
        for rate in GRID:
            found = learned(case._replace(rate=rate), validation, TUNING_SEED).accuracy_test
            print(f" {found:.4f}", end="", flush=True)
        print()
