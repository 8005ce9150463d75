"""Analog neurons: their formula, what of them is frozen, and what they give to the next layer and to rules."""

import dataclasses

import numpy as np
import pytest

from imcsim.network.activations import ACTIVATIONS
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.neurons import Neurons, manufactured, outputs
from imcsim.network.on_chip import manufactured_network, program
from imcsim.rng import child
from imcsim.rules.backprop import hardware_in_the_loop
from imcsim.rules.rule import Batch
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.learning import AnalogNeurons
from imcsim.specs.library import load

SPREAD = AnalogNeurons(offset_in_sigma=0.1, offset_out_sigma=0.2, slope_sigma_rel=0.3, gain_sigma_rel=0.4)
CENTRE = {"offset_in": 0.0, "offset_out": 0.0, "slope": 1.0, "gain": 1.0}
IDEAL = load("sram_ideal").replace("dac", OneShotDAC(bits=8, out_of_range="clip"))
X = child(0, "samples").uniform(size=(30, 12))
Z = child(0, "sums").normal(0, 2, (50, 9))
EVERY_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS)


def start_of(activation="tanh", hidden=(9, 6)):
    return initial_mlp(NetworkSpec(hidden=hidden, activation=activation), 12, 4, child(0, "weights"))


def with_neurons(spread=SPREAD, activation="tanh", key=7):
    return manufactured_network(start_of(activation), IDEAL.replace("neurons", spread), key, child(0, "program"))


def test_a_neuron_scales_and_shifts_what_goes_in_and_what_comes_out():
    neurons = Neurons(*(child(0, name).normal(1, 0.3, 9) for name in Neurons._fields))
    expected = neurons.gain / (1 + np.exp(-neurons.slope * (Z - neurons.offset_in))) + neurons.offset_out
    np.testing.assert_allclose(outputs("sigmoid", neurons, Z), np.maximum(expected, 0), rtol=1e-12)
    expected = neurons.gain * np.tanh(neurons.slope * (Z - neurons.offset_in)) + neurons.offset_out
    np.testing.assert_allclose(outputs("tanh", neurons, Z), expected, rtol=1e-12)


@pytest.mark.parametrize("name", Neurons._fields)
def test_each_quantity_spreads_as_told_around_its_nominal_value_and_the_others_do_not(name, assert_moments):
    field = name + ("_rel" if name in ("slope", "gain") else "")
    field = field.replace("_rel", "_sigma_rel") if field.endswith("_rel") else f"{name}_sigma"
    neurons = manufactured(AnalogNeurons(**{field: 0.25}), 20_000, 3)
    assert_moments(getattr(neurons, name), CENTRE[name], 0.25)
    for other in set(Neurons._fields) - {name}:
        np.testing.assert_array_equal(getattr(neurons, other), CENTRE[other])


def test_quantities_units_layers_and_dies_are_independent():
    units = 20_000
    one, other = (manufactured(SPREAD, units, key) for key in (3, 4))
    streams = [*one, *other]
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlation).max() < 5 / np.sqrt(units)
    # a stream that is used twice would be told
    assert np.corrcoef(one.gain, manufactured(SPREAD, units, 3).gain)[0, 1] > 0.999


def test_neurons_are_those_of_their_die_however_often_it_is_programmed_and_read():
    first, again, elsewhere = with_neurons(), with_neurons(), with_neurons(key=8)
    for layer in range(2):
        for mine, same, others in zip(
            first.neurons[layer], again.neurons[layer], elsewhere.neurons[layer], strict=True
        ):
            np.testing.assert_array_equal(mine, same)
            assert not np.array_equal(mine, others)
    assert not np.array_equal(first.neurons[0].gain[:6], first.neurons[1].gain), "layers have neurons of their own"


def test_a_network_that_is_programmed_is_nominal_until_it_is_taken_to_a_die():
    spec = IDEAL.replace("neurons", SPREAD)
    nominal = program(start_of(), spec, child(0, "program"))
    assert nominal.neurons == (None, None)
    for mine, same in zip(nominal.on_die(7).neurons, with_neurons().neurons, strict=True):
        np.testing.assert_array_equal(mine, same)


def test_a_member_of_an_ensemble_has_the_neurons_that_it_has_alone():
    nominal = program(start_of(), IDEAL.replace("neurons", SPREAD), child(0, "program"))
    together = nominal.on_die([7, 8])
    for index, key in enumerate((7, 8)):
        for every, alone in zip(together.neurons, nominal.on_die(key).neurons, strict=True):
            for quantity, own in zip(every, alone, strict=True):
                np.testing.assert_array_equal(quantity[index, 0], own)


@EVERY_ACTIVATION
def test_neurons_without_spread_are_digital_ones_to_the_bit(activation):
    neurons = manufactured(AnalogNeurons(), 9, 3)
    np.testing.assert_array_equal(outputs(activation, neurons, Z), outputs(activation, None, Z))


@EVERY_ACTIVATION
def test_outputs_are_negative_only_where_the_next_inputs_have_a_sign(activation):
    neurons = manufactured(AnalogNeurons(offset_out_sigma=0.5), 9, 3)
    assert (neurons.offset_out < -0.2).any()
    found = outputs(activation, neurons, np.full((1, 9), -30.0))
    assert (found.min() < 0) == ACTIVATIONS[activation].signed
    if not ACTIVATIONS[activation].signed:
        assert (found == 0).any()


@EVERY_ACTIVATION
def test_a_slope_told_from_any_output_is_never_negative(activation):
    derivative = ACTIVATIONS[activation].derivative
    assert derivative(np.linspace(-3, 3, 601)).min() >= 0
    inside = ACTIVATIONS[activation].function(np.linspace(-2, 2, 41))
    assert derivative(inside).max() > 0
    if activation != "relu":
        np.testing.assert_array_equal(derivative(np.array([-1.2, 1.2])), 0.0)


def test_a_rule_takes_no_step_up_for_neurons_that_exceed_the_function():
    chip = learning_chip(
        start_of(hidden=(9,)), IDEAL.replace("neurons", SPREAD), "cross_entropy", 7, child(0, "program")
    ).calibrated(X, Y, child(0, "calibrate"))
    beyond = chip.chip.neurons[0]._replace(offset_out=np.full(9, 5.0))
    chip = dataclasses.replace(chip, chip=dataclasses.replace(chip.chip, neurons=(beyond,)))
    rule = hardware_in_the_loop()
    updates, _, _ = rule.step(chip, rule.init(chip, child(0)), Batch(X, Y), child(0, "step"))
    np.testing.assert_array_equal(updates[0].weights.delta, 0.0)
    assert np.abs(updates[1].weights.delta).max() > 0


Y = child(0, "labels").integers(0, 4, 30)


def test_a_learning_chip_reads_the_outputs_of_its_neurons():
    chip = learning_chip(start_of(), IDEAL.replace("neurons", SPREAD), "cross_entropy", 7, child(0, "program"))
    chip = chip.calibrated(X, Y, child(0, "calibrate"))
    reads = chip.forward(X, child(0, "read"))
    for layer, neurons in enumerate(chip.chip.neurons):
        expected = neurons.gain * np.tanh(neurons.slope * (reads.z[layer] - neurons.offset_in)) + neurons.offset_out
        np.testing.assert_allclose(reads.a_out[layer], expected, rtol=1e-12)
        np.testing.assert_array_equal(reads.a_in[layer + 1], reads.a_out[layer])
    np.testing.assert_array_equal(reads.a_out[-1], reads.z[-1])
