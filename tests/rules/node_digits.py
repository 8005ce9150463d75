"""Digits, 64-64-10 tanh, 40 epochs, batch 50, Adam, by node perturbation: the rules, their twin, how rates were tuned.

`python tests/rules/node_digits.py` prints the validation accuracy of every rule at every rate of the grid.
"""

from typing import NamedTuple

import numpy as np
from node_twin import NodeTwin
from rule_digits import EPOCHS, GRID, accuracies, batches, initial_weights, trained

from imcsim.datasets import load
from imcsim.rules.library import learning_rule


class Case(NamedTuple):
    """A rule at the rate that was tuned for it: the smallest of GRID that is within half a point of the best on the
    validation split, the mean of three seeds, which are not those of the tests.

    `reference` is what learning_rules.md, section 3, has of the same task: lightly tuned, three seeds, another split.
    """

    rule: str
    rate: float
    reference: float
    two_noisy: bool = False

    @property
    def options(self):
        return {"passes": "two_noisy"} if self.two_noisy else {}

    def __str__(self):
        return f"{self.rule}-two_noisy" if self.two_noisy else self.rule


CASES = (
    Case("np", 3e-3, 0.948),
    Case("inp", 3e-3, 0.964),
    Case("anp", 3e-3, 0.943),
    Case("danp", 1e-2, 0.950),
    Case("danp", 1e-2, 0.947, two_noisy=True),
    Case("dnp", 1e-2, 0.943),
    Case("dinp", 1e-2, 0.946),
)


def of_rule(case, data, seeds, epochs=EPOCHS):
    """The test accuracies of a rule, one a seed."""
    rule = learning_rule(case.rule, case.options)
    return accuracies(trained(rule, data, seeds, case.rate, epochs), data.x_test, data.y_test)


def of_twin(case, data, seeds, epochs=EPOCHS):
    """Those of the twin: the same split, weights and batches; noise of its own."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        twin = NodeTwin(case.rule, initial_weights(seed), rng, two_noisy=case.two_noisy)
        found.append(twin.train(batches(data, seed, epochs), case.rate).accuracy(data.x_test, data.y_test))
    return np.array(found)


if __name__ == "__main__":
    validation = load("digits").for_tuning
    print("rule", *GRID)
    for case in CASES:
        means = [of_rule(case._replace(rate=rate), validation, range(10, 13)).mean() for rate in GRID]
        print(case, *(f"{mean:.4f}" for mean in means), flush=True)
