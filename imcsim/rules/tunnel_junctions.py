"""Stochastic magnetic tunnel junctions as a source of noise: a voltage that jumps between two levels by itself.

A superparamagnetic junction is in one of two states s = -1, 1, which thermal energy flips: a random telegraph signal,
whose autocorrelation after k samples is (1 - 2 p)^k.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from imcsim.errors import Problem
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class TunnelJunctions(Spec):
    """`junctions` stochastic magnetic tunnel junctions a node, whose voltages are added to its sum, times `gain`.

    V = offset_V + white_noise_V N(0, 1) + s step_V, s = -1 or 1, which flips with `flip_probability` from sample to
    sample; `gain` is in units of the sums a volt. The defaults are those of the code of Koenders et al. 2025 (Phys.
    Rev. Applied 23, 054035; unverified against the paper): of one measured junction, valid for it and its sample rate.
    """

    kind: ClassVar[str] = "tunnel_junctions"

    junctions: int = limited(1, low=1, high=1000)
    gain: float = limited(1.0, low=1e-9, high=1e9)
    offset_V: float = limited(0.0421, low=-10.0, high=10.0, unit="V")
    white_noise_V: float = limited(9.08e-4, low=0.0, high=10.0, unit="V")
    step_V: float = limited(0.00593, low=0.0, high=10.0, unit="V")
    flip_probability: float = limited(0.0809, low=0.0, high=1.0)

    @property
    def sigma(self) -> float:
        """The standard deviation of what is added to a sum, in its units."""
        return self.gain * math.sqrt(self.junctions * (self.white_noise_V**2 + self.step_V**2))

    def problems(self) -> Iterable[Problem]:
        if self.white_noise_V == 0.0 and (self.step_V == 0.0 or self.flip_probability == 0.0):
            allowed = "must be greater than 0 where no junction flips: two passes would not differ"
            yield Problem(("white_noise_V",), allowed, given="0.0", remedy="give step_V and flip_probability as well")


class Junctions(NamedTuple):
    """The states s, -1 or 1, of the junctions of each layer: (..., junctions, units)."""

    states: tuple[Array, ...]


def first_states(spec: TunnelJunctions, units: tuple[int, ...], rng: Generators) -> Junctions:
    """The junctions of layers of so many units as they are found: each in one state as likely as in the other."""
    keys = draw_keys(rng)
    return Junctions(
        tuple(
            drawn(children(keys, layer), lambda one, many=many: _signs(one.random((spec.junctions, many)) < 0.5))  # type: ignore[misc]  # bound at once
            for layer, many in enumerate(units)
        )
    )


def voltages(
    spec: TunnelJunctions, before: Junctions, samples: int, rng: Generators
) -> tuple[tuple[Array, ...], Junctions]:
    """What each layer's sums are given while samples pass one by one, (..., samples, units), and the states after."""
    keys, added, after = draw_keys(rng), [], []
    for layer, states in enumerate(before.states):
        times = samples, *states.shape[-2:]
        streams = children(keys, "flips", layer), children(keys, "white noise", layer)
        flips = drawn(streams[0], lambda one, times=times: _signs(one.random(times) < spec.flip_probability))  # type: ignore[misc]  # bound at once
        course = states[..., np.newaxis, :, :] * np.cumprod(flips, axis=-3)
        # normals of junctions that add up are one normal of their variance
        white = drawn(streams[1], lambda one, times=times: one.standard_normal((times[0], times[2])))  # type: ignore[misc]
        volts = (
            spec.junctions * spec.offset_V
            + math.sqrt(spec.junctions) * spec.white_noise_V * white
            + spec.step_V * course.sum(axis=-2)
        )
        added.append(spec.gain * volts)
        after.append(course[..., -1, :, :])
    return tuple(added), Junctions(tuple(after))


def _signs(flipped: Array) -> Array:
    """-1 where it is true, 1 elsewhere."""
    return np.where(flipped, -1.0, 1.0)
