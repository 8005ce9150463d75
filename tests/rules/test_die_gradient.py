"""The gradient of a die, against finite differences of the loss that the chip reads."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.errors import CapabilityError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.reference import averaged_backprop, die_gradient, exact_gradient, finite_differences
from imcsim.rules.rule import Batch
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import IdealDAC, OneShotDAC
from imcsim.specs.learning import AnalogNeurons

BATCH = Batch(child(0, "samples").uniform(size=(20, 6)), child(0, "labels").integers(0, 4, 20))
VARIED = AnalogNeurons(offset_in_sigma=0.3, offset_out_sigma=0.1, slope_sigma_rel=0.3, gain_sigma_rel=0.3)
FINE = UniformADC(bits=16, range="given", lo=-1000.0, hi=1000.0, gain_sigma_rel=0.2)


def chip(activation="tanh", *, mismatch=0.3, noise=0.0, dac=None, adc=None, neurons=None, **array):
    fine = {"weight_bits": 9, "cell_bits": 8, "weight_headroom": 1.5, **array}
    spec = ChipSpec(
        cell=SramCell(mismatch_sigma_rel=mismatch, read_noise_rel=noise),
        array=ArraySpec(**fine),
        dac=dac or IdealDAC(signed=True, out_of_range="clip"),
        adc=adc or IdealADC(),
        neurons=neurons,
    )
    start = initial_mlp(NetworkSpec(hidden=(5, 7), activation=activation), 6, 4, child(0, "weights"))
    network = learning_chip(start, spec, "cross_entropy", 7, child(0, "program"))
    return network.calibrated(*BATCH, child(0, "calibrate"))


def gradient(reference, network):
    return reference(network, BATCH, child(0, "reference"))


def slopes(network, codes=1):
    """Each layer's by steps of so many codes of its own."""
    steps = [codes * float(layer.scale[0]) for layer in network.chip.layers]
    return [gradient(finite_differences(step), network)[layer] for layer, step in enumerate(steps)]


def cosines(some, others):
    return np.array([(a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) for a, b in zip(some, others, strict=True)])


CHIPS = {
    "mismatch": {},
    "bits in cells of their own": {"mapping": "offset", "cell_bits": 1},
    "neurons that differ": {"neurons": VARIED},
    "neurons without sign": {"neurons": VARIED, "activation": "relu"},
    "gains of converters": {"adc": FINE},
}


@pytest.mark.parametrize("name", CHIPS)
def test_it_is_the_slope_of_the_loss_that_the_chip_reads(name):
    network = chip(**CHIPS[name])
    expected = slopes(network, 4 if name == "gains of converters" else 1)
    # what is left is the curvature between two codes, and of real converters their steps
    assert cosines(gradient(die_gradient(1), network), expected).min() > 0.999
    assert cosines(gradient(averaged_backprop(1), network), expected).min() < 0.98


def test_it_has_the_size_of_the_slope():
    network = chip()
    for found, expected in zip(gradient(die_gradient(1), network), slopes(network), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_on_a_chip_without_error_it_is_the_exact_gradient():
    network = chip(mismatch=0.0)
    for found, exact in zip(gradient(die_gradient(1), network), gradient(exact_gradient, network), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-7)


def test_the_last_layer_learns_from_inputs_as_their_codes_have_them():
    network = chip(dac=OneShotDAC(bits=2, signed=True, out_of_range="clip"))
    expected = slopes(network)[-1:]
    assert cosines(gradient(die_gradient(1), network)[-1:], expected).min() > 0.9999
    assert cosines(gradient(averaged_backprop(1), network)[-1:], expected).max() < 0.99


def test_inputs_that_clip_carry_no_slope():
    step = OneShotDAC(bits=8, signed=True, out_of_range="clip")
    network = chip(dac=step)
    layers = network.chip.layers
    for index in (1, 2):  # all inputs of hidden layers lie beyond a ten-thousandth of what they were
        short = layers[index].calibrate(1e-4 * np.ones((1, layers[index].die.shape[0])))
        network = chip_with(network, index, short)
    found = gradient(die_gradient(1), network)
    np.testing.assert_allclose(found[0], 0.0, atol=1e-12)
    assert np.abs(gradient(averaged_backprop(1), network)[0]).max() > 1e-3


def chip_with(network, index, layer):
    return type(network)(network.chip.with_layer(index, layer), network.loss_name, network.die_key, network.kept)


def test_passes_average_the_noise_of_reads_out():
    network = chip(noise=0.2, neurons=VARIED)
    mean = gradient(die_gradient(400), network)
    one, many = (
        np.mean([cosines(die_gradient(passes)(network, BATCH, child(k, "r")), mean) for k in range(5)])
        for passes in (1, 40)
    )
    assert 1 - many < (1 - one) / 10


def test_an_ideal_network_has_no_cells():
    mlp = initial_mlp(NetworkSpec(hidden=(5,)), 6, 4, child(0, "weights"))
    with pytest.raises(CapabilityError, match="take exact_gradient"):
        gradient(die_gradient(1), IdealNetwork(mlp, "cross_entropy"))
