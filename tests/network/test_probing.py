"""Losses of perturbations: what they are in closed form, the network that is left, and what all of it asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imcsim.errors import CapabilityError, SpecError
from imcsim.network import probing
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.network.probing import in_turn
from imcsim.network.protocols import LayerUpdate, NodeProbes, WeightProbes
from imcsim.rng import child
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.pulsed import ConstantStepDevice, SoftBoundsDevice
from imcsim.updates import Dense

INPUTS, HIDDEN, CLASSES, SAMPLES, K = 6, 5, 4, 7, 3
X = child(0, "samples").uniform(size=(SAMPLES, INPUTS))
Y = child(0, "labels").integers(0, CLASSES, SAMPLES)
START = initial_mlp(NetworkSpec(hidden=(HIDDEN,), activation="tanh"), INPUTS, CLASSES, child(0, "weights"))
SRAM = load("sram_ideal").replace("dac", OneShotDAC(bits=8, out_of_range="clip"))


def rng(*path):
    return child(0, "probing", *path)


def ideal(loss="cross_entropy"):
    return IdealNetwork(START, loss)


def chip(spec=SRAM):
    return learning_chip(START, spec, "cross_entropy", 7, rng("program")).calibrated(X, Y, rng("calibrate"))


def node_probes(amplitude=0.1, many=K):
    return NodeProbes(
        (amplitude * rng("first").normal(size=(many, SAMPLES, HIDDEN)), rng("last").normal(size=(many, 1, CLASSES)))
    )


def weight_probes(steps, many=K):
    """Perturbations of +-1 step or none of every weight, 0.01 of every bias."""
    return [
        tuple(
            LayerUpdate(Dense(step * rng(k, layer).integers(-1, 2, shape)), np.full(shape[1], 0.01))
            for layer, (shape, step) in enumerate(zip(((INPUTS, HIDDEN), (HIDDEN, CLASSES)), steps, strict=True))
        )
        for k in range(many)
    ]


def touched(probes):
    return sum(int(np.count_nonzero(layer.weights.delta)) for probe in probes for layer in probe)


# ---- losses


def test_perturbed_sums_of_a_squared_error_give_its_parabola():
    mlp = MLP((rng("w").normal(size=(INPUTS, CLASSES)),), (np.zeros(CLASSES),), "tanh")
    nodes = rng("nodes").normal(size=(K, SAMPLES, CLASSES))
    found = IdealNetwork(mlp, "mse").probe(X, Y, NodeProbes((nodes,)), rng())
    miss = X @ mlp.weights[0] - np.eye(CLASSES)[Y]
    np.testing.assert_allclose(found.losses, 0.5 * np.square(miss + nodes).sum(axis=-1), rtol=1e-12)


def test_perturbed_weights_of_a_linear_layer_give_the_parabola_of_what_they_add_to_its_sums():
    mlp = MLP((rng("w").normal(size=(INPUTS, CLASSES)),), (np.zeros(CLASSES),), "tanh")
    deltas, biases = rng("d").normal(size=(K, INPUTS, CLASSES)), rng("b").normal(size=(K, CLASSES))
    probes = ((LayerUpdate(Dense(d), b),) for d, b in zip(deltas, biases, strict=True))  # made as they are needed
    found = IdealNetwork(mlp, "mse").probe(X, Y, WeightProbes(probes), rng())
    miss = X @ (mlp.weights[0] + deltas) + biases[:, None] - np.eye(CLASSES)[Y]
    np.testing.assert_allclose(found.losses, 0.5 * np.square(miss).sum(axis=-1), rtol=1e-12)


def test_a_step_of_each_hidden_node_both_ways_gives_the_slope_that_backprop_gives():
    network, step = ideal(), 1e-5
    each = np.concatenate([step * np.eye(HIDDEN), -step * np.eye(HIDDEN)])[:, None, :]
    up, down = np.split(network.probe(X, Y, NodeProbes((each, None)), rng()).losses, 2)
    reads = network.forward(X, rng())
    error = network.loss_gradient(reads, Y) @ START.weights[1].T * (1 - reads.a_out[0] ** 2)
    np.testing.assert_allclose((up - down).T / (2 * step), error, atol=1e-9)


@pytest.mark.parametrize("together", [1 << 21, 1, 2 * SAMPLES * (HIDDEN + CLASSES)])
def test_perturbations_together_have_the_bits_of_each_in_turn(together, monkeypatch):
    monkeypatch.setattr(probing, "MOST_SUMS", together)
    network, probes = ideal(), node_probes(many=5)
    for nodes in (probes.nodes, (None, probes.nodes[1]), (probes.nodes[0], None)):
        one = network.probe(X, Y, NodeProbes(nodes), rng())
        each = in_turn(network, X, Y, NodeProbes(nodes), rng(), 0.0, network._written_back)
        np.testing.assert_array_equal(one.losses, each.losses)
        assert one.counts == each.counts == network.cost(5 * SAMPLES)


def test_an_ensemble_has_the_losses_of_its_members():
    mlps = [START, dataclasses.replace(START, weights=tuple(2 * w for w in START.weights))]
    stacked = MLP(
        tuple(np.stack(layer) for layer in zip(*(m.weights for m in mlps), strict=True)),
        tuple(np.stack(layer) for layer in zip(*(m.biases for m in mlps), strict=True)),
        "tanh",
    )
    probes = node_probes()
    of_members = NodeProbes(tuple(nodes[:, None] for nodes in probes.nodes))
    found = IdealNetwork(stacked, "cross_entropy").probe(X, Y, of_members, rng()).losses
    for member, mlp in enumerate(mlps):
        alone = IdealNetwork(mlp, "cross_entropy").probe(X, Y, probes, rng()).losses
        np.testing.assert_allclose(found[:, member], alone, rtol=1e-12)


def test_every_pass_has_noise_of_its_own():
    same = NodeProbes((np.zeros((2, 1, HIDDEN)), None))
    noisy = NoisyNetwork(START, "cross_entropy", injected=InjectionSpec(output_noise_rel=0.1))
    once, again = noisy.probe(X, Y, same, rng()).losses
    assert np.all(once != again)
    once, again = ideal().probe(X, Y, same, rng()).losses
    np.testing.assert_array_equal(once, again)


def test_a_chip_reads_each_perturbation_as_a_pass_with_those_nodes():
    network, probes = chip(), node_probes()
    found = network.probe(X, Y, probes, rng())
    for k in range(K):
        reads = network.forward(X, rng("another"), nodes=tuple(nodes[k] for nodes in probes.nodes))
        np.testing.assert_array_equal(found.losses[k], network.loss(reads, Y, rng()))  # the ideal cell has no noise


def test_a_loss_adc_of_the_mean_gives_one_value_a_perturbation():
    spec = SRAM.replace("loss_adc", LossADC(bits=12, full_scale=8.0, per_sample=False))
    network = chip(spec)
    found = network.probe(X, Y, node_probes(), rng()).losses
    single = chip().probe(X, Y, node_probes(), rng()).losses
    assert found.shape == (K, 1)
    np.testing.assert_allclose(found[:, 0], single.mean(axis=1), atol=0.5 * spec.loss_adc.lsb * (1 + 1e-9))


# ---- what is left


def test_the_ideal_network_gets_its_weights_back_to_the_bit():
    probes = weight_probes((0.1, 0.3))
    found = ideal().probe(X, Y, WeightProbes(probes), rng())
    for after, before in zip(found.network.mlp.weights, START.weights, strict=True):
        np.testing.assert_array_equal(after, before)
    assert found.counts == ideal().cost(K * SAMPLES)._replace(
        cell_writes=2 * touched(probes), word_writes=2 * touched(probes)
    )


@pytest.mark.parametrize(
    ("bits", "rounding"), [(None, "nearest"), (None, "stochastic"), (12, "nearest"), (12, "stochastic")]
)
def test_a_chip_gets_its_codes_and_accumulators_back_whatever_its_write_path_makes_of_a_probe(bits, rounding):
    network = chip(SRAM.replace("write.accumulator_bits", bits).replace("write.rounding", rounding))
    learned = (LayerUpdate(Dense(np.full(shape, 0.003)), np.zeros(shape[1])) for shape in network.shapes)
    network = network.write(tuple(learned), rng("learn"))
    found = network.probe(X, Y, WeightProbes(weight_probes((0.013, 0.027))), rng())
    for after, before in zip(found.network.written, network.written, strict=True):
        np.testing.assert_array_equal(after, before)
    for after, before in zip(found.network.kept, network.kept, strict=True):
        np.testing.assert_array_equal(after, before)
    for after, before in zip(found.network.biases, network.biases, strict=True):
        np.testing.assert_array_equal(after, before)


def test_each_word_that_a_probe_changes_is_written_twice():
    network = chip(SRAM.replace("array.weight_headroom", 2.0))  # clear of the largest code, where a step would clip
    probes = weight_probes(network.write_resolution)
    found = network.probe(X, Y, WeightProbes(probes), rng()).counts
    one_way = [network.write(probe, rng()).counts().less(network.counts()) for probe in probes]
    assert found == network.cost(K * SAMPLES)._replace(
        cell_writes=2 * sum(each.cell_writes for each in one_way), word_writes=2 * touched(probes)
    )


def test_cells_whose_writes_err_come_back_elsewhere_and_the_others_stay():
    network = chip(load("rram_cmo").replace("array.weight_headroom", 2.0))
    probes = weight_probes(network.write_resolution, many=1)
    after = network.probe(X, Y, WeightProbes(probes), rng(), now_s=5.0).network
    np.testing.assert_array_equal(after.written[0], network.written[0])
    for layer, probe in enumerate(probes[0]):
        one, other = (each.chip.layers[layer].held.written for each in (network, after))
        # (members, tiles, rows, polarities, slices, columns): a weight is a cell or more of each
        moved = (one.programmed_S != other.programmed_S).any(axis=(0, 1, 3, 4))
        np.testing.assert_array_equal(moved, probe.weights.delta != 0)
        rewritten_s = np.broadcast_to(after.chip.layers[layer].held.written_s, one.programmed_S.shape)
        np.testing.assert_array_equal(rewritten_s.max(axis=(0, 1, 3, 4)), np.where(moved, 5.0, 0.0))


@pytest.mark.parametrize(("device", "returns"), [(ConstantStepDevice, True), (SoftBoundsDevice, False)])
def test_pulsed_devices_take_the_opposite_pulses_which_undo_only_steps_of_one_size(device, returns):
    step = 0.001
    spec = load("pulsed_generic").replace("array.weight_headroom", 3.0)  # clear of the bounds
    network = chip(spec.replace("cell.device", device(dw_min=step, w_min=-2.0, w_max=2.0)))
    probes = weight_probes((0.2, 0.2))
    found = network.probe(X, Y, WeightProbes(probes), rng())
    for after, before in zip(found.network.chip.layers, network.chip.layers, strict=True):
        apart = np.abs(after.held.states - before.held.states).max()
        assert apart < 1e-5 if returns else apart > 5 * step
    one_way = [network.write(probe, rng()).counts().cell_writes for probe in probes]
    assert found.counts.cell_writes == 2 * sum(one_way)


# ---- what is refused


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ((None, None), "of one layer at least of 2"),
        ((np.zeros((2, 1, HIDDEN)), np.zeros((3, 1, CLASSES))), r"K the same"),
        ((np.zeros((2, 1, HIDDEN)),), "1 layers"),
        ((np.zeros((2, HIDDEN)), None), r"nodes.0 = \(2, 5\): must be \(K, 7, 5\) or \(K, 1, 5\)"),
        ((None, np.zeros((2, 3, CLASSES))), r"nodes.1 = \(2, 3, 4\)"),
        ((np.zeros((0, 1, HIDDEN)), None), "must be one perturbation or more"),
    ],
)
def test_perturbations_that_do_not_fit_are_refused(nodes, told):
    for network in (ideal(), NoisyNetwork(START, "cross_entropy", injected=InjectionSpec())):
        with pytest.raises(SpecError, match=told):
            network.probe(X, Y, NodeProbes(nodes), rng())


def test_no_perturbation_of_weights_is_refused():
    with pytest.raises(SpecError, match="must be one perturbation or more"):
        ideal().probe(X, Y, WeightProbes(()), rng())


# ---- a loss ADC on the ideal network


def test_the_ideal_network_reads_its_loss_through_an_adc():
    adc = LossADC(bits=10, full_scale=8.0, per_sample=False)
    network = dataclasses.replace(ideal(), loss_adc=adc)
    probes = node_probes()
    exact, read = (one.probe(X, Y, probes, rng()).losses for one in (ideal(), network))
    np.testing.assert_allclose(read[:, 0], adc.lsb * np.rint(exact.mean(axis=1) / adc.lsb), rtol=1e-12)
    with pytest.raises(CapabilityError, match="the loss ADC converts the mean of the batch"):
        _ = network.each_loss


def test_a_loss_adc_that_draws_does_so_for_each_pass():
    noisy = dataclasses.replace(ideal(), loss_adc=LossADC(bits=16, full_scale=8.0, noise_lsb=1000.0))
    once, again = noisy.probe(X, Y, NodeProbes((np.zeros((2, 1, HIDDEN)), None)), rng()).losses
    assert np.all(once != again)
