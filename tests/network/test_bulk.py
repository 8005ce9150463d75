"""Nodes and weights one by one on the ideal network, in one call: the losses of as many passes of their own."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from imcsim.kernels import jit
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP
from imcsim.network.probing import in_turn
from imcsim.network.protocols import NodesInTurn, WeightsInTurn
from imcsim.rng import child
from imcsim.specs.loss_adc import LossADC

SAMPLES = 9
DEPTHS = {"one layer": (5, 4), "two": (5, 6, 3), "four": (4, 7, 5, 6, 3)}
EVERY_DEPTH = pytest.mark.parametrize("depth", DEPTHS)


def rng(*path):
    return child(0, "bulk", *path)


def network_of(units, activation="tanh", loss="cross_entropy", members=()):
    shapes = list(itertools.pairwise(units))
    weights = tuple(rng("weights", layer).normal(size=(*members, *shape)) for layer, shape in enumerate(shapes))
    biases = tuple(rng("biases", layer).normal(size=(*members, shape[1])) for layer, shape in enumerate(shapes))
    return IdealNetwork(MLP(weights, biases, activation), loss)


def batch_of(units, members=()):
    x = rng("x").normal(size=(*members, SAMPLES, units[0]))
    return x, rng("y").integers(0, units[-1], (*members, SAMPLES))


def probes_of(units, step=0.1):
    """Nodes; weights of a layer alike; every weight and bias with a step of its own."""
    shapes = list(itertools.pairwise(units))
    each = tuple(step * rng("steps", layer).normal(size=(i + 1, o)) for layer, (i, o) in enumerate(shapes))
    return (
        NodesInTurn(step),
        WeightsInTurn(tuple(step * (1 + layer) for layer in range(len(shapes)))),
        WeightsInTurn(each),
    )


def separate(network, x, y, probes):
    """The twin: a pass of its own for each perturbation."""
    return in_turn(network, x, y, probes, rng(), 0.0, network._written_back)


@EVERY_DEPTH
@pytest.mark.parametrize(("activation", "loss"), list(itertools.product(ACTIVATIONS, LOSSES)))
def test_the_losses_are_those_of_separate_passes(depth, activation, loss):
    units = DEPTHS[depth]
    network, batch = network_of(units, activation, loss), batch_of(units)
    for probes in probes_of(units):
        found, expected = network.probe(*batch, probes, rng()), separate(network, *batch, probes)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-12)
        assert np.ptp(found.losses, axis=0).min() > 1e-5, "they differ"


def test_what_is_asked_for_is_counted_as_separate_passes_count_it():
    units = DEPTHS["two"]
    network, batch = network_of(units), batch_of(units)
    large = tuple(1e17 * w for w in network.mlp.weights)  # where a small step is lost to rounding
    lost = dataclasses.replace(network, mlp=dataclasses.replace(network.mlp, weights=large))
    for one, probes in itertools.product((network, lost), probes_of(units)):
        found, expected = one.probe(*batch, probes, rng()), separate(one, *batch, probes)
        assert found.counts == expected.counts
        assert found.network.counts() == expected.network.counts()
        for after, before in zip(found.network.written, one.written, strict=True):
            np.testing.assert_array_equal(after, before)


def test_values_of_a_regression_are_targets_as_they_are():
    units = DEPTHS["two"]
    network, (x, _) = network_of(units, loss="mse"), batch_of(units)
    target = rng("target").normal(size=(SAMPLES, units[-1]))
    for probes in probes_of(units):
        expected = separate(network, x, target, probes).losses
        np.testing.assert_allclose(network.probe(x, target, probes, rng()).losses, expected, rtol=1e-12)


@EVERY_DEPTH
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_of_an_ensemble_has_the_bits_it_has_alone(depth, shared):
    units, members = DEPTHS[depth], 3
    network = network_of(units, members=(members,))
    x, y = batch_of(units, () if shared else (members,))
    for probes in probes_of(units):
        together = network.probe(x, y, probes, rng()).losses
        for member in range(members):
            mlp = MLP(*(tuple(one[member] for one in of) for of in (network.mlp.weights, network.mlp.biases)), "tanh")
            batch = (x, y) if shared else (x[member], y[member])
            alone = IdealNetwork(mlp, "cross_entropy").probe(*batch, probes, rng()).losses
            np.testing.assert_array_equal(together[:, member], alone)


def test_far_out_sums_neither_overflow_nor_lose_what_is_no_number():
    units = DEPTHS["four"]
    network, (x, y) = network_of(units), batch_of(units)
    for scale in (1e-8, 1e3, 1e100):
        for probes in probes_of(units):
            expected = separate(network, scale * x, y, probes).losses
            np.testing.assert_allclose(network.probe(scale * x, y, probes, rng()).losses, expected, rtol=1e-12)
    x[3] = np.nan
    for probes in probes_of(units):
        np.testing.assert_array_equal(
            np.isnan(network.probe(x, y, probes, rng()).losses), np.isnan(separate(network, x, y, probes).losses)
        )


@pytest.mark.parametrize("per_sample", [True, False])
def test_a_loss_adc_reads_what_the_passes_give(per_sample):
    units, adc = DEPTHS["two"], LossADC(bits=8, full_scale=4.0, per_sample=per_sample)
    network, batch = dataclasses.replace(network_of(units), loss_adc=adc), batch_of(units)
    for probes in probes_of(units):
        np.testing.assert_array_equal(
            network.probe(*batch, probes, rng()).losses, separate(network, *batch, probes).losses
        )


def test_noise_of_a_loss_adc_is_drawn_anew_at_every_conversion():
    units = DEPTHS["two"]
    adc = LossADC(bits=20, full_scale=8.0, noise_lsb=1000.0)
    network, (x, y) = dataclasses.replace(network_of(units), loss_adc=adc), batch_of(units)
    exact = network_of(units)
    for probes in probes_of(units):
        off = (network.probe(x, y, probes, rng()).losses - exact.probe(x, y, probes, rng()).losses) / adc.lsb
        many = off.size
        assert abs(off.mean()) < 5 * 1000 / many**0.5
        assert abs(off.std() / 1000 - 1) < 5 / (2 * many) ** 0.5
        assert abs(np.corrcoef(off[0], off[1])[0, 1]) < 5 / SAMPLES**0.5


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    units = (12, 20, 15, 6)
    network, batch = network_of(units), batch_of(units)
    for probes in probes_of(units):
        losses = (on_threads(n, lambda probes=probes: network.probe(*batch, probes, rng()).losses) for n in (1, 2))
        np.testing.assert_array_equal(*losses)
