"""Hidden neurons: an activation function that is digital, or circuits each of which has one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.activations import ACTIVATIONS
from imcsim.rng import Generators, Keys, children, draw_keys, drawn
from imcsim.specs.learning import AnalogNeurons

Array = np.ndarray[Any, Any]


class Neurons(NamedTuple):
    """The circuits of a hidden layer: what is frozen of each, (units,), or of an ensemble (members, 1, units)."""

    offset_in: Array
    offset_out: Array
    slope: Array
    gain: Array


def manufactured(spec: AnalogNeurons, units: int, keys: Keys) -> Neurons:
    """The neurons of a layer of the die of a key, or of an ensemble, a key a member."""

    def normal(name: str) -> Array:
        drawn_of = drawn(children(keys, "neurons", name), lambda rng: rng.standard_normal((units,)))
        return drawn_of if isinstance(keys, int) else drawn_of[:, None]

    return Neurons(
        offset_in=spec.offset_in_sigma * normal("offset_in"),
        offset_out=spec.offset_out_sigma * normal("offset_out"),
        slope=1.0 + spec.slope_sigma_rel * normal("slope"),
        gain=1.0 + spec.gain_sigma_rel * normal("gain"),
    )


def manufactured_layers(spec: AnalogNeurons, units: Sequence[int], rng: Generators) -> tuple[Neurons, ...]:
    """The neurons of layers of so many units, as an ideal network takes them; of members with generators of theirs."""
    keys = draw_keys(rng)
    return tuple(manufactured(spec, many, draw_keys(children(keys, "layer", k))) for k, many in enumerate(units))


def outputs(activation: str, neurons: Neurons | None, z: Array) -> Array:
    """What a hidden layer makes of its sums z (..., samples, units); None: digital neurons.

    gain f(slope (z - offset_in)) + offset_out (McCaughan et al. 2023), no less than 0 where f has no sign: nothing
    drives the next array below.
    """
    of = ACTIVATIONS[activation]
    if neurons is None:
        return np.asarray(of.function(z))
    made = neurons.gain * of.function(neurons.slope * (z - neurons.offset_in)) + neurons.offset_out
    return np.asarray(made if of.signed else np.maximum(made, 0.0))


def slopes(activation: str, neurons: Neurons | None, z: Array) -> Array:
    """The slope of `outputs` at sums z (..., samples, units): of each circuit its own, 0 where nothing is driven."""
    of = ACTIVATIONS[activation]
    if neurons is None:
        return np.asarray(of.derivative(of.function(z)))
    inner = of.function(neurons.slope * (z - neurons.offset_in))
    found = neurons.gain * neurons.slope * of.derivative(inner)
    return np.asarray(found if of.signed else found * (neurons.gain * inner + neurons.offset_out > 0.0))
