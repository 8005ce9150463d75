"""A ramp converter: the counter of a column stops when the ramp of its array passes the value."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.converters.decision import converter_offsets, decision_kind, element_count, shared_by_array, table
from imcsim.converters.unit_string import transitions
from imcsim.kernels.decide import COUNT
from imcsim.specs.adc import RampADC

Array = np.ndarray[Any, Any]


@decision_kind.register
def _(adc: RampADC) -> int:
    del adc
    return COUNT  # of the steps that lie below the value: the ramp only rises


@shared_by_array.register
def _(adc: RampADC) -> bool:
    del adc
    return True


@element_count.register
def _(adc: RampADC, levels: int) -> int:
    del adc
    return levels


@table.register
def _(adc: RampADC, levels: int, normals: Array) -> Array:
    """The transitions of an array's ramp, in LSB. Normals: those of the elements, from the lowest."""
    del levels
    return transitions(adc.unit_sigma_rel, normals).astype(np.float32)


@converter_offsets.register
def _(adc: RampADC, normals: Array) -> Array:
    return np.asarray(adc.comparator_sigma_lsb * normals, dtype=np.float32)
