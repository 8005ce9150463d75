"""How costs grow: monomials of weights, nodes and layers from two doublings, against forms that are known."""

import pytest

from imcsim.cost import Chip, growth_of
from imcsim.cost.growth import written
from imcsim.rules.library import rule_entry
from imcsim.specs.library import load


@pytest.mark.parametrize(
    ("weights", "nodes", "layers", "expected"),
    [
        (0, 0, 0, "1"),
        (1, 0, 0, "N"),
        (0, 1, 0, "n"),
        (1, 1, 0, "N n"),
        (2, 0, 0, "N^2"),
        (0, 0, 1, "L"),
        (1, 0, 1, "N L"),
        (1, 0, -1, "N/L"),
        (0, 0, -1, "1/L"),
        (2, 1, 2, "N^2 n L^2"),
    ],
)
def test_a_product_is_told_by_its_powers_of_width_and_depth(weights, nodes, layers, expected):
    assert written(2 * weights + nodes, weights + nodes + layers) == expected


def grows(name, spec=None):
    entry = rule_entry(name)
    return growth_of(entry, entry.options(), Chip(((64, 32), (32, 10)), spec, "tanh"))


@pytest.mark.parametrize("spec", [None, load("sram8t_65nm")], ids=["ideal", "sram8t_65nm"])
def test_passes_multiplications_and_memory_grow_as_the_papers_say(spec):
    # learning_rules.md, sections 1.4 and 3: B passes of N weights, whatever the network; an error and an input a node
    backprop = grows("hardware_in_the_loop", spec)
    assert (backprop["forward_passes"], backprop["multiplications"], backprop["stored"]) == ("1", "N", "n")
    # two passes for node perturbation, a random number a node; a pass a layer, one layer at a time
    assert (grows("np", spec)["forward_passes"], grows("np", spec)["random_numbers"]) == ("1", "n")
    assert grows("inp", spec)["forward_passes"] == "L"
    assert grows("inp", spec)["multiplications"] == "N L"
    # fixed magnitudes hold a scalar a weight; those redrawn hold one layer's
    assert (grows("frsf", spec)["stored"], grows("brsf", spec)["stored"]) == ("N", "N/L")


def test_reads_of_an_array_a_layer_grow_with_the_layers_and_those_of_tiles_with_the_weights():
    assert grows("np")["array_reads"] == "L"
    assert grows("np", load("sram8t_65nm"))["array_reads"] == "N"


def test_what_is_not_asked_for_does_not_grow():
    assert grows("np")["backward_reads"] == ""
    assert grows("on_chip_backprop")["backward_reads"] == "L"
