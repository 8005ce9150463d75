"""Feedback matrices: what is drawn into them, and where they are read: in digital, or on crossbars of their own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from imcsim.network.protocols import Auxiliary, Counts
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.entry import Shapes, StepCost
from imcsim.rules.feedback import feedback_cost
from imcsim.rules.rule import require
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]
Limit = Literal["fan_out", "glorot", "kaiming"]


@dataclass(frozen=True, kw_only=True)
class MatrixSpec(Spec):
    """Of any feedback matrix: `scale` multiplies what is drawn; it is read digitally or on a crossbar of the chip."""

    scale: float = limited(1.0, low=1e-6, high=1e6)
    feedback_on: Literal["digital", "chip"] = "digital"


def needs_arrays(spec: MatrixSpec) -> Collection[str]:
    """Of a rule with such matrices: arrays of their own, where they are read on the chip."""
    return ("auxiliary",) if spec.feedback_on == "chip" else ()


def matrices_cost(
    spec: MatrixSpec, shapes: Shapes, samples: int, matrices: Shapes, *, stored: int, multiplications: int
) -> StepCost:
    """What a step asks for that sends errors through matrices of such shapes: `multiplications` a sample in digital."""
    if spec.feedback_on == "chip":
        return feedback_cost(shapes, samples, stored=stored, matrices=matrices)
    return feedback_cost(shapes, samples, stored=stored, multiplications=multiplications)


def uniform_limit(limit: Limit, fan_in: int, fan_out: int) -> float:
    """The bound of a uniform distribution for a matrix that reads `fan_in` units and writes `fan_out`.

    "fan_out" is 1 / sqrt(fan_out), as Nokland's code draws feedback; "glorot" is sqrt(6 / (fan_in + fan_out)) (Glorot &
    Bengio 2010, eq. 16), as BioTorch does; "kaiming" is sqrt(6 / fan_in) (He et al. 2015), as DRTP's code does.
    """
    bounds = {"fan_out": 1.0 / fan_out, "glorot": 6.0 / (fan_in + fan_out), "kaiming": 6.0 / fan_in}
    return math.sqrt(bounds[limit])


class DigitalMatrix(NamedTuple):
    """A feedback matrix (..., rows, cols) that a digital computer multiplies with: exact, and no read of the chip."""

    matrix: Array

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        del rng, now_s
        return np.asarray(x @ self.matrix)

    def cost(self, samples: int) -> Counts:
        del samples
        return Counts()


Draw = Callable[[int, int, np.random.Generator], Array]
FixedMatrices = tuple[Auxiliary, ...]  # for every layer but the first: what sends its error to the one below


def uniform(spec: MatrixSpec, limit: Limit) -> Draw:
    """Draw matrices (rows, cols) that are uniform within +- scale times the limit."""

    def draw(rows: int, cols: int, rng: np.random.Generator) -> Array:
        bound = spec.scale * uniform_limit(limit, rows, cols)
        return rng.uniform(-bound, bound, (rows, cols))

    return draw


def fixed_matrices(
    network: Any, shapes: Iterable[tuple[int, int]], draw: Draw, spec: MatrixSpec, rng: Generators, rule: str
) -> FixedMatrices:
    """Draw matrices of these shapes, the first for layer 1, each read where `spec` says.

    Raises CapabilityError where that is on the chip, and the network has no room for them.
    """
    if spec.feedback_on == "chip":
        require(network, "auxiliary", "auxiliary crossbars", rule, remedy='set feedback_on = "digital"')
    keys = draw_keys(rng)
    matrices: list[Auxiliary] = []
    for layer, shape in enumerate(shapes, start=1):
        matrix = drawn(children(keys, "values", layer), functools.partial(draw, *shape))
        if spec.feedback_on == "chip":
            matrices.append(network.auxiliary(f"feedback {layer}", matrix, children(keys, "crossbar", layer)))
        else:
            matrices.append(DigitalMatrix(matrix))
    return tuple(matrices)
