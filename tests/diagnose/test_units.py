"""Saturated and dead units, and conversions that clip: planted ones are found, sound ones are not."""

import dataclasses

import numpy as np
import pytest

from imcsim import CapabilityError, NetworkSpec, child, initial_mlp
from imcsim.diagnose import saturated_and_dead
from imcsim.faults import stuck_adc
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP
from imcsim.specs.adc import UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import OneShotDAC

X = child(0, "x").uniform(0, 1, (200, 6))
STEEP, OFF = 2, 4


def network(activation):
    """Two hidden layers of 8 and 5; of the first, unit STEEP has large weights and unit OFF sums below zero."""
    mlp = initial_mlp(NetworkSpec(hidden=(8, 5), activation=activation), 6, 3, child(1, "start"))
    first, biases = mlp.weights[0].copy(), mlp.biases[0].copy()
    first[:, STEEP], biases[STEEP] = 0.0, 50.0
    first[:, OFF], biases[OFF] = -1.0, -1e-3
    first[0, STEEP] = 1.0
    return IdealNetwork(MLP((first, *mlp.weights[1:]), (biases, *mlp.biases[1:]), activation), "cross_entropy")


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_unit_driven_to_the_end_of_its_range_is_saturated_and_no_other_is(activation):
    report = saturated_and_dead(network(activation), X, child(2, "read"))
    assert [layer.saturated for layer in report.layers] == [(STEEP,), (), ()]
    assert "layer 0: saturated: 2" in str(report)


def test_a_relu_that_is_never_active_is_dead_and_one_of_large_sums_is_not_saturated():
    first, *_ = saturated_and_dead(network("relu"), X, child(2, "read")).layers
    assert OFF in first.dead
    assert STEEP not in first.dead
    assert first.saturated == ()
    assert (first.flat_of_unit[OFF], first.flat_of_unit[STEEP]) == (1.0, 0.0)


def test_the_share_without_a_slope_is_counted_over_samples_and_units():
    report = saturated_and_dead(network("relu"), X, child(2, "read"))
    reads = network("relu").forward(X, child(2, "read"))
    for layer in (0, 1):
        assert report.layers[layer].flat == np.mean(reads.z[layer] <= 0)
    assert report.layers[2].flat == 0, "the outputs have no activation"


@pytest.mark.parametrize(("activation", "at"), [("tanh", np.arctanh(np.sqrt(0.95))), ("sigmoid", 4.3567)])
def test_flat_is_a_slope_of_less_than_a_twentieth_of_the_steepest(activation, at):
    # tanh: 1 - a^2 = 0.05; sigmoid: a (1 - a) = 0.05 / 4 at a = 0.98734, z = log(a / (1 - a))
    one = IdealNetwork(MLP((np.eye(1), np.eye(1)), (np.zeros(1), np.zeros(1)), activation), "mse")
    for z, flat in ((0.999 * at, 0.0), (1.001 * at, 1.0), (-1.001 * at, 1.0)):
        assert saturated_and_dead(one, np.full((2, 1), z), child(0, "read")).layers[0].flat == flat


def chip(adc_bits=8, adc_range="full"):
    spec = ChipSpec(
        cell=SramCell(),
        array=ArraySpec(rows=8, cols=8, weight_bits=6, cell_bits=5, weight_scale="max"),
        dac=OneShotDAC(bits=6, signed=True, out_of_range="clip"),
        adc=UniformADC(bits=adc_bits, range=adc_range, percentile=60.0)
        if adc_range == "percentile"
        else UniformADC(bits=adc_bits, range=adc_range),
    )
    start = initial_mlp(NetworkSpec(hidden=(8, 5), activation="tanh"), 6, 3, child(1, "start"))
    made = learning_chip(start, spec, "cross_entropy", 7, child(0, "program"))
    return made.calibrated(X, np.zeros(len(X), int), child(0, "calibrate"))


def test_a_column_of_a_chip_that_is_stuck_is_dead():
    sound = chip(12)
    faulty = sound.chip.with_layer(1, stuck_adc(sound.chip.layers[1], 3, 17))
    report = saturated_and_dead(dataclasses.replace(sound, chip=faulty), X, child(2, "read"))
    assert [layer.dead for layer in report.layers] == [(), (3,), ()]
    assert [layer.dead for layer in saturated_and_dead(sound, X, child(2, "read")).layers] == [(), (), ()]


def test_conversions_that_clip_are_told_by_the_diagnosis_of_the_ranges():
    wide, narrow = (saturated_and_dead(chip(8, kind), X, child(2, "read")) for kind in ("full", "percentile"))
    assert [layer.clipped for layer in wide.layers] == [0, 0, 0]
    for layer in narrow.layers:
        assert layer.clipped == max(entry.clipped_low + entry.clipped_high for entry in layer.converters.slices) > 0
    assert "ADC: slice 0" in str(narrow)


def test_a_network_without_converters_has_none_to_diagnose():
    report = saturated_and_dead(network("tanh"), X, child(2, "read"))
    assert [layer.converters for layer in report.layers] == [None] * 3


def test_ensembles_are_diagnosed_one_by_one():
    one = network("tanh").mlp
    members = MLP(tuple(np.stack([w, w]) for w in one.weights), tuple(np.stack([b, b]) for b in one.biases), "tanh")
    with pytest.raises(CapabilityError, match="diagnosed one at a time"):
        saturated_and_dead(IdealNetwork(members, "cross_entropy"), X, child(2, "read"))
