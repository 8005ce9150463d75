"""Simultaneous perturbation: what it has in common with random codes, and what central differences are worth."""

import numpy as np
import pytest
from rule_cases import SHAPES, batch_of, changes, network_of, one_step

from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import gradients
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule, rule_options

P = sum((inputs + 1) * outputs for inputs, outputs in SHAPES)
STEP = 0.02


def flat(updates):
    return np.concatenate([change.ravel() for change in changes(updates)])


def test_forward_differences_are_multiplexed_gradient_descent_that_updates_after_every_random_code():
    network = network_of()
    one = learning_rule("spsa", {"step": STEP, "difference": "forward"})
    other = learning_rule("mgd", {"norm": STEP * np.sqrt(P)})
    states = one.init(network, child(0, "init")), other.init(network, child(0, "init"))
    # the code of `mgd` has a stream of its own under the key: the same signs are put in its place
    states[1].parts[0].code.keys[...] = states[0].code.keys
    states = [states[0]._replace(drawn=1), states[1]._replace(time=1)]  # a first step would begin them anew
    for number in range(5):
        batch, found = batch_of(network, seed=number), []
        for place, rule in enumerate((one, other)):
            updates, states[place], info = rule.step(network, states[place], batch, child(0, "step"))
            found.append((flat(updates), info.counts))
        np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-9, atol=1e-12)
        assert found[0][1] == found[1][1]
    assert not np.allclose(found[0][0], 0.0)


def test_each_entry_is_the_slope_along_the_perturbation_times_its_sign():
    network = network_of()
    batch = batch_of(network)
    updates, _, _ = one_step(learning_rule("spsa", {"step": 1e-4}), network, batch, child(0, "run"))
    found = flat(updates)
    slope = np.abs(found[0])
    np.testing.assert_allclose(np.abs(found), slope, rtol=1e-12)
    dW, db = gradients(network.mlp, batch.x, batch.y, cross_entropy)
    expected = np.concatenate([g.ravel() for g in (*dW, *db)])
    assert expected @ np.sign(found) == pytest.approx(slope, rel=1e-6)


def test_central_differences_cancel_what_is_even_in_the_perturbation():
    network, errors = network_of(), {}
    batch = batch_of(network)
    for difference in ("forward", "central"):
        found = []
        for step in (1e-4, STEP):
            options = {"step": step, "difference": difference, "draws": 20}
            updates, _, _ = one_step(learning_rule("spsa", options), network, batch, child(0, "run"))
            found.append(flat(updates))
        errors[difference] = np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])
    assert errors["central"] < errors["forward"] / 5


@pytest.mark.parametrize("options", [{"difference": "forward", "draws": 3}, {"draws": 4}], ids=str)
def test_counts_are_those_of_the_closed_form(options):
    network = network_of()
    batch = batch_of(network)
    _, _, info = one_step(learning_rule("spsa", options), network, batch, child(0, "run"))
    told = RULES["spsa"].asks(rule_options("spsa", options), SHAPES, len(batch.x))
    assert info.counts.forward_passes == told.forward_passes
    assert info.counts.word_writes == told.words
    assert info.counts.random_numbers == told.random_numbers
