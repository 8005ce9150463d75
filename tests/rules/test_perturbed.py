"""What a perturbation comes to where weights have codes, and what is refused."""

import dataclasses

import numpy as np
import pytest
from rule_cases import SHAPES, network_of
from rule_chips import DESIGNS, on_chip

from imcsim.errors import SpecError
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.perturbed import reach, weight_steps
from imcsim.rules.seen import require_seen
from imcsim.specs.learning import WritePath
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.updates import Dense

PLAIN = DESIGNS["without errors"].replace("write", WritePath())
TOP = 127  # the largest code of 8 bits


def codes(network, layer):
    return np.rint(network.written[layer] / network.weight_lsb[layer]).astype(int)


def far_up(network):
    """The network with every weight at its largest code."""
    updates = (LayerUpdate(Dense(np.full(s, 1e3)), np.zeros(s[1])) for s in network.shapes)
    return network.write(tuple(updates), child(0, "far up"))


def test_weights_without_codes_move_as_they_are_told():
    pulsed = on_chip(load("pulsed_generic").replace("dac.signed", True).replace("dac.out_of_range", "clip"))
    for network in (network_of(), pulsed):
        far = reach(network, 1e-9)
        for up, down, shape in zip(far.up, far.down, SHAPES, strict=True):
            np.testing.assert_array_equal(up, np.full((shape[0] + 1, shape[1]), 1e-9))
            np.testing.assert_array_equal(down, -up)


@pytest.mark.parametrize(("lsbs", "whole"), [(0.5, 1), (1.4, 1), (1.6, 2), (7.3, 7)])
def test_a_perturbation_is_rounded_to_whole_codes_of_each_layer(lsbs, whole):
    network = on_chip(PLAIN)
    delta = lsbs * max(network.weight_lsb) * (1 + 1e-9)
    for layer, (step, lsb) in enumerate(zip(weight_steps(network, delta), network.weight_lsb, strict=True)):
        assert step == pytest.approx(np.floor(delta / lsb + 0.5) * lsb)
        if lsb == max(network.weight_lsb):
            assert step == pytest.approx(whole * lsb)
        up = reach(network, delta).up[layer]
        room = TOP - codes(network, layer)
        np.testing.assert_allclose(up[:-1], np.minimum(room, round(step / lsb)) * lsb, rtol=1e-9)
        np.testing.assert_array_equal(up[-1], delta)  # biases are digital


def test_one_below_half_a_code_is_refused_with_the_smallest_that_is_not():
    network = on_chip(PLAIN)
    coarsest = int(np.argmax(network.weight_lsb))
    told = rf"delta = 0.0001: moves no weight by more than 0.0001, below the write resolution: .* layer {coarsest} "
    with pytest.raises(SpecError, match=told) as error:
        weight_steps(network, 1e-4)
    smallest = float(error.value.problems[0].remedy.removeprefix("set it to ").split(" ")[0])
    half = max(network.weight_lsb) / 2
    assert half <= smallest <= 1.01 * half
    assert min(weight_steps(network, smallest)) > 0


def test_what_cannot_go_up_goes_down_and_its_span_is_half_as_long():
    network = far_up(on_chip(PLAIN))
    delta = max(network.weight_lsb)
    far = reach(network, delta)
    for up, down, span, lsb in zip(far.up, far.down, far.spans, network.weight_lsb, strict=True):
        step = round(delta / lsb) * lsb
        np.testing.assert_array_equal(up[:-1], 0.0)
        np.testing.assert_allclose(down[:-1], -step, rtol=1e-9)
        np.testing.assert_allclose(span[:-1], step / 2, rtol=1e-9)
        np.testing.assert_allclose(span[-1], delta)


@pytest.mark.parametrize("write", [WritePath(), WritePath(accumulator_bits=16), WritePath(rounding="stochastic")])
def test_it_is_what_a_write_of_the_steps_makes_of_the_weights(write):
    network = on_chip(PLAIN.replace("write", write))
    far = reach(network, 0.05)
    for sign, moved in ((1, far.up), (-1, far.down)):
        updates = tuple(LayerUpdate(Dense(sign * one[:-1]), sign * one[-1]) for one in far.asked)
        after = network.write(updates, child(1, "write"))
        for layer, one in enumerate(moved):
            np.testing.assert_allclose(after.written[layer] - network.written[layer], one[:-1], atol=1e-12)
            assert len(np.unique(one[:-1].round(9))) < 6, "whole codes"


def test_codes_of_one_bit_go_from_one_end_to_the_other():
    array = dataclasses.replace(PLAIN.array, weight_bits=1, cell_bits=1)
    network = on_chip(PLAIN.replace("array", array))
    far = reach(network, 10 * max(network.weight_lsb))
    for layer, (up, down) in enumerate(zip(far.up, far.down, strict=True)):
        signs = np.sign(network.written[layer])
        width = network.weight_lsb[layer]
        np.testing.assert_allclose(up[:-1], np.where(signs > 0, 0.0, width), rtol=1e-9)
        np.testing.assert_allclose(down[:-1], np.where(signs > 0, -width, 0.0), rtol=1e-9)


def test_a_loss_adc_that_shows_no_perturbation_is_told_with_its_lsb():
    blind = on_chip(PLAIN.replace("loss_adc", LossADC(bits=4, full_scale=15.0)))
    with pytest.raises(SpecError, match=r"rule_options.delta: .*cannot see: none of 7 changed its code \(LSB 1\)"):
        require_seen(blind, np.zeros(7))
    require_seen(blind, np.array([0.0, 1.0]))
    require_seen(on_chip(PLAIN), np.zeros(7))  # a loss that is read exactly tells that there is no slope
    require_seen(network_of(), np.zeros(7))
