"""A flash converter: a comparator at every transition, all at once; the code is the number of ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.converters.decision import decision_kind, element_count, table
from imcsim.converters.unit_string import transitions
from imcsim.kernels.decide import COUNT
from imcsim.specs.adc import FlashADC

Array = np.ndarray[Any, Any]


@decision_kind.register
def _(adc: FlashADC) -> int:
    del adc
    return COUNT


@element_count.register
def _(adc: FlashADC, levels: int) -> int:
    del adc
    return levels + levels - 1


@table.register
def _(adc: FlashADC, levels: int, normals: Array) -> Array:
    """The thresholds of a converter's comparators, in LSB. Normals: those of the resistors, then of the comparators."""
    references = transitions(adc.unit_sigma_rel, normals[:, :levels])
    thresholds = references + adc.comparator_sigma_lsb * normals[:, levels:]
    # counting ones does not ask which comparator trips: thresholds that cross are in order again
    return np.sort(thresholds, axis=1).astype(np.float32)
