"""Zeroth order over codes: the equations, whole codes on a chip, shares of what is perturbed, and what is replayed."""

import math

import numpy as np
import pytest
from rule_cases import SAMPLES, SHAPES, batch_of, changes, network_of, one_step
from rule_chips import DESIGNS, EXACT, batch_for, on_chip

from imcsim.errors import CapabilityError, SpecError
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import MLP, gradients
from imcsim.network.protocols import NodeProbes
from imcsim.rng import child
from imcsim.rules import zeroth_order as module
from imcsim.rules.library import RULES, learning_rule, rule_options
from imcsim.specs.learning import WritePath
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.updates import dense

NODES = sum(units for _, units in SHAPES)
WEIGHTS = sum(inputs * units for inputs, units in SHAPES)
BATCH = batch_for(SAMPLES)


class Watched:
    """A network that remembers perturbations and the losses they showed, and the losses of passes without any."""

    def __init__(self, network, seen=None):
        self.network, self.seen = network, {"probes": [], "losses": [], "clean": []} if seen is None else seen

    def __getattr__(self, name):
        return getattr(self.network, name)

    def loss(self, reads, target, rng):
        self.seen["clean"].append(self.network.loss(reads, target, rng))
        return self.seen["clean"][-1]

    def probe(self, x, target, probes, rng, *, now_s=0.0):
        probed = self.network.probe(x, target, probes, rng, now_s=now_s)
        self.seen["probes"].append(probes)
        self.seen["losses"].append(probed.losses[0])
        return probed._replace(network=Watched(probed.network, self.seen))


def step_of(options, network, batch=BATCH, seed=0):
    watched = Watched(network)
    updates, _, info = one_step(learning_rule("zeroth_order", options), watched, batch, child(seed, "run"))
    return changes(updates), info, watched.seen


def counted(made, name, make):
    def making(*args):
        made[name] += 1
        return make(*args)

    return making


def perturbed(probes):
    """What a probe of weights adds to the weights of every layer, then to the biases."""
    ((one,),) = probes
    return changes(one)


# ---- equations


