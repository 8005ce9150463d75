"""A step of each rule is that of a twin written from the equations, with the same feedback matrices."""

import numpy as np
import pytest
from rule_cases import batch_of, changes, network_of
from rule_twin import Twin

from imcsim.rng import child
from imcsim.rules.decorrelation import DecorrelatedState
from imcsim.rules.library import FEEDBACK, learning_rule

DRAWS_AT_EVERY_STEP = {"brsf", "efficientgrad"}


def matrices_of(state):
    return None if isinstance(state, DecorrelatedState | None) else [getattr(one, "matrix", one) for one in state]


@pytest.mark.parametrize("name", sorted(FEEDBACK.keys() - DRAWS_AT_EVERY_STEP))
def test_a_step_is_that_of_the_equations(name):
    network, rule = network_of(), learning_rule(name)
    batch, state = batch_of(network), rule.init(network, child(0, "init"))
    twin = Twin(name, network.written, np.random.default_rng(0), feedback=matrices_of(state) or [None] * 2)
    twin.b = [b.copy() for b in network.biases]
    updates, _, _ = rule.step(network, state, batch, child(0, "step"))
    for found, expected in zip(changes(updates), twin.gradient(*batch), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
