"""A pipeline of 1.5-bit stages: each takes a digit -1, 0 or 1 and hands on what is left, amplified by two.

The digits overlap by a bit, so that a comparator that errs by less than V_ref / 4 leaves a residue which the stages
behind it can still convert: digital correction. Voltages are in V_ref, half the range, from its middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.converters.decision import decision_kind, element_count, table
from imcsim.kernels.decide import PIPELINE
from imcsim.specs.adc import PipelineADC

Array = np.ndarray[Any, Any]


@decision_kind.register
def _(adc: PipelineADC) -> int:
    del adc
    return PIPELINE


@element_count.register
def _(adc: PipelineADC, levels: int) -> int:
    del levels  # a range of one code less takes the same stages
    return 4 * (adc.bits - 1) + 1


@table.register
def _(adc: PipelineADC, levels: int, normals: Array) -> Array:
    """Gain, step, lower and upper threshold of each stage, then the last comparator's. Normals: C1, C2, comparators."""
    del levels
    of_stages = normals[:, :-1].astype(np.float64).reshape(normals.shape[0], adc.bits - 1, 4)
    c1, c2 = (1 + adc.capacitor_sigma_rel * of_stages[..., i] for i in (0, 1))
    # V <- ((1 + C2/C1) V - d V_ref C2/C1) / (1 + 1/(A beta)), beta = C1 / (C1 + C2): parasitics at the op-amp's input,
    # which would lower beta, are neglected, and so is the swing of its output
    settled = 1 + (c1 + c2) / c1 / adc.gain if adc.gain is not None else np.ones_like(c1)
    lower, upper = (nominal + adc.comparator_sigma_rel * of_stages[..., i] for nominal, i in ((-0.25, 2), (0.25, 3)))
    stages = np.stack([(1 + c2 / c1) / settled, c2 / c1 / settled, lower, upper], axis=-1)
    last = adc.comparator_sigma_rel * normals[:, -1:]
    return np.concatenate([stages.reshape(normals.shape[0], -1), last], axis=1).astype(np.float32)
