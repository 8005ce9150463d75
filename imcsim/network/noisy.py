"""A float network that is trained with the errors of a chip in its forward passes: hardware-aware training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.errors import CapabilityError
from imcsim.mapping import largest_code
from imcsim.network.ideal import IdealNetwork
from imcsim.network.passes import layer_by_layer
from imcsim.network.probing import in_turn
from imcsim.network.protocols import Probed, Probes, Reads
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class InjectionSpec(Spec):
    """What a layer's forward pass is given of a chip: quantisation where bits are told, and Gaussian noise.

    `weight_noise_rel`: its standard deviation, relative to the largest weight of the layer, one draw a weight and a
    pass. `output_noise_rel`: relative to the largest sum of the layer in the pass, one draw a sum; `output_noise`: the
    same in units of the sums, whatever their size. `weight_bits`, `input_bits`: steps up to the largest weight of the
    layer, and up to the largest input of the pass.
    """

    weight_noise_rel: float = limited(0.0, low=0.0, high=10.0, unit="1")
    output_noise_rel: float = limited(0.0, low=0.0, high=10.0, unit="1")
    output_noise: float = limited(0.0, low=0.0, high=1e6)
    weight_bits: int | None = limited(None, low=2, high=16)
    input_bits: int | None = limited(None, low=2, high=16)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoisyNetwork(IdealNetwork):
    """An ideal network whose forward passes go through quantised and noisy weights, as `injected` tells.

    What is written are the weights themselves, in float. A rule that sends errors down through them, by outer products
    with the inputs and derivatives as they were read, has the straight-through gradient of quantisation, d round(w)/dw
    = 1, as no step ends short of the largest value, and the plain one of additive noise.
    """

    injected: InjectionSpec

    @property
    def noisy_reads(self) -> bool:
        """True. Raises CapabilityError where no noise is injected."""
        told = self.injected
        if told.weight_noise_rel == told.output_noise_rel == told.output_noise == 0.0:
            raise CapabilityError.of("injected", "no noise is injected", remedy="give output_noise")
        return True

    def forward(
        self, x: Array, rng: Generators, *, nodes: tuple[Array | None, ...] | None = None, now_s: float = 0.0
    ) -> Reads:
        del now_s  # a float network does not drift
        keys, told = draw_keys(rng), self.injected

        def read(layer: int, x: Array) -> tuple[Array, Array]:
            x, weights = quantised_inputs(self._entering(layer, x), told.input_bits), self.mlp.weights[layer]
            seen = quantised(weights, told.weight_bits)
            # Joshi et al. 2020, Nat. Commun. 11, 2473: N(0, (eta max|W|)^2) a weight (unverified)
            seen = _with_noise(seen, _of_largest(told.weight_noise_rel, weights), children(keys, "weight noise", layer))
            z = x @ seen + self.mlp.biases[layer][..., np.newaxis, :]
            relative = _of_largest(told.output_noise_rel, z)
            z = _with_noise(z, relative, children(keys, "output noise", layer))
            return x, _with_noise(z, told.output_noise, children(keys, "absolute output noise", layer))

        return layer_by_layer(len(self.shapes), x, read, self._outputs, nodes)

    def probe(self, x: Array, target: Array, probes: Probes, rng: Generators, *, now_s: float = 0.0) -> Probed:
        return in_turn(self, x, target, probes, rng, now_s, self._written_back)  # each pass draws noise of its own


def quantised(values: Array, bits: int | None) -> Array:
    """Values (..., m, n) in 2^bits - 1 levels symmetric about zero, the outermost at the largest size of the matrix."""
    return values if bits is None else _in_steps(values, largest_code(bits))


def quantised_inputs(values: Array, bits: int | None) -> Array:
    """Inputs (..., samples, units) in steps up to the largest: levels from 0 up, or symmetric where some are < 0."""
    if bits is None:
        return values
    return _in_steps(values, largest_code(bits) if (values < 0).any() else 2**bits - 1)


def _in_steps(values: Array, top: int) -> Array:
    largest = _largest(values)
    step = np.where(largest > 0, largest, 1.0) / top
    return np.asarray(step * np.rint(values / step))


def _with_noise(values: Array, sigma: Array | float, rng: Generators) -> Array:
    """Values with Gaussian noise of standard deviation sigma, (..., 1, 1) or a number; of 0.0 the very same."""
    if isinstance(sigma, float) and sigma == 0.0:
        return values
    normals = drawn(rng, lambda one: one.standard_normal(values.shape[-2:]))
    return np.asarray(values + sigma * normals)


def _of_largest(relative: float, values: Array) -> Array | float:
    """So much of the largest size of each matrix (..., m, n) -> (..., 1, 1)."""
    return relative * _largest(values) if relative else 0.0


def _largest(values: Array) -> Array:
    """The largest size of a matrix (..., m, n) -> (..., 1, 1)."""
    return np.asarray(np.abs(values).max(axis=(-2, -1), keepdims=True))
