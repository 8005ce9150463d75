"""What a rule says it requires is what it asks of a network, and what a chip is said to lack is what it lacks."""

from __future__ import annotations

import pytest

from imcsim.errors import CapabilityError
from imcsim.network.capabilities import WORDS, lacking
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule, rule_options
from imcsim.specs.codec import overlay
from imcsim.specs.library import load
from imcsim.updates import Dense

MLP = initial_mlp(NetworkSpec(hidden=(4,)), 3, 3, child(0, "weights"))


class Without:
    """The ideal network without one of its attributes."""

    def __init__(self, name):
        self._name, self._network = name, IdealNetwork(MLP, "cross_entropy")

    def __getattr__(self, name):
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._network, name)


def options_of(name):
    on_chip = {"feedback_on": "chip"} if hasattr(rule_options(name), "feedback_on") else None
    return [{}, on_chip] if on_chip else [{}]


@pytest.mark.parametrize(("name", "options"), [(name, options) for name in RULES for options in options_of(name)])
def test_a_rule_requires_what_its_start_refuses_to_do_without(name, options):
    refused = set()
    for lacked in WORDS:
        try:
            learning_rule(name, options).init(Without(lacked), child(0, "init"))
        except CapabilityError:
            refused.add(lacked)
    assert refused == set(RULES[name].requires(rule_options(name, options)))


CHIPS = {
    "bare": load("sram_ideal"),
    "transposed": overlay(load("sram_ideal"), {"transpose": {"dac": {"signed": True}}}),
    "with feedback": overlay(load("sram_ideal"), {"feedback": {"dac": {"signed": True}}}),
    "pulsed": load("pulsed_generic"),
}


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_lacks_what_its_design_says_it_lacks(name):
    spec = overlay(CHIPS[name], {"dac": {"out_of_range": "clip"}})
    network = learning_chip(MLP, spec, "cross_entropy", 1, child(0, "program"))
    if name == "pulsed":  # until pulses were written, it is known what was asked for
        zeros = [(w * 0 + 0.5, b) for w, b in zip(MLP.weights, MLP.biases, strict=True)]
        network = network.write(tuple(LayerUpdate(Dense(w), b) for w, b in zeros), child(0, "write"))
    refused = set()
    for attribute in WORDS:
        try:
            getattr(network, attribute)
        except CapabilityError:
            refused.add(attribute)
    assert refused == set(lacking(spec))
