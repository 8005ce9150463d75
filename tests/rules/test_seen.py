"""Perturbations of all weights at once that a chip cannot write, or the loss ADC cannot see, are refused."""

import dataclasses

import numpy as np
import pytest
from rule_cases import SAMPLES, SHAPES, changes, network_of, one_step
from rule_chips import DESIGNS, EXACT, batch_for, on_chip

from imcsim.errors import SpecError
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import MLP, gradients
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.rules.seen import MOST_UNSEEN, unseen_after
from imcsim.specs.loss_adc import LossADC

PLAIN = DESIGNS["without errors"]
EVERY_RULE = pytest.mark.parametrize(("name", "option"), [("mgd", "norm"), ("mgd_analog", "norm"), ("spsa", "step")])


@EVERY_RULE
def test_a_perturbation_below_half_a_code_is_refused_with_one_that_is_not(name, option):
    network = on_chip(PLAIN)
    told = (
        rf"rule_options.{option} = 0.001: moves no weight by more than .*, below the write resolution: weights of layer"
    )
    with pytest.raises(SpecError, match=told) as error:
        learning_rule(name, {option: 0.001}).init(network, child(0, "init"))
    enough = float(error.value.problems[0].remedy.removeprefix("set it to ").split(" ")[0])
    learning_rule(name, {option: enough}).init(network, child(0, "init"))
    with pytest.raises(SpecError, match="below the write resolution"):
        learning_rule(name, {option: 0.89 * enough}).init(network, child(0, "init"))
    learning_rule(name, {option: 0.001}).init(network_of(), child(0, "init"))  # weights without codes


def test_perturbed_nodes_are_not_written_and_may_be_as_small_as_they_like():
    learning_rule("mgd", {"norm": 1e-6, "perturb": "nodes"}).init(on_chip(PLAIN), child(0, "init"))


@EVERY_RULE
def test_a_loss_adc_that_shows_none_of_many_perturbations_is_told_and_one_that_shows_some_is_not(name, option):
    many = {"mgd": {"tau_x": 60, "tau_theta": 60}, "mgd_analog": {"tau_x": 60}, "spsa": {"draws": 60}}[name]
    rule = learning_rule(name, {option: {"norm": 0.3, "step": 0.02}[option], **many})
    for adc, blind in ((LossADC(bits=2, full_scale=60.0), True), (LossADC(bits=16, full_scale=8.0), False)):
        network = on_chip(PLAIN.replace("loss_adc", adc))
        state = rule.init(network, child(0, "init"))
        _, state, _ = rule.step(network, state, batch_for(SAMPLES), child(0, "step"))
        if blind:
            with pytest.raises(SpecError, match=rf"rule_options.{option}: .* the loss ADC cannot see: none of 120"):
                rule.step(network, state, batch_for(SAMPLES), child(0, "step"))
        else:
            assert state.unseen is None


def test_a_single_perturbation_may_be_too_small_to_be_seen_and_later_ones_are_not_asked():
    network = on_chip(PLAIN.replace("loss_adc", LossADC(bits=2, full_scale=60.0)))
    unseen = 0
    for number in range(1, MOST_UNSEEN):
        unseen = unseen_after(network, unseen, np.zeros((1, 3)), "norm")
        assert unseen == number
    assert unseen_after(network, unseen, np.array([[0.0, 1.0]]), "norm") is None
    assert unseen_after(network, None, np.zeros((1000, 3)), "norm") is None
    with pytest.raises(SpecError, match="cannot see"):
        unseen_after(network, unseen, np.zeros((1, 3)), "norm")


def test_an_estimate_divides_by_what_a_write_in_whole_codes_makes_of_a_perturbation():
    chip, places = on_chip(EXACT.replace("array.weight_bits", 8)), sum((i + 1) * o for i, o in SHAPES)
    length, batch = 1 << places.bit_length(), batch_for(SAMPLES)
    mlp = MLP(chip.written, chip.biases, chip.activation)
    exact, _ = gradients(mlp, *batch, cross_entropy)
    for codes in (1.3, 1.7):  # one and two
        norm = codes * max(chip.weight_lsb) * np.sqrt(places)
        rule = learning_rule("mgd", {"code": "walsh", "norm": norm, "tau_x": length, "tau_theta": length})
        found = changes(one_step(rule, chip, batch, child(0, "run"))[0])
        for one, gradient in zip(found, exact, strict=False):
            assert (one * gradient).sum() / np.square(gradient).sum() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", ["np", "anp", "inp", "wp"])
def test_noise_of_which_the_loss_adc_shows_nothing_in_a_hundred_steps_is_refused(name):
    network, rule = network_of(), learning_rule(name, {"sigma": 1e-9})
    blind = dataclasses.replace(network, loss_adc=LossADC(bits=2, full_scale=8.0))
    state, batch = rule.init(blind, child(0, "init")), batch_for(SAMPLES)
    for number in range(MOST_UNSEEN - 1):
        _, state, _ = rule.step(blind, state, batch, child(0, "step", number))
    with pytest.raises(SpecError, match=r"rule_options.sigma: .* the loss ADC cannot see: none of 100"):
        rule.step(blind, state, batch, child(0, "step", MOST_UNSEEN))
    _, (_, unseen), _ = rule.step(network, rule.init(network, child(0, "init")), batch, child(0, "step"))
    assert unseen is None
