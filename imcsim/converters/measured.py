"""A converter as measured: its own transitions, or the probability of each code at each input."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.converters.decision import decision_kind, element_count, shared_by_array, table
from imcsim.kernels.decide import COUNT, DISTRIBUTION
from imcsim.specs.adc import MeasuredADC

Array = np.ndarray[Any, Any]


@decision_kind.register
def _(adc: MeasuredADC) -> int:
    return COUNT if adc.probabilities is None else DISTRIBUTION


@shared_by_array.register
def _(adc: MeasuredADC) -> bool:
    del adc
    return True


@element_count.register
def _(adc: MeasuredADC, levels: int) -> int:
    del adc, levels
    return 0  # what was measured is what there is


@table.register
def _(adc: MeasuredADC, levels: int, normals: Array) -> Array:
    """The transitions in LSB; or the input levels in LSB, and of each P(code <= k | input) for all k but the last.

    A range of one code less saturates: the last code left has the inputs, or the probability, of the one left out.
    """
    if adc.transitions is not None:
        row = np.array(adc.transitions[: levels - 1])
    else:
        probabilities = np.array(adc.probabilities)
        cumulative = np.cumsum(probabilities / probabilities.sum(axis=1, keepdims=True), axis=1)
        row = np.concatenate([np.array(adc.inputs), cumulative[:, : levels - 1].ravel()])
    return np.tile(row.astype(np.float32), (normals.shape[0], 1))