def test_by_nodes_a_step_is_the_equation_of_random_signs():
    network, options = network_of(), {"draws": 3, "node_step": 0.02}
    batch = batch_of(network)
    found, _, seen = step_of(options, network, batch)
    (clean,), reads = seen["clean"], network.forward(batch.x, child(0, "unused"))
    for layer in range(len(SHAPES)):
        delta = 0.0
        for probes, losses in zip(seen["probes"], seen["losses"], strict=True):
            xi = probes.nodes[layer][0] / 0.02
            np.testing.assert_allclose(np.abs(xi), 1.0)
            delta = delta + (losses - clean)[:, None] / 0.02 * xi / 3
        np.testing.assert_allclose(found[layer], reads.a_in[layer].T @ delta / SAMPLES, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found[len(SHAPES) + layer], delta.mean(axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("codes", [1, 3])
def test_by_weights_a_step_is_the_equation_in_whole_codes_of_each_layer(codes):
    network = on_chip(DESIGNS["without errors"])
    found, _, seen = step_of({"perturb": "weights", "draws": 3, "weight_step_lsb": codes}, network)
    (clean,), lsb = seen["clean"], network.weight_lsb
    assert len(set(lsb)) == len(SHAPES), "a scale a layer"
    expected = [0.0] * len(found)
    for probes, losses in zip(seen["probes"], seen["losses"], strict=True):
        slope = (losses.mean() - clean.mean()) / 3
        for place, change in enumerate(perturbed(probes)):
            step = codes * lsb[place % len(SHAPES)]
            np.testing.assert_allclose(np.abs(change), step, rtol=1e-6)
            expected[place] = expected[place] + slope / step * np.sign(change)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_by_weights_and_by_nodes_mixed_are_the_mean_of_both():
    network = on_chip(EXACT)
    mixed, weights, nodes = (
        step_of({"perturb": what, "draws": draws}, network)[0]
        for what, draws in (("mixed", 4), ("weights", 2), ("nodes", 2))
    )
    for one, first, second in zip(mixed, weights, nodes, strict=True):
        np.testing.assert_allclose(one, (first + second) / 2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("perturb", ["weights", "nodes", "mixed"])
def test_the_mean_of_many_signs_is_the_gradient_at_the_written_weights(perturb):
    network = on_chip(EXACT)
    options = {"perturb": perturb, "draws": 1200} | ({} if perturb == "nodes" else {"weight_step_lsb": 64})
    found, _, _ = step_of(options, network)  # 64 codes of 16 bits: far above the steps of what enters hidden layers
    mlp = MLP(network.written, network.biases, network.activation)
    weights, biases = gradients(mlp, BATCH.x, BATCH.y, cross_entropy)
    one, exact = (np.concatenate([part.ravel() for part in every]) for every in (found, [*weights, *biases]))
    cosine = one @ exact / np.linalg.norm(one) / np.linalg.norm(exact)
    draws, dimensions = (600 if perturb == "mixed" else 1200), WEIGHTS + NODES
    # of signs in d dimensions, 1 / sqrt(1 + (d - 1) / Q); the mean of both kinds is no better than either
    assert cosine > 1 / math.sqrt(1 + 1.5 * (dimensions - 1) / draws)
    np.testing.assert_allclose(np.linalg.norm(one), np.linalg.norm(exact), rtol=0.15)


# ---- scaling


def test_the_square_of_an_estimate_is_that_of_the_gradient_times_what_norm_scaling_divides_by():
    network, draws, steps = network_of(), 2, 3000
    batch = batch_of(network, samples=1)  # of one sample, the change of biases is delta itself
    rule = learning_rule("zeroth_order", {"draws": draws, "node_step": 1e-4})
    _, biases = gradients(network.mlp, batch.x, batch.y, cross_entropy)
    square = sum((one**2).sum() for one in biases)
    found = []
    for step in range(steps):
        updates, _, _ = rule.step(network, True, batch, child(0, "step", step))
        found.append(sum((update.biases**2).sum() for update in updates) / square)
    sigma = np.std(found) / math.sqrt(steps)
    assert abs(np.mean(found) - (draws + NODES - 1) / draws) < 5 * sigma
    assert abs(np.mean(found) - (draws + NODES / 2 - 1) / draws) > 5 * sigma, "half of the nodes would not fit"


@pytest.mark.parametrize(
    ("options", "estimates", "dimensions"),
    [
        ({"draws": 4}, SAMPLES * 4, NODES),
        ({"perturb": "weights", "draws": 4}, 4, WEIGHTS + NODES),
        ({"draws": 4, "layers": [0]}, SAMPLES * 4, SHAPES[0][1]),
    ],
)
def test_norm_scaling_shrinks_by_estimates_over_estimates_and_dimensions_less_one(options, estimates, dimensions):
    network = on_chip(DESIGNS["without errors"])
    plain, shrunk = (step_of({**options, "norm_scaling": scaling}, network)[0] for scaling in (False, True))
    for one, other in zip(plain, shrunk, strict=True):
        np.testing.assert_allclose(other, one * estimates / (estimates + dimensions - 1), rtol=1e-9)


@pytest.mark.parametrize("perturb", ["weights", "nodes"])
def test_without_quantisation_scaling_descent_is_on_codes(perturb):
    network = on_chip(DESIGNS["without errors"])
    on_weights, on_codes = (
        step_of({"perturb": perturb, "quantisation_scaling": scaling}, network)[0] for scaling in (True, False)
    )
    for layer, lsb in enumerate(network.weight_lsb):
        # dC/dcode = s dC/dw, and a code is worth s
        np.testing.assert_allclose(on_codes[layer], on_weights[layer] * lsb**2, rtol=1e-9)
        biases = len(SHAPES) + layer  # digital, and of the same scale
        np.testing.assert_allclose(on_codes[biases], on_weights[biases] * lsb**2, rtol=1e-9)


# ---- shares and layers


def test_a_step_perturbs_and_learns_a_share_of_weights_and_the_next_step_another():
    network, options = on_chip(DESIGNS["without errors"]), {"perturb": "weights", "draws": 3, "share": 0.25}
    found, _, seen = step_of(options, network)
    for place, one in enumerate(found):
        size = math.prod((*SHAPES, *(shape[1:] for shape in SHAPES))[place])
        assert np.count_nonzero(one) == max(1, round(size / 4))
        for probes in seen["probes"]:
            np.testing.assert_array_equal(perturbed(probes)[place] != 0, one != 0)
    other, _, _ = step_of(options, network, seed=1)
    assert ((found[0] != 0) != (other[0] != 0)).any()


def test_a_share_of_nodes_is_the_same_nodes_of_all_samples():
    _, _, seen = step_of({"draws": 2, "share": 0.5}, network_of(), batch_of(network_of()))
    for probes in seen["probes"]:
        assert isinstance(probes, NodeProbes)
        for layer, (_, units) in enumerate(SHAPES):
            moved = probes.nodes[layer][0] != 0
            assert moved[0].sum() == round(units / 2)
            np.testing.assert_array_equal(moved, np.broadcast_to(moved[0], moved.shape))


@pytest.mark.parametrize("perturb", ["weights", "nodes", "mixed"])
def test_layers_that_are_not_chosen_learn_nothing(perturb):
    found, _, _ = step_of({"perturb": perturb, "draws": 2, "layers": [2, 0]}, on_chip(DESIGNS["without errors"]))
    for layer, (weights, biases) in enumerate(zip(found[:3], found[3:], strict=True)):
        assert weights.any() == biases.any() == (layer != 1)


# ---- what it asks for


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("perturb", ["weights", "nodes", "mixed"])
def test_counts_on_a_chip_are_those_of_the_closed_form_and_its_codes_are_as_they_were(perturb, share, replay):
    # without accumulators, half a code in which would make a code more or less of some
    network = on_chip(DESIGNS["without errors"].replace("write", WritePath()))
    options = {"perturb": perturb, "draws": 4, "share": share, "replay": replay}
    _, info, _ = step_of(options, network)
    told = RULES["zeroth_order"].asks(rule_options("zeroth_order", options), SHAPES, SAMPLES)
    expected = network.cost(told.forward_passes)._replace(random_numbers=told.random_numbers, word_writes=told.words)
    assert info.counts._replace(cell_writes=0) == expected
    assert info.counts.cell_writes >= told.words
    assert info.stored == told.stored
    after = network if info.network is None else info.network
    for one, other in zip(after.written, network.written, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("perturb", ["weights", "nodes"])
def test_replay_stores_no_perturbation_draws_it_twice_and_has_the_same_bits(perturb, monkeypatch):
    made = {"weight_signs": 0, "node_signs": 0}
    for name in made:
        monkeypatch.setattr(module, name, counted(made, name, getattr(module, name)))
    network, size = on_chip(EXACT), {"weights": WEIGHTS + NODES, "nodes": SAMPLES * NODES}[perturb]
    kept, kept_info, _ = step_of({"perturb": perturb, "draws": 3, "replay": False}, network)
    assert sum(made.values()) == 3
    again, info, _ = step_of({"perturb": perturb, "draws": 3}, network)
    assert sum(made.values()) == 3 + 6
    for one, other in zip(kept, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kept_info.stored - info.stored == size
    assert (kept_info.counts.random_numbers, info.counts.random_numbers) == (3 * size, 6 * size)


def test_by_weights_with_replay_the_estimate_is_all_that_is_stored():
    _, info, _ = step_of({"perturb": "weights", "draws": 50}, on_chip(EXACT))
    assert info.stored == WEIGHTS + NODES


# ---- bad input


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"perturb": "mixed", "draws": 3}, "draws = 3: must be even"),
        ({"perturb": "weights", "node_step": 0.1}, 'node_step = 0.1: belongs to perturb "nodes" and "mixed"'),
        ({"weight_step_lsb": 1}, 'weight_step_lsb = 1: belongs to perturb "weights" and "mixed"'),
        ({"perturb": "weights", "weight_step_lsb": 0}, "weight_step_lsb = 0: must be an integer from 1"),
        ({"layers": []}, "layers = .*must name one layer or more"),
        ({"layers": [1, 1]}, "layers = .*each once"),
        ({"share": 0.0}, "share = 0.0"),
    ],
)
def test_options_that_make_no_sense_are_told(options, told):
    with pytest.raises(SpecError, match=told):
        learning_rule("zeroth_order", options)


def test_a_layer_that_the_network_has_not_is_refused_in_init():
    with pytest.raises(SpecError, match=r"layers = \[0, 3\]: must be from 0 to 2: the network has 3 layers"):
        learning_rule("zeroth_order", {"layers": [0, 3]}).init(network_of(), child(0, "init"))


@pytest.mark.parametrize("options", [{"perturb": "weights"}, {"perturb": "mixed"}, {"quantisation_scaling": False}])
@pytest.mark.parametrize("without_codes", ["ideal", "pulsed"])
def test_a_network_without_codes_is_refused_what_goes_by_codes(without_codes, options):
    network = network_of() if without_codes == "ideal" else on_chip(load("pulsed_generic").replace("dac.signed", True))
    with pytest.raises(CapabilityError, match=r'needs weights that are written in codes.*set perturb = "nodes"'):
        learning_rule("zeroth_order", options).init(network, child(0, "init"))


@pytest.mark.parametrize(("perturb", "option"), [("nodes", "node_step"), ("weights", "weight_step_lsb")])
def test_a_loss_adc_that_sees_no_perturbation_is_told_in_the_first_step(perturb, option):
    blind = on_chip(EXACT.replace("loss_adc", LossADC(bits=2, full_scale=1000.0)))
    with pytest.raises(SpecError, match=f"{option}: is a perturbation that the loss ADC cannot see"):
        one_step(learning_rule("zeroth_order", {"perturb": perturb}), blind, BATCH, child(0, "run"))


def test_losses_of_the_mean_of_the_batch_will_do_for_weights():
    network = on_chip(EXACT.replace("loss_adc", LossADC(bits=16, full_scale=8.0, per_sample=False)))
    found, _, _ = step_of({"perturb": "weights"}, network)
    assert all(one.any() for one in found)
    with pytest.raises(CapabilityError, match="the loss of each sample"):
        learning_rule("zeroth_order").init(network, child(0, "init"))


def test_dense_updates_of_weights_are_taken_by_a_chip():
    network = on_chip(EXACT)
    updates, _, info = one_step(learning_rule("zeroth_order", {"perturb": "mixed"}), network, BATCH, child(0, "run"))
    after = info.network.write(updates, child(0, "write"))
    assert any(dense(update.weights).any() for update in updates)
    assert any((one != other).any() for one, other in zip(after.written, network.written, strict=True))
