"""Feedback alignment: random matrices, drawn once, stand for the transposed weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.network.protocols import Counts
from imcsim.rng import Generators
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, weights_of
from imcsim.rules.feedback import Errors, Feedback, feedback_rule, scalars_above_the_first
from imcsim.rules.matrices import (
    FixedMatrices,
    Limit,
    MatrixSpec,
    fixed_matrices,
    matrices_cost,
    needs_arrays,
    uniform,
)
from imcsim.rules.rule import LearningRule

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class FeedbackAlignmentSpec(MatrixSpec):
    """Entries are uniform within +- `scale` times 1 / sqrt(units written) (`limit` "fan_out"), sqrt(6 / (units read +
    written)) ("glorot") or sqrt(6 / units read) ("kaiming"); `feedback_on` says what reads the matrix.
    """

    limit: Limit = "fan_out"


_DEFAULT = FeedbackAlignmentSpec()


def feedback_alignment(spec: FeedbackAlignmentSpec = _DEFAULT) -> LearningRule:
    """delta_l = (B_(l+1)^T delta_(l+1)) f': a matrix (n_(l+1), n_l) for every layer but the first."""

    def init(network: Any, rng: Generators) -> FixedMatrices:
        shapes = _matrices(network.shapes)
        return fixed_matrices(network, shapes, uniform(spec, spec.limit), spec, rng, "feedback alignment")

    def send(network: Any, state: FixedMatrices, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del network
        matrix = state[errors.layer - 1]
        return matrix.mvm(errors.delta, rng), matrix.cost(errors.delta.shape[-2])

    return feedback_rule(Feedback(init, send, stored=scalars_above_the_first))


def _matrices(shapes: Shapes) -> list[tuple[int, int]]:
    return [(outputs, inputs) for inputs, outputs in shapes[1:]]


def _cost(spec: FeedbackAlignmentSpec, shapes: Shapes, samples: int) -> StepCost:
    above = weights_of(shapes[1:])
    return matrices_cost(spec, shapes, samples, _matrices(shapes), stored=above, multiplications=above)


ENTRIES = (
    RuleEntry(
        name="fa",
        summary="feedback alignment: a fixed random matrix a layer instead of the transposed weights",
        options=FeedbackAlignmentSpec,
        build=feedback_alignment,
        unbiased=False,
        requires=needs_arrays,
        asks=_cost,
        needs='forward reads; with feedback_on = "chip" L - 1 arrays: [feedback.dac], [feedback.adc] of a chip',
        cost="B forward passes; (L - 1) B reads of the feedback matrices, which hold sum of n_l n_(l-1), l = 2 ... L",
        source="Lillicrap et al. 2016 (unverified); initial values: Nokland's code",
    ),
)
