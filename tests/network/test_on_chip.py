"""A trained network on a chip: the quantised network exactly, the float one within rounding, a die of its own a key."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp, logits
from imcsim.network.on_chip import calibrate, layer_specs, program
from imcsim.rng import child, draw_key
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.chip import ChipSpec
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import PowerDrift, ResistiveCell
from imcsim.specs.transpose import TransposeRead

IDEAL = load("sram_ideal")
REAL = load("sram8t_65nm")
EVERY_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS)


def network_of(activation="relu", hidden=(12, 9)):
    rng = child(0, "network", activation)
    mlp = initial_mlp(NetworkSpec(hidden=hidden, activation=activation), 20, 4, rng)
    return MLP(mlp.weights, tuple(rng.normal(0, 0.1, b.shape) for b in mlp.biases), activation)


X = child(0, "samples").uniform(size=(60, 20))


def on_chip(mlp, spec, x=X):
    rng = child(0, "chip")
    return calibrate(program(mlp, spec, rng), x, rng)


def rounded(value, step, low, top):
    return step * np.clip(np.rint(value / step), low, top)


@EVERY_ACTIVATION
def test_an_ideal_chip_computes_the_quantised_network(activation):
    mlp, bits = network_of(activation), 8
    network = on_chip(mlp, IDEAL)
    a = X
    for index, (layer, weights, biases) in enumerate(zip(network.layers, mlp.weights, mlp.biases, strict=True)):
        signed = index > 0 and activation == "tanh"
        top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        # 127 weight codes either side; the ADC covers 128 rows with an LSB of one: only inputs and weights round
        z = rounded(a, layer.input_step, -top if signed else 0, top) @ rounded(weights, layer.scale, -127, 127) + biases
        a = ACTIVATIONS[activation].function(z)
    np.testing.assert_allclose(network.logits(X, child(0, "read")), z, rtol=1e-9, atol=1e-9)


@EVERY_ACTIVATION
def test_the_logits_of_an_ideal_chip_approach_those_of_the_float_network_as_bits_are_added(activation):
    mlp = network_of(activation)
    spec = IDEAL.replace("adc", IdealADC())

    def error(bits):
        network = on_chip(mlp, spec.replace("array.weight_bits", bits).replace("dac.bits", bits))
        return np.std(network.logits(X, child(0, "read")) - logits(mlp, X)) / np.std(logits(mlp, X))

    # every bit halves the steps of weights and inputs: four bits, sixteenfold
    assert error(8) < 0.05
    assert 8 < error(6) / error(10) < 32
    assert error(14) < 1e-3


def test_hidden_layers_get_signed_inputs_where_the_activation_is_signed_and_the_first_as_the_design_says():
    signs = {activation: [spec.dac.signed for spec in layer_specs(IDEAL, activation, 3)] for activation in ACTIVATIONS}
    assert signs == {"relu": [False] * 3, "tanh": [False, True, True], "sigmoid": [False] * 3}
    signed = IDEAL.replace("dac.signed", True)
    assert [spec.dac.signed for spec in layer_specs(signed, "relu", 3)] == [True, False, False]
    assert layer_specs(IDEAL, "relu", 1) == (IDEAL,)


def test_signed_samples_need_a_signed_design():
    with pytest.raises(SpecError, match=r"x: must not be negative: the DAC is unsigned; set dac.signed = true"):
        on_chip(network_of(), IDEAL, X - 0.5)
    on_chip(network_of(), IDEAL.replace("dac.signed", True), X - 0.5)


def test_a_bit_line_that_takes_inputs_in_one_shot_cannot_run_tanh():
    spec = REAL.replace("dac", OneShotDAC())
    with pytest.raises(SpecError, match=r"dac.signed = true: a bit line only discharges.*bit_serial"):
        program(network_of("tanh"), spec, child(0, "chip"))
    program(network_of("relu"), spec, child(0, "chip"))


def test_a_network_without_hidden_layers_has_no_activation_to_refuse():
    program(network_of("tanh", hidden=()), REAL.replace("dac", OneShotDAC()), child(0, "chip"))


def test_a_network_that_is_not_calibrated_says_so():
    with pytest.raises(CapabilityError, match="ranges must be calibrated"):
        program(network_of(), REAL, child(0, "chip")).logits(X, child(0, "read"))


def test_calibration_is_by_what_reaches_a_layer_through_the_chip():
    mlp = network_of(hidden=(12,))
    network = on_chip(mlp, IDEAL.replace("dac.input_scale", "max").replace("array.weight_bits", 2))
    first = network.layers[0]
    hidden = np.maximum(first.mvm(X, child(0, "read")) + mlp.biases[0], 0)
    assert network.layers[1].input_step == pytest.approx(hidden.max() / 255, rel=1e-12)
    exact = np.maximum(X @ mlp.weights[0] + mlp.biases[0], 0)
    assert network.layers[1].input_step != pytest.approx(exact.max() / 255, rel=1e-3)


def test_calibration_draws_no_luck_the_nominal_die_has_none():
    networks = [calibrate(program(network_of(), REAL, child(k)), X, child(k)) for k in range(2)]
    for one, other in zip(*(network.layers for network in networks), strict=True):
        assert (one.input_step, one.ranges) == (other.input_step, other.ranges)


def test_a_die_keeps_weights_and_ranges_and_brings_its_own_mismatch():
    network = on_chip(network_of(), REAL)
    die = network.on_die(7)
    for nominal, own in zip(network.layers, die.layers, strict=True):
        assert (own.scale, own.input_step, own.ranges) == (nominal.scale, nominal.input_step, nominal.ranges)
        np.testing.assert_array_equal(own.codes, nominal.codes)
        assert (nominal.die.currents == 1).all()
        assert own.die.currents.std() == pytest.approx(1.8 * 0.0238 / 0.3, rel=0.1)
    for one, other in zip(die.biases, network.biases, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_key_is_the_same_die_another_key_another_and_no_two_layers_share_cells():
    network = on_chip(network_of(hidden=(20, 20)), REAL)
    one, again, other = (network.on_die(key) for key in (7, 7, 8))
    noise = child(0, "read"), child(0, "read"), child(0, "read")
    logits_of = [die.logits(X, rng) for die, rng in zip((one, again, other), noise, strict=True)]
    np.testing.assert_array_equal(logits_of[0], logits_of[1])
    assert (logits_of[0] != logits_of[2]).all()
    first, second = (layer.die.currents.ravel() - 1 for layer in one.layers[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)


def test_a_real_die_stays_close_to_the_network_it_carries_and_reads_differ():
    mlp = network_of()
    die = on_chip(mlp, REAL).on_die(7)
    rng = child(0, "read")
    first, second = die.logits(X, rng), die.logits(X, rng)
    assert (first != second).mean() > 0.9
    for read in (first, second):
        correlation = np.corrcoef(read.ravel(), logits(mlp, X).ravel())[0, 1]
        assert 0.9 < correlation < 1 - 1e-6


def test_the_nominal_die_reads_without_noise():
    network = on_chip(network_of(), REAL.replace("adc.noise_lsb", 2.0))
    np.testing.assert_array_equal(network.logits(X, child(0, "read")), network.logits(X, child(1, "read")))


def test_the_conversion_noise_of_the_design_reaches_its_dies(assert_moments):
    mlp = network_of(hidden=())
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, noise_lsb=3.0)
    spec = IDEAL.replace("adc", adc).replace("array.weight_bits", 2).replace("dac.bits", 2)
    die = on_chip(mlp, spec).on_die(7)
    y = (die.logits(np.zeros((10_000, 20)), child(0, "read")) - mlp.biases[0]) / (
        die.layers[0].scale * die.layers[0].input_step
    )
    # cycles worth 1 and 2, two polarities of one slice; every code is rounded besides
    assert_moments(y, 0, 0.5 * np.sqrt((9 + 1 / 12) * (1 + 4) * 2))


@pytest.mark.parametrize("error", ["gain_sigma_rel", "offset_sigma_lsb"])
def test_the_frozen_errors_of_the_converters_reach_the_dies_and_spare_the_nominal_one(error):
    spec = IDEAL.replace(f"adc.{error}", 0.5)
    network = on_chip(network_of(), spec)
    ideal = on_chip(network_of(), IDEAL).logits(X, child(0, "read"))
    np.testing.assert_array_equal(network.logits(X, child(0, "read")), ideal)
    assert (network.on_die(7).logits(X, child(0, "read")) != ideal).mean() > 0.5


def test_layers_do_not_share_their_noise(assert_moments):
    # two layers that multiply by one: the noise of both adds up
    spec = IDEAL.replace("cell.read_noise_rel", 0.01).replace("adc", IdealADC()).replace("dac.bits", 1)
    spec = spec.replace("array.weight_bits", 1).replace("dac", OneShotDAC(bits=16, input_scale="max"))
    mlp = MLP((np.ones((1, 1)), np.ones((1, 1))), (np.zeros(1), np.zeros(1)), "relu")
    die = on_chip(mlp, spec, np.array([[2.0]])).on_die(7)
    assert_moments(die.logits(np.ones((40_000, 1)), child(0, "read")), 1, 0.01 * np.sqrt(2))


def ensemble(network, members):
    return network.on_die(range(members)), [child(0, "read", k) for k in range(members)]


def test_an_ensemble_of_dies_gives_each_the_bits_it_has_alone():
    network = on_chip(network_of(), load("sram8t_65nm"))
    dies, rngs = ensemble(network, 4)
    together = dies.logits(X, rngs)
    for k in range(4):
        np.testing.assert_array_equal(together[k], network.on_die(k).logits(X, child(0, "read", k)))


def test_trimming_takes_the_errors_of_the_converters_off_every_layer_of_every_die():
    spec = IDEAL.replace("adc", UniformADC(bits=10, range="given", lo=-20, hi=148, offset_sigma_lsb=5.0))
    network = on_chip(network_of(), spec)
    exact = network.logits(X, child(0, "read"))
    dies, rngs = ensemble(network, 3)
    trimmed = dies.trim([child(0, "trim", k) for k in range(3)])
    off, left = (np.std(of.logits(X, rngs) - exact, axis=(1, 2)) for of in (dies, trimmed))
    # rounding stays, of 0.4 LSB beside offsets of 5 a conversion; a few dies and samples tell a factor of two
    assert (left < 2 * 0.4 / 5 * off + 0.1 * off).all()
    alone = network.on_die(2).trim(child(0, "trim", 2)).logits(X, child(0, "read", 2))
    np.testing.assert_array_equal(trimmed.logits(X, [child(0, "read", k) for k in range(3)])[2], alone)


def test_a_die_needs_a_whole_number_for_a_key():
    with pytest.raises(SpecError, match="must be an integer of 64 bits"):
        manufacture(IDEAL, (3, 2), 1.5)


# ---- backward

BACK = IDEAL.replace("transpose", TransposeRead(adc=UniformADC(range="mse", bits=10)))


def test_errors_go_back_through_the_cells_of_a_layer():
    mlp = network_of()
    network = on_chip(mlp, BACK.replace("cell.mismatch_sigma_rel", 0.4)).on_die(7)  # beyond what an LSB hides
    for layer, crossbar in enumerate(network.layers):
        e = child(0, "e", layer).normal(size=(40, crossbar.die.shape[1]))
        with pytest.raises(CapabilityError, match="call calibrate_t"):
            network.backward(layer, e, child(0, "read"))
        ready = network.calibrate_backward(layer, e)
        back = ready.backward(layer, e, child(0, "read"))
        as_written = e @ crossbar.written.T
        assert back.shape == (40, crossbar.die.shape[0])
        assert 0.03 < np.std(back - as_written) / np.std(as_written) < 0.5
        np.testing.assert_array_equal(ready.logits(X, child(0, "read")), network.logits(X, child(0, "read")))


def test_each_layer_carries_errors_back_with_a_stream_of_its_own():
    spec = BACK.replace("cell.read_noise_rel", 0.1).replace("transpose.adc.range", "full")
    network = on_chip(network_of(hidden=(12, 12)), spec).on_die(7)
    e = np.ones((3, 12))
    for layer in (0, 1):
        stream = child(draw_key(child(0, "read")), "backward", layer)
        expected = network.layers[layer].mvm_t(e, stream)
        np.testing.assert_array_equal(network.backward(layer, e, child(0, "read")), expected)
        assert (network.backward(layer, e, child(1, "read")) != expected).mean() > 0.5
    members = network.on_die([7, 8])
    rngs = [child(k, "read") for k in range(2)]
    together = members.backward(1, e, rngs)
    for k, key in enumerate((7, 8)):
        np.testing.assert_array_equal(together[k], network.on_die(key).backward(1, e, child(k, "read")))


# ---- drift

NU, T0_S, LATER_S = 0.05, 20.0, 1e6
CLIPPING = IdealDAC(out_of_range="clip")  # of what rounding lifts above the largest input
FALLEN = ((LATER_S + T0_S) / T0_S) ** -NU


def drifting(**changes):
    cell = ResistiveCell(g_max_S=25e-6, t0_s=T0_S, drift=PowerDrift(nu_mean=ConstantCurve(value=NU), **changes))
    return ChipSpec(cell=cell, array=ArraySpec(weight_bits=8, cell_bits=7), dac=CLIPPING, adc=IdealADC())


@pytest.mark.parametrize("per_column", [False, True])
def test_compensation_undoes_the_drift_that_all_cells_share_layer_by_layer(per_column):
    die = on_chip(network_of(), drifting()).on_die(7)
    fresh = die.logits(X, child(0, "read"))
    drifted = die.logits(X, child(0, "read"), now_s=LATER_S)
    assert np.abs(drifted - fresh).max() > 0.1 * np.abs(fresh).max()
    mended = die.compensate(X[:20], child(0, "probe"), now_s=LATER_S, per_column=per_column)
    np.testing.assert_allclose(mended.logits(X, child(0, "read"), now_s=LATER_S), fresh, rtol=1e-3, atol=1e-3)
    for layer in mended.layers:
        # a deeper layer's factor is its own: what the layers before it lost is not in it
        np.testing.assert_allclose(layer.gain[layer.gain != 1], 1 / FALLEN, rtol=1e-4)
        assert layer.gain.shape == (1, layer.die.shape[1] if per_column else 1)


def test_a_later_compensation_takes_the_place_of_an_earlier_one():
    die = on_chip(network_of(), drifting()).on_die(7)
    early = die.compensate(X, child(0, "probe"), now_s=1e3)
    late = early.compensate(X, child(0, "probe"), now_s=LATER_S)
    for one, other in zip(late.layers, die.compensate(X, child(0, "probe"), now_s=LATER_S).layers, strict=True):
        np.testing.assert_array_equal(one.gain, other.gain)
    assert (early.layers[0].gain < late.layers[0].gain).all()


def test_a_die_of_a_compensated_ensemble_has_the_bits_it_has_alone():
    network = on_chip(network_of(), dataclasses.replace(load("pcm"), dac=CLIPPING, adc=IdealADC()))
    dies, rngs = ensemble(network, 3)
    probing = [child(0, "probe", k) for k in range(3)]
    together = dies.compensate(X, probing, now_s=1e4, per_column=True).logits(X, rngs, now_s=1e4)
    for k in range(3):
        alone = network.on_die(k).compensate(X, child(0, "probe", k), now_s=1e4, per_column=True)
        np.testing.assert_array_equal(alone.logits(X, child(0, "read", k), now_s=1e4), together[k])
    assert (together[0] != together[1]).any()
