"""Nodes and weights of a chip one by one in bulk: losses, noise, network and counts are those of passes in turn."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.network import chip_probes
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.probing import in_turn, one_by_one
from imcsim.network.protocols import LayerUpdate, NodesInTurn, WeightProbes, WeightsInTurn
from imcsim.rng import child
from imcsim.specs.codec import overlay
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.decorrelation import DigitalDecorrelation
from imcsim.specs.learning import AnalogNeurons
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.updates import Dense

INPUTS, HIDDEN, CLASSES, SAMPLES = 11, (5, 4), 3, 7
X = child(0, "samples").uniform(size=(SAMPLES, INPUTS))
Y = child(0, "labels").integers(0, CLASSES, SAMPLES)
START = initial_mlp(NetworkSpec(hidden=HIDDEN, activation="relu"), INPUTS, CLASSES, child(0, "weights"))
SRAM = overlay(load("sram_ideal"), {
    "array": {"rows": 4, "weight_bits": 6, "weight_headroom": 1.5},
    "dac": {"bits": 5, "out_of_range": "clip"},
    "adc": {"bits": 6, "range": "mse"},
    "cell": {"mismatch_sigma_rel": 0.05},
})  # fmt: skip
NOISE = {"cell": {"read_noise_rel": 0.02}, "adc": {"noise_lsb": 0.3}}

QUIET = {
    "bit by bit": SRAM,
    "in one shot": SRAM.replace("dac", OneShotDAC(bits=5, out_of_range="clip")),
    "subtracted": SRAM.replace("array.subtraction", "analog"),
    "unit column": overlay(SRAM, {"array": {"mapping": "offset", "offset_correction": "unit_column"}}),
    "accumulators": SRAM.replace("write.accumulator_bits", 12),
    "mean of the batch": SRAM.replace("loss_adc", LossADC(bits=12, full_scale=8.0, per_sample=False)),
    "neurons": SRAM.replace("neurons", AnalogNeurons(offset_out_sigma=0.1, gain_sigma_rel=0.1)),
    "ideal": overlay(load("sram_ideal"), {"dac": {"out_of_range": "clip"}}),
}


def rng(*path):
    return child(0, "bulk", *path)


def chip(spec):
    return learning_chip(START, spec, "cross_entropy", 7, rng("program")).calibrated(X, Y, rng("calibrate"))


def steps_of(network, codes=1.0):
    return WeightsInTurn(tuple(float(codes * np.ravel(lsb)[0]) for lsb in network.weight_lsb))


def turn(network, probes, *path):
    return in_turn(network, X, Y, probes, rng(*path), 0.0, network._written_back)


def assert_alike(got, want):
    """Equal but for rounding, which may take a value next to a threshold to the other code."""
    apart = np.abs(got - want)
    assert (apart < 1e-6).mean() > 0.99
    assert apart.max() < 0.2


# ---- without noise


@pytest.mark.parametrize("name", QUIET)
def test_weights_have_the_losses_they_have_in_turn(name, monkeypatch):
    monkeypatch.setattr(chip_probes, "MOST_SUMS", 20_000)
    network = chip(QUIET[name])
    found, each = (
        of(steps_of(network)) for of in (lambda p: network.probe(X, Y, p, rng()), lambda p: turn(network, p))
    )
    assert_alike(found.losses, each.losses)
    assert found.losses.std(axis=0).min() > 1e-4  # the perturbations show
    assert found.counts == each.counts


@pytest.mark.parametrize("name", QUIET)
def test_nodes_have_the_losses_they_have_in_turn(name, monkeypatch):
    monkeypatch.setattr(chip_probes, "MOST_SUMS", 500)  # of a few passes
    network = chip(QUIET[name])
    found, each = network.probe(X, Y, NodesInTurn(0.1), rng()), turn(network, NodesInTurn(0.1))
    np.testing.assert_allclose(found.losses, each.losses, rtol=1e-12, atol=1e-14)
    assert found.counts == each.counts


def test_matrices_ahead_of_the_layers_are_not_left_out():
    signed = overlay(SRAM, {"dac": {"signed": True}}).replace("decorrelation", DigitalDecorrelation())
    network = chip(signed)
    changes = tuple(rng("matrix", k).normal(0, 0.1, one.shape) for k, one in enumerate(network.decorrelation))
    network = network.decorrelate(changes, rng("decorrelate"))
    found, each = network.probe(X, Y, steps_of(network), rng()), turn(network, steps_of(network))
    np.testing.assert_array_equal(found.losses, each.losses)


@pytest.mark.parametrize("noise_lsb", [0.0, 2.0])
def test_nodes_behind_matrices_on_arrays_are_read_together_where_those_draw_nothing(noise_lsb, monkeypatch):
    converters = {"dac": {"out_of_range": "clip"}, "adc": {"noise_lsb": noise_lsb}}
    design = overlay(SRAM, {"dac": {"signed": True}, "decorrelation": {"kind": "arrays", **converters}})
    network, probes = chip(design), NodesInTurn(0.1)
    in_turn_of = turn(network, probes)
    monkeypatch.setattr(chip_probes, "in_turn", lambda *_: None)
    found = network.probe(X, Y, probes, rng())
    if noise_lsb:
        assert found is None
    else:
        np.testing.assert_array_equal(found.losses, in_turn_of.losses)
        assert found.counts == in_turn_of.counts


@pytest.mark.parametrize("name", ["accumulators", "bit by bit"])
def test_the_network_is_left_as_in_turn(name):
    network = chip(QUIET[name])
    learned = (LayerUpdate(Dense(np.full(shape, 0.02)), np.zeros(shape[1])) for shape in network.shapes)
    network = network.write(tuple(learned), rng("learn"))
    found, each = network.probe(X, Y, steps_of(network), rng()).network, turn(network, steps_of(network)).network
    for one, other, before in zip(found.chip.layers, each.chip.layers, network.chip.layers, strict=True):
        np.testing.assert_array_equal(one.codes, before.codes)
        np.testing.assert_array_equal(one.wear.cell_writes, other.wear.cell_writes)
        assert one.wear.word_writes == other.wear.word_writes > before.wear.word_writes
        assert one.wear.most >= 2
    for one, other, before in zip(found.kept, each.kept, network.kept, strict=True):
        np.testing.assert_array_equal(one, before)
        np.testing.assert_array_equal(other, before)
    for one, before in zip(found.biases, network.biases, strict=True):
        np.testing.assert_array_equal(one, before)


def test_steps_may_be_of_each_weight_and_some_may_reach_no_code():
    network = chip(SRAM)
    drawn = [rng(layer).normal(0, 2, (i + 1, o)) for layer, (i, o) in enumerate(network.shapes)]
    probes = WeightsInTurn(tuple(lsb * d for lsb, d in zip(steps_of(network).steps, drawn, strict=True)))
    found, each = network.probe(X, Y, probes, rng()), turn(network, probes)
    assert_alike(found.losses, each.losses)
    assert found.counts == each.counts
    assert 0 < found.counts.word_writes < 2 * sum(i * o for i, o in network.shapes)


# ---- with noise


def issued(network, probes, repeats):
    """The mean losses of passes that are issued one by one, each so many times: (repeats, K)."""
    x, y = np.tile(X, (repeats, 1)), np.tile(Y, repeats)  # each sample draws noise of its own
    each = one_by_one(network, probes)
    if isinstance(each, WeightProbes):
        reads = (network.write(p, rng("write", k)).forward(x, rng("read", k)) for k, p in enumerate(each.weights))
    else:
        many = range(len(each.nodes[0]))
        reads = (network.forward(x, rng("read", k), nodes=tuple(one[k] for one in each.nodes)) for k in many)
    losses = [network.loss(read, y, rng("loss")).reshape(repeats, SAMPLES).mean(axis=1) for read in reads]
    return np.stack(losses, axis=1)


def five_sigma(one, other):
    """Whether mean and variance of repeats (repeats, ...) agree within five sigma."""
    many = len(one)
    means, variances = (np.stack([f(v, axis=0) for v in (one, other)]) for f in (np.mean, np.var))
    fourth = np.stack([np.mean((v - v.mean(axis=0)) ** 4, axis=0) for v in (one, other)])
    of_means, of_variances = np.sqrt(variances.sum(axis=0) / many), np.sqrt((fourth - variances**2).sum(axis=0) / many)
    means_agree = np.abs(means[0] - means[1]) <= 5 * of_means
    return bool(means_agree.all() and (np.abs(variances[0] - variances[1]) <= 5 * of_variances).all())


@pytest.mark.parametrize(
    "noisy",
    [
        overlay(SRAM, NOISE),
        overlay(SRAM.replace("dac", OneShotDAC(bits=5, out_of_range="clip")), NOISE),
        overlay(load("sram8t_65nm"), {"array": {"rows": 4, "weight_bits": 5}, "dac": {"bits": 4}}),
    ],
    ids=["bit by bit", "in one shot", "discharge"],
)
@pytest.mark.parametrize("nodes", [True, False])
def test_losses_have_mean_and_variance_of_passes_in_turn(nodes, noisy):
    network, repeats = chip(noisy), 150
    probes = NodesInTurn(0.3) if nodes else steps_of(network, 8.0)
    found = np.stack([network.probe(X, Y, probes, rng("bulk", k)).losses.mean(axis=1) for k in range(repeats)])
    each = issued(network, probes, repeats)
    assert five_sigma(found, each)
    assert not five_sigma(np.roll(found, 1, axis=1), each)  # of the neighbouring perturbations
    assert not five_sigma(each.mean(axis=0) + 0.5 * (each - each.mean(axis=0)), found)  # of half the noise


def test_every_pass_draws_noise_of_its_own():
    network = chip(overlay(SRAM, NOISE))
    still = WeightsInTurn((0.0,) * len(network.shapes))
    losses = network.probe(X, Y, still, rng()).losses
    assert len(np.unique(losses.mean(axis=1))) == len(losses)
    deviation = (losses - losses.mean(axis=0)) / losses.std(axis=0)
    neighbours = np.mean(deviation[:-1] * deviation[1:], axis=0)
    assert np.abs(neighbours).max() < 5 / np.sqrt(len(losses))
    shared = np.repeat(deviation[::2], 2, axis=0)  # had two passes one noise
    assert np.abs(np.mean(shared[:-1] * shared[1:], axis=0)).max() > 5 / np.sqrt(len(losses))


def test_the_same_stream_gives_the_same_bits_on_any_threads(on_threads):
    network = chip(overlay(SRAM, NOISE))
    one, two = (on_threads(n, lambda: network.probe(X, Y, steps_of(network), rng()).losses) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


# ---- what is read in turn


@pytest.mark.parametrize(
    "spec",
    [
        load("rram_cmo").replace("array.weight_headroom", 2.0),  # a write errs
        SRAM.replace("dac", OneShotDAC(bits=5, noise_lsb=0.1, out_of_range="clip")),  # rows are driven by noise
        overlay(load("sram_ideal"), {"dac": {"kind": "one_shot", "bits": 5, "out_of_range": "clip"},
                                     "write": {"accumulator_bits": 9}, "array": {"weight_bits": 8}}),
    ],
    ids=["writes err", "rows err", "accumulators between codes"],
)  # fmt: skip
def test_passes_that_no_bulk_stands_for_are_issued_one_by_one(spec, monkeypatch):
    network = chip(spec)
    if spec.write.accumulator_bits is not None:  # a write of nothing takes these to the next code
        kept = tuple(np.where(layer.codes % 2 == 1, 0.5, 0.0) for layer in network.chip.layers)
        network = type(network)(network.chip, network.loss_name, network.die_key, kept)
    probes = steps_of(network)
    found, each = network.probe(X, Y, probes, rng()), turn(network, probes)
    np.testing.assert_array_equal(found.losses, each.losses)
    assert found.counts == each.counts
    assert len(found.losses) == len(list(one_by_one(network, probes).weights))
