"""A network that is said to draw at its reads reads the same samples twice differently, and no other does."""

import pytest

from imcsim.errors import CapabilityError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.rng import child
from imcsim.specs.codec import overlay
from imcsim.specs.library import load

MLP = initial_mlp(NetworkSpec(hidden=(12,)), 20, 4, child(0, "weights"))
X, Y = child(0, "x").uniform(0, 1, (30, 20)), child(0, "y").integers(0, 4, 30)
CHANGES = {
    "nothing": {},
    "read noise": {"cell": {"read_noise_rel": 0.1}},
    "stochastic rounding": {"adc": {"rounding": "stochastic", "bits": 3, "range": "mse"}},
}


def on_chip(changes):
    spec = overlay(overlay(load("sram_ideal"), {"dac": {"out_of_range": "clip"}}), changes)
    return learning_chip(MLP, spec, "cross_entropy", 1, child(0, "program")).calibrated(X, Y, child(0, "calibrate"))


def differ(network):
    first, second = (network.forward(X, child(0, "read", i)).z for i in range(2))
    return any((one != other).any() for one, other in zip(first, second, strict=True))


def said_to_draw(network):
    try:
        return network.noisy_reads
    except (AttributeError, CapabilityError):
        return False


@pytest.mark.parametrize("name", CHANGES)
def test_a_chip_draws_at_its_reads_where_its_design_says_so(name):
    network = on_chip(CHANGES[name])
    assert said_to_draw(network) == network.chip.draws == differ(network) == (name != "nothing")


def test_a_silent_chip_says_what_would_make_it_draw():
    with pytest.raises(CapabilityError, match="draws nothing at its reads; give the cell read noise"):
        _ = on_chip({}).noisy_reads


@pytest.mark.parametrize(("kind", "noise_lsb"), [("arrays", 0.0), ("arrays", 2.0), ("digital", 0.0)])
def test_matrices_on_arrays_ahead_of_silent_layers_make_a_chip_draw_where_they_do(kind, noise_lsb):
    of_matrices = {"dac": {"out_of_range": "clip"}, "adc": {"noise_lsb": noise_lsb}} if kind == "arrays" else {}
    network = on_chip({"dac": {"signed": True}, "decorrelation": {"kind": kind, **of_matrices}})
    assert not any(layer.draws for layer in network.chip.layers)
    assert said_to_draw(network) == network.chip.draws == differ(network) == (noise_lsb > 0)


@pytest.mark.parametrize("field", ["weight_noise_rel", "output_noise_rel", "output_noise"])
def test_a_float_network_draws_where_noise_is_injected(field):
    network = NoisyNetwork(MLP, "cross_entropy", injected=InjectionSpec(**{field: 0.1}))
    assert said_to_draw(network)
    assert differ(network)


@pytest.mark.parametrize(
    "network",
    [
        IdealNetwork(MLP, "cross_entropy"),
        NoisyNetwork(MLP, "cross_entropy", injected=InjectionSpec(weight_bits=4)),
    ],
    ids=["ideal", "quantised"],
)
def test_a_float_network_without_noise_does_not(network):
    assert not said_to_draw(network)
    assert not differ(network)
